"""A stage of a pretraining run: its folder, the settings it belongs to, and its result."""

from __future__ import annotations

import errno
import functools
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from retro_common.errors import UsageError
from retro_common.files import (
    UnreadableFile,
    read_json_object,
    read_plain,
    remove_tree,
    write_atomically,
)
from retro_common.provenance import provenance
from retro_common.text import clean

SETTINGS, CHECKPOINT, DONE = "settings.json", "checkpoint.pt", "done.json"
CHECKPOINT_BYTES = 4 << 30
"""bytes that a checkpoint may have"""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""errors of a full disk"""


class Seeds(IntEnum):
    """The component's number in `seed_of` and in numpy's seed sequences. Never renumber."""

    COLLECT = 1
    VISION = 2
    MEMORY = 3
    CONTROLLER = 4
    REPORT = 5
    JOINT = 6
    FIND_PLAYER = 7
    TEACHER = 8
    SCENE = 9


class Stopped(Exception):
    """The stage was asked to stop and has saved its work."""


class Diverged(Exception):
    """Training left the finite numbers; the message says where, and which checkpoint is good."""


def exit_with(program: str, main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a command that trains, and exit with its status; what a person can cause is one line.

    Args:
        program: its name for messages, such as `python -m pretrain`.
        main: takes the arguments, returns the status.
    """
    status, why = 1, ""
    try:
        status = main(sys.argv[1:])
    except UsageError as error:
        status, why = 2, f"{program}: {error}"
    except Stopped:
        why = "stopped; run the same command again to go on"
    except Diverged as error:
        why = f"{program}: {error}"
    except OSError as error:
        # The machine's doing, such as a full disk. What was saved before is whole.
        why = f"{program}: {clean(error)}; run the same command again to go on"
    if why:
        print(why, file=sys.stderr)
    sys.exit(status)


class Stage:
    """A folder with `settings.json`, `checkpoint.pt` and `done.json`.

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
            OSError: the disk is full.
        """
        try:
            if fresh:
                remove_tree(self.folder)
            self.check()
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / SETTINGS
            if not os.path.lexists(path):
                write_atomically(path, json.dumps(self.settings, indent=1))
        except OSError as error:
            if error.errno in FULL:
                raise
            raise UsageError(f"{self.folder}: cannot be written: {error.strerror}") from None
        return self

    def check(self) -> None:
        """Raise a UsageError if this folder, or one of the inputs', has other settings."""
        for stage in self.inputs:
            stage.check()
        try:
            known = read_json_object(self.folder / SETTINGS)
        except UnreadableFile as error:
            if error.missing:
                return
            raise self._damaged(SETTINGS, error.why) from None
        changed = _differences(known, self.settings)
        if changed:
            raise UsageError(
                f"{self.folder} was made with other settings ({'; '.join(changed[:3])}):"
                " choose another --out, or add --fresh to throw the old work away"
            )

    def restore(self) -> dict[str, Any] | None:
        """The last checkpoint, or None at the start.

        Raises:
            UsageError: it is damaged, or holds weights that are not finite.
        """
        try:
            content = read_plain(self.folder / CHECKPOINT, CHECKPOINT_BYTES)
        except UnreadableFile as error:
            if error.missing:
                return None
            raise self._damaged(CHECKPOINT, error.why) from None
        if _sealed(content[: -len(_seal(b""))]) != content:
            raise self._damaged(CHECKPOINT, "its checksum is wrong")
        try:
            checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # whatever reading a file of another make raises
            raise self._damaged(CHECKPOINT, f"{type(error).__name__}: {clean(error)}") from None
        if not isinstance(checkpoint, dict):
            raise self._damaged(CHECKPOINT, "it is no checkpoint")
        if not finite(checkpoint.get("model")):
            raise self._damaged(CHECKPOINT, "its weights are not finite")
        return checkpoint

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Write a checkpoint in one step."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = buffer.getvalue()
        write_atomically(self.folder / CHECKPOINT, _sealed(content))

    @property
    def finished(self) -> bool:
        """Whether the stage is done.

        Raises:
            UsageError: `done.json` is damaged, or of another run.
        """
        try:
            record = read_json_object(self.folder / DONE)
        except UnreadableFile as error:
            if error.missing:
                return False
            raise self._damaged(DONE, error.why) from None
        if record.get("fingerprint") != self.fingerprint:
            raise self._damaged(DONE, "it is of another run")
        return True

    def finish(self, **facts: Any) -> None:
        """Mark the stage as done, with facts about its result.

        Raises:
            Diverged: a fact is a number that is not finite.
        """
        for name, value in facts.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise Diverged(
                    f"{self.name}: {name} is {value} at the end: the stage is not marked as done;"
                    " add --fresh to train it anew"
                )
        record = {"fingerprint": self.fingerprint, **facts, **provenance()}
        write_atomically(self.folder / DONE, json.dumps(record, indent=1))

    def trained(self) -> dict[str, Any]:
        """The weights (`model` of the checkpoint) that this stage ended with.

        Raises:
            UsageError: the stage is not done, was made with other settings, or its checkpoint is
                missing or damaged.
        """
        self.check()
        if not self.finished:
            raise UsageError(f"{self.folder}: {self.name} is not done: run that stage first")
        checkpoint = self.restore()
        if checkpoint is None:
            raise self._damaged(CHECKPOINT, "it is missing, though the stage is done")
        if not isinstance(checkpoint.get("model"), dict):
            raise self._damaged(CHECKPOINT, "it holds no weights")
        return checkpoint["model"]

    def load_trained(self, module: torch.nn.Module) -> None:
        """Load the weights that this stage ended with into a network; see `trained`."""
        self.load_into(module, self.trained())

    def load_into(self, part: Any, state: Any) -> None:
        """Load a part of the checkpoint into a module or an optimiser.

        Raises:
            UsageError: it does not fit.
        """
        try:
            part.load_state_dict(state)
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged(CHECKPOINT, f"it does not fit: {clean(error)}") from None

    def _damaged(self, name: str, why: str) -> UsageError:
        return UsageError(
            f"{self.folder / name}: damaged: {why}: run the stage {self.name} with --fresh,"
            " which throws its work away"
        )


def finite(value: Any) -> bool:
    """Whether all numbers in tensors, and in containers of them, are finite."""
    if isinstance(value, torch.Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, dict):
        return all(finite(each) for each in value.values())
    if isinstance(value, list | tuple):
        return all(finite(each) for each in value)
    return not isinstance(value, float) or math.isfinite(value)


def _seal(content: bytes) -> bytes:
    return b"sha256:" + hashlib.sha256(content).hexdigest().encode()


def _sealed(content: bytes) -> bytes:
    """A file of `torch.save` with the SHA-256 of its content behind it, as the comment of a ZIP.

    A ZIP file ends with the length of its comment, 2 bytes, and the comment: `torch.load` reads the
    file as before. In `content` that length may be 0, or that of the checksum.
    """
    content = content[:-2] + len(_seal(b"")).to_bytes(2, "little")
    return content + _seal(content)


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """``key: old -> new`` of every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
        return found
    return [] if old == new else [f"{clean(prefix, 80)}: {clean(old, 80)} -> {clean(new, 80)}"]


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
