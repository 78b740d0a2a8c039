"""Measures a level while it is played: episodes and speed, written to files at once.

`monitor.csv` has one row per episode, `r,l,t`: sum of rewards, agent steps, and seconds since
the first reset at the episode's end. Rows are written the moment an episode ends, so that killing
the process loses no finished episode. Unlike the monitor of the 2018 contest it also writes the
last episode, even when the budget ends in its middle.

`log.csv` has one row per 1000 agent steps, `l,t`: steps so far and seconds since the first
reset: how fast the agent plays.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import gymnasium

MONITOR_FILE = "monitor.csv"
LOG_FILE = "log.csv"
LOG_INTERVAL = 1000
REPORT_INTERVAL = 1.0  # seconds


class Monitor(gymnasium.Wrapper):
    """Writes `monitor.csv` and `log.csv` into a folder while an environment is used."""

    timesteps: int
    """resets and steps so far, counted as the contest's budget counts them"""
    steps: int
    """agent steps so far"""
    step_seconds: float
    """seconds spent inside the environment's `step`"""
    report: Callable[[], object] | None
    """called about once a second while the environment is used, if it is set"""

    def __init__(self, env: gymnasium.Env, folder: Path) -> None:
        """Create both files in `folder`, which must exist.

        Raises:
            FileExistsError: the folder holds such a file already; results are never overwritten.
        """
        super().__init__(env)
        self._monitor_file, self._monitor = _open_csv(folder / MONITOR_FILE, "rlt")
        self._log_file, self._log = _open_csv(folder / LOG_FILE, "lt")
        self._first_reset: float | None = None
        self._reward = 0.0  # of the running episode
        self._length = 0
        self._total = 0.0  # of all finished ones
        self._finished = 0
        self._next_report = 0.0
        self.report = None
        self.timesteps = 0
        self.steps = 0
        self.step_seconds = 0.0

    @property
    def episodes(self) -> int:
        """Episodes so far that have at least one step, the running one included."""
        return self._finished + (self._length > 0)

    @property
    def score(self) -> float | None:
        """Mean reward over those; None without any."""
        return (self._total + self._reward) / self.episodes if self.episodes else None

    @property
    def seconds(self) -> float:
        """Since the first reset."""
        return 0.0 if self._first_reset is None else time.monotonic() - self._first_reset

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._end_episode()
        result = self.env.reset(**kwargs)
        if self._first_reset is None:
            self._first_reset = time.monotonic()
        self.timesteps += 1
        self._report()
        return result

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        start = time.perf_counter()
        obs, gain, terminated, truncated, info = self.env.step(action)
        self.step_seconds += time.perf_counter() - start
        self.timesteps += 1
        self.steps += 1
        reward = float(gain)
        self._reward += reward
        self._length += 1
        if self.steps % LOG_INTERVAL == 0:
            self._log.writerow([self.steps, round(self.seconds, 6)])
            self._log_file.flush()
        if terminated or truncated:
            self._end_episode()
        self._report()
        return obs, reward, terminated, truncated, info

    def finish(self) -> None:
        """Write the episode that is still running and close the files. May be repeated."""
        if not self._monitor_file.closed:
            self._end_episode()
            self._monitor_file.close()
            self._log_file.close()

    def discard(self) -> None:
        """Remove the files: nothing was played."""
        self.finish()
        for file in (self._monitor_file, self._log_file):
            Path(file.name).unlink()

    def close(self) -> None:
        self.finish()
        super().close()

    def _report(self) -> None:
        if self.report is not None and time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + REPORT_INTERVAL
            self.report()

    def _end_episode(self) -> None:
        if self._length == 0:
            return
        self._monitor.writerow([self._reward, self._length, round(self.seconds, 6)])
        self._monitor_file.flush()
        self._finished += 1
        self._total += self._reward
        self._reward = 0.0
        self._length = 0


def _open_csv(path: Path, columns: str) -> tuple[TextIO, Any]:
    file = path.open("x", newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(list(columns))
    file.flush()
    return file, writer
