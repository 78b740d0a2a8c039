"""The GPU as torch sees it. In a process of its own: nothing of the contest imports torch."""

from __future__ import annotations

import shutil

from retro_contest.doctor.child import ChildFailed, ask
from retro_contest.doctor.findings import Problem

PROGRAM = """
import json, torch
gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
if gpus:
    torch.ones(8, device="cuda").sum().item()
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "gpus": gpus}))
"""


def check_torch() -> str:
    """torch's version and GPUs, in words.

    Raises:
        Problem: torch is missing or broken, or does not see the GPU that is there.
    """
    try:
        found = ask(["-c", PROGRAM])
    except ChildFailed as failed:
        if "No module named 'torch'" in str(failed):
            raise Problem("torch is not installed", "pip install -r requirements.txt") from None
        raise Problem(
            f"torch cannot be used: {failed} ({failed.ended})",
            "pip install --force-reinstall torch",
        ) from None
    text = f"torch {found['version']}"
    if found["gpus"]:
        return f"{text} sees {', '.join(found['gpus'])}"
    if shutil.which("nvidia-smi"):
        why = "is a build for the CPU" if found["cuda"] is None else "cannot use it"
        raise Problem(
            f"this machine has NVIDIA's driver, but {text} {why}",
            "install the build of torch for CUDA (its site has the command), or update the driver",
        )
    return f"{text}, no GPU: networks train on the CPU"
