"""The training loop of a stage: all that stages share around their gradient steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from pretrain.meter import Meter, StopRequest
from pretrain.stage import CHECKPOINT, Diverged, Stage, Stopped, finite
from retro_common.errors import UsageError
from retro_common.text import shown
from retro_common.tracking import Tracker, open_tracker

CHECKPOINT_SECONDS = 60.0
LOG_EVERY = 20
"""steps between two entries in the log"""


class Loop(ExitStack):
    """Iterates over the steps that are left; a context manager.

    Restores the last checkpoint, shows progress, writes TensorBoard scalars, saves every minute,
    when asked to stop and at the end, and turns a loss that is not finite into `Diverged`:

        with Loop(work, steps, model=model, optimizer=optimizer) as loop:
            for step in loop:
                loss, scalars = ...
                loop.descend(loss, optimizer, rate)
                if loop.logs:
                    loop.log(scalars)
    """

    def __init__(
        self,
        work: Stage,
        total: int,
        *,
        stride: int = 1,
        unit: str = "steps",
        track: str = "",
        carried: dict[str, Any] | None = None,
        **parts: Any,
    ):
        """
        Args:
            work: an open stage.
            total: steps in all; the loop may overshoot it by less than `stride`.
            stride: how far one iteration advances.
            track: experiment tracker that gets the scalars, too (`retro_common.tracking`).
            carried: further state of tensors, numbers and containers of them; saved as it then is,
                and updated from the checkpoint.
            parts: modules and optimisers, by their names in the checkpoint.
        """
        super().__init__()
        self.work, self.total, self.stride, self.unit = work, total, stride, unit
        self._track = track
        self._tracker: Tracker | None = None
        self.carried, self.parts = {} if carried is None else carried, parts
        self.first = 0
        if (checkpoint := work.restore()) is not None:
            self.first = self._check(checkpoint)
            for name, part in parts.items():
                work.load_into(part, checkpoint[name])
            self.carried.update(checkpoint["carried"])
        self.done = self.first
        """steps before the current one"""
        self.where = ""
        """added to the message of `Diverged`: for example the batch"""
        self._saved_at = time.monotonic()

    def _check(self, checkpoint: dict[str, Any]) -> int:
        """The number of steps that a checkpoint was written after."""
        path = self.work.folder / CHECKPOINT
        done, carried = checkpoint.get("done"), checkpoint.get("carried")
        if not self.parts.keys() <= checkpoint.keys() or not isinstance(carried, dict):
            raise UsageError(f"{path}: not of this stage: add --fresh to train it anew")
        if carried.keys() != self.carried.keys():
            raise UsageError(f"{path}: not of this stage: add --fresh to train it anew")
        if type(done) is not int or not 0 <= done < self.total + self.stride:
            raise UsageError(
                f"{path}: written after {shown(done)} of {self.total} {self.unit}, which cannot be:"
                " add --fresh to train the stage anew"
            )
        return done

    def __enter__(self) -> Loop:
        super().__enter__()
        self._stop = self.enter_context(StopRequest())
        self.meter = self.enter_context(Meter(self.work.name, self.total, self.unit, self.first))
        log = SummaryWriter(str(self.work.folder / "log"), purge_step=self.first)
        self.writer = self.enter_context(log)
        if self._track:
            run = self.work.folder.parent
            self._tracker = open_tracker(self._track, run, f"{run.name}-{self.work.name}", {})
            self.callback(self._tracker.close)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> bool | None:
        super().__exit__(kind, error, trace)
        if isinstance(error, FloatingPointError):
            raise Diverged(
                f"{self.work.name}: {error} at {self.unit.rstrip('s')} {self.done}{self.where};"
                f" the last good checkpoint is {self.work.folder / CHECKPOINT}"
            ) from None
        return None

    def __iter__(self) -> Iterator[int]:
        """Yields the number of steps before each step.

        Raises:
            Stopped: asked to stop; the checkpoint is written.
        """
        while self.done < self.total:
            yield self.done
            self.done += self.stride
            if self._stop.asked:
                self.save()
                raise Stopped
            if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                self.save()
        self.meter.update(self.done)
        self.save()

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            FloatingPointError: weights are not finite; the old checkpoint stays.
        """
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        for name, part in self.parts.items():
            if isinstance(part, torch.nn.Module) and not finite(parts[name]):
                raise FloatingPointError(f"weights of the {name} are not finite")
        self.work.save({**parts, "carried": self.carried, "done": self.done})
        self._saved_at = time.monotonic()

    def stop_if_asked(self) -> None:
        """For long work within a step: save and raise `Stopped` if asked to stop."""
        if self._stop.asked:
            self.save()
            raise Stopped

    def descend(
        self,
        loss: torch.Tensor,
        optimizer: torch.optim.Optimizer,
        rate: float,
        clip: Iterable[torch.nn.Parameter] | None = None,
    ) -> None:
        """One step of the optimiser at this learning rate.

        Args:
            clip: parameters whose gradient is scaled down to norm 1.

        Raises:
            FloatingPointError: the loss is not finite; the weights are as before.
        """
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()}")
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(clip, 1.0)
        optimizer.step()

    @property
    def logs(self) -> bool:
        """Whether this step is to be logged."""
        return self.done % LOG_EVERY == 0

    def every(self, steps: int) -> bool:
        """Whether this step is the last of so many."""
        return (self.done + 1) % steps == 0

    def log(self, scalars: Mapping[str, Any], note: str = "", at: int | None = None) -> None:
        """Write scalars to TensorBoard and the tracker at step `at` (default: this one), and show
        the note."""
        at = self.done if at is None else at
        numbers = {
            name: float(value.detach() if isinstance(value, torch.Tensor) else value)
            for name, value in scalars.items()
        }
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, at)
        if self._tracker is not None:
            self._tracker.log(self.work.name, numbers, at)
        if note:
            self.meter.update(at, note)


def cosine(step: int, steps: int) -> float:
    """Factor on the learning rate: from 1 down to 0.1 along half a cosine."""
    return 0.1 + 0.9 * 0.5 * (1 + float(np.cos(np.pi * step / steps)))


def read_ahead(read: Callable[[int], Any], steps: range) -> Iterator[Any]:
    """``read(step)`` for each step; a thread reads the next one meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        following = None
        for step in steps:
            current = following or pool.submit(read, step)
            following = pool.submit(read, step + 1) if step + 1 < steps.stop else None
            yield current.result()
