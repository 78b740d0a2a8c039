"""Where an artefact came from: commit, versions, time."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def git_commit() -> str:
    """The commit of the work tree, with ``+changes`` if it has any; ``unknown`` outside git.

    A container has no git: there the image's build sets ``RETRO_COMMIT``.
    """
    if "RETRO_COMMIT" in os.environ:
        return os.environ["RETRO_COMMIT"]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def provenance() -> dict[str, Any]:
    """Commit, creation time (UTC) and the versions that matter."""
    return {
        "commit": git_commit(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
    }
