"""Follows an evaluation and hands its scalars to TensorBoard and to a tracker.

Of each run, over the timesteps of its budget: reward and length of each episode, the mean reward
so far, and the speed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retro_common.text import clean
from retro_common.tracking import Tracker
from retro_contest.runs.match import Run
from retro_contest.runs.monitor import MONITOR_FILE
from retro_contest.runs.serve import Status

log = logging.getLogger(__name__)


@dataclass
class _Progress:
    """How far the scalars of a run have been handed on."""

    read: int = 0  # bytes of monitor.csv
    timesteps: int = 0  # at the end of the last episode
    episodes: int = 0
    total: float = 0.0  # sum of their rewards
    status: Status | None = None


class Scalars:
    """An observer of an evaluation (`retro_contest.runs.evaluate.Observer`)."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = list(trackers)
        self._lock = threading.Lock()
        self._runs: dict[str, _Progress] = {}

    def begin(self, runs: list[Run], kept: dict[Run, dict[str, Any]]) -> None:
        pass

    def update(self, run: Run, status: Status) -> None:
        with self._lock:
            progress = self._runs.setdefault(run.name, _Progress())
            if status == progress.status:
                return
            progress.status = status
            self._episodes(run, progress)
            if status.timesteps_per_second is not None:
                speed = {"timesteps_per_second": status.timesteps_per_second}
                self._log(run, speed, status.timesteps)

    def end(self, run: Run, result: dict[str, Any]) -> None:
        with self._lock:
            progress = self._runs.setdefault(run.name, _Progress())
            self._episodes(run, progress)
            if result["score"] is not None:
                self._log(run, {"score": result["score"]}, result["timesteps"])

    def close(self) -> None:
        """Write what is not written yet."""
        self._each(lambda tracker: tracker.close())

    def _episodes(self, run: Run, progress: _Progress) -> None:
        """Hand on the rows of `monitor.csv` that are new."""
        for reward, length in _new_rows(run.folder / MONITOR_FILE, progress):
            progress.timesteps += length + 1  # a reset is a timestep, too
            progress.episodes += 1
            progress.total += reward
            scalars = {
                "episode_reward": reward,
                "episode_length": length,
                "mean_reward": progress.total / progress.episodes,
            }
            self._log(run, scalars, progress.timesteps)

    def _log(self, run: Run, scalars: dict[str, float], step: int) -> None:
        self._each(lambda tracker: tracker.log(run.name, scalars, step))

    def _each(self, use: Callable[[Tracker], None]) -> None:
        """Use every tracker. One that fails is left out from then on: the contest goes on."""
        for tracker in list(self._trackers):
            try:
                use(tracker)
            except Exception as error:  # the network, a full disk, the library's own
                self._trackers.remove(tracker)
                log.warning("%s stopped: %s", type(tracker).__name__, clean(error))


def _new_rows(file: Path, progress: _Progress) -> list[tuple[float, int]]:
    """Reward and length of each whole row beyond `progress.read`."""
    try:
        with file.open("rb") as content:
            content.seek(progress.read)
            text = content.read()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind(b"\n") + 1]
    lines = whole.decode().splitlines()
    if progress.read == 0:
        lines = lines[1:]  # the heading
    progress.read += len(whole)
    return [(float(line.split(",")[0]), int(line.split(",")[1])) for line in lines]
