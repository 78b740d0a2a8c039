"""A stage of a pretraining run: its folder, the settings it belongs to, and its result."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shutil
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_common.provenance import provenance


class Seeds(IntEnum):
    """The component's number in `seed_of` and in numpy's seed sequences. Never renumber."""

    COLLECT = 1
    VISION = 2
    MEMORY = 3
    CONTROLLER = 4
    REPORT = 5
    JOINT = 6
    FIND_PLAYER = 7


class Stopped(Exception):
    """The stage was asked to stop and has saved its work."""


class Diverged(Exception):
    """Training left the finite numbers; the message says where, and which checkpoint is good."""


class Stage:
    """A folder with ``settings.json``, ``checkpoint.pt`` and ``done.json``.

    A folder belongs to one set of settings. Opening it with others is a `UsageError` that names
    the changed keys, so that a run is never continued as another one by accident. Constructing a
    stage neither reads nor writes.
    """

    def __init__(
        self, name: str, folder: Path, settings: dict[str, Any], inputs: tuple[Stage, ...] = ()
    ):
        """
        Args:
            name: appears in messages.
            settings: everything that the result depends on, by the configuration's keys.
            inputs: earlier stages whose results this one uses.
        """
        self.name, self.folder, self.inputs = name, folder, inputs
        self._settings = settings

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The settings as JSON has them, with the fingerprints of the inputs."""
        inputs = {f"({stage.name})": stage.fingerprint for stage in self.inputs}
        return json.loads(json.dumps({**self._settings, **inputs}))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Identifies this stage's result: a hash of its settings and of its inputs'."""
        content = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def open(self, fresh: bool = False) -> Stage:
        """Make the folder, and check that it, and those of the inputs, have these settings.

        Args:
            fresh: throw away the folder's content first.

        Raises:
            UsageError: the folder was made with other settings, or cannot be written.
        """
        if fresh and self.folder.exists():
            shutil.rmtree(self.folder)
        self.check()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / "settings.json"
            if not path.exists():
                write_atomically(path, json.dumps(self.settings, indent=1))
        except OSError as error:
            raise UsageError(f"{self.folder}: cannot be written: {error.strerror}") from None
        return self

    def check(self) -> None:
        """Raise a UsageError if this folder, or one of the inputs', has other settings."""
        for stage in self.inputs:
            stage.check()
        path = self.folder / "settings.json"
        if not path.exists():
            return
        changed = _differences(json.loads(path.read_text()), self.settings)
        if changed:
            raise UsageError(
                f"{self.folder} was made with other settings ({'; '.join(changed[:3])}):"
                " choose another --out, or add --fresh to throw the old work away"
            )

    def restore(self) -> dict[str, Any] | None:
        """The last checkpoint, or None at the start."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return None
        return torch.load(path, map_location="cpu", weights_only=True)

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Write a checkpoint in one step."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(self.folder / "checkpoint.pt", buffer.getvalue())

    @property
    def finished(self) -> bool:
        return (self.folder / "done.json").exists()

    def finish(self, **facts: Any) -> None:
        """Mark the stage as done, with facts about its result."""
        record = {"fingerprint": self.fingerprint, **facts, **provenance()}
        write_atomically(self.folder / "done.json", json.dumps(record, indent=1))

    def trained(self) -> dict[str, Any]:
        """The weights (`model` of the checkpoint) that this stage ended with.

        Raises:
            UsageError: the stage is not done, or was made with other settings.
        """
        self.check()
        if not self.finished:
            raise UsageError(f"{self.folder}: {self.name} is not done: run that stage first")
        return self.restore()["model"]


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """``key: old -> new`` of every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
        return found
    return [] if old == new else [f"{prefix}: {old} -> {new}"]


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
