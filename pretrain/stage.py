"""What every stage needs: settings that are checked, checkpoints, progress, logs, a clean stop."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rich.progress
import torch
from torch.utils.tensorboard import SummaryWriter

from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_common.provenance import provenance

CHECKPOINT_SECONDS = 60.0
LINE_SECONDS = 10.0
"""how often progress is written where the output is not a terminal"""


class Stage:
    """One stage of a run: a folder with ``settings.json``, ``checkpoint.pt`` and ``done.json``.

    A folder belongs to one set of settings. Coming back with others is a `UsageError` that names
    what changed, so that a run is never continued as something else by accident.

    Args:
        name: what the person sees.
        folder: where everything of the stage is kept.
        settings: everything the result depends on, the fingerprints of earlier stages included.
        fresh: throw away what is there and start again.
    """

    def __init__(self, name: str, folder: Path, settings: dict[str, Any], fresh: bool = False):
        self.name, self.folder = name, folder
        self.settings = json.loads(json.dumps(settings))
        content = json.dumps(self.settings, sort_keys=True)
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]
        if fresh and folder.exists():
            shutil.rmtree(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_settings()
        except OSError as error:
            raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None
        self._saved = time.monotonic()

    def _check_settings(self) -> None:
        path = self.folder / "settings.json"
        if path.exists():
            old = json.loads(path.read_text())
            changed = _differences(old, self.settings)
            if changed:
                raise UsageError(
                    f"{self.folder} was made with other settings ({'; '.join(changed[:3])}):"
                    " choose another --out, or add --fresh to throw the old work away"
                )
        else:
            write_atomically(path, json.dumps(self.settings, indent=1).encode())

    # ---- checkpoints -------------------------------------------------------------------------

    def restore(self) -> dict[str, Any] | None:
        """The last checkpoint, or None at the start."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return None
        return torch.load(path, map_location="cpu", weights_only=True)

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Write a checkpoint; killed meanwhile, the old one stays."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(self.folder / "checkpoint.pt", buffer.getvalue())
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved > CHECKPOINT_SECONDS

    @property
    def finished(self) -> bool:
        return (self.folder / "done.json").exists()

    def finish(self, **facts: Any) -> None:
        """Mark the stage as done, with what there is to know about its result."""
        record = {"fingerprint": self.fingerprint, **facts, **provenance()}
        write_atomically(self.folder / "done.json", json.dumps(record, indent=1).encode())

    def trained(self) -> dict[str, Any]:
        """The weights that this stage ended with.

        Raises:
            UsageError: the stage is not done; weights on the way there are not handed on.
        """
        if not self.finished:
            raise UsageError(f"{self.folder}: {self.name} is not done: run that stage first")
        return self.restore()["model"]

    # ---- logs --------------------------------------------------------------------------------

    def writer(self, step: int) -> SummaryWriter:
        """TensorBoard scalars under the stage's folder, going on from this step."""
        return SummaryWriter(str(self.folder / "log"), purge_step=step)


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """``key: old -> new`` of every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
        return found
    return [] if old == new else [f"{prefix}: {old} -> {new}"]


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag that loops look at between steps."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> StopRequest:
        self._previous = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, signum: int, frame: object) -> None:
        # A second Ctrl-C does not wait for the end of the step. A second SIGTERM does: `timeout`
        # sends one to the process and another to its group.
        if self.asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


class Meter:
    """Progress of a stage: a bar with rate and ETA on a terminal, a line now and then elsewhere."""

    def __init__(self, name: str, total: int, unit: str, done: int = 0):
        self.name, self.total, self.unit, self.done = name, total, unit, done
        self._first, self._began, self._line = done, time.monotonic(), time.monotonic()
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:>10}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn(f"{unit} {{task.fields[note]}}"),
            rich.progress.TimeRemainingColumn(),
            disable=not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task(name, total=total, completed=done, note="")

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()
        if exc[0] is None and not sys.stdout.isatty():
            print(f"{self.name}: {self.done}/{self.total} {self.unit}, done", flush=True)

    def rate(self) -> float:
        """Units per second since this process began."""
        return (self.done - self._first) / max(time.monotonic() - self._began, 1e-9)

    def update(self, done: int, note: str = "") -> None:
        self.done = done
        self._bar.update(self._task, completed=done, note=note)
        if not sys.stdout.isatty() and time.monotonic() - self._line > LINE_SECONDS:
            self._line = time.monotonic()
            left = (self.total - done) / max(self.rate(), 1e-9)
            print(
                f"{self.name}: {done}/{self.total} {self.unit}, {self.rate():.1f}/s,"
                f" {left:.0f} s left  {note}",
                flush=True,
            )


def seed_of(seed: int, *parts: int) -> int:
    """A seed for one component, step or shard, from the run's seed; the same on every machine."""
    return int(np.random.SeedSequence([seed, *parts]).generate_state(1, np.uint64)[0] >> 1)


def choose_device(device: str) -> torch.device:
    """The torch device of the configuration's `device`."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: cuda is asked for, but torch sees no GPU")
    return torch.device(device)


def cosine(step: int, steps: int) -> float:
    """Factor on the learning rate: from 1 down to 0.1 along half a cosine."""
    return 0.1 + 0.9 * 0.5 * (1 + float(np.cos(np.pi * step / steps)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def read_ahead(read: Callable[[int], Any], steps: range) -> Iterator[Any]:
    """``read(step)`` for each step, with the next one always being read in a thread."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        following = None
        for step in steps:
            current = following or pool.submit(read, step)
            following = pool.submit(read, step + 1) if step + 1 < steps.stop else None
            yield current.result()
