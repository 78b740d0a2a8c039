"""The runs of a job while it is played: an observer of the evaluation, and what has changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from retro_contest.runs import verdicts
from retro_contest.runs.match import Run
from retro_contest.runs.serve import Status
from retro_contest.server.jobs import RunState


class LiveRuns:
    """Follows an evaluation. Its threads call `begin`, `update` and `end`; another one `take`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._positions: dict[str, int] = {}
        self._states: list[RunState] = []
        self._changed: set[int] = set()
        self._ended = False

    def begin(self, runs: list[Run], kept: dict[Run, dict[str, Any]]) -> None:
        """The runs of the evaluation, and the results of those that are finished."""
        with self._lock:
            self._positions = {run.name: position for position, run in enumerate(runs)}
            self._states = [RunState(run.level.name, run.seed, run.rules.timesteps) for run in runs]
            for run, result in kept.items():
                _end(self._states[self._positions[run.name]], result)
            self._changed = set(range(len(runs)))

    def update(self, run: Run, status: Status) -> None:
        """The state of a run that is being played."""
        with self._lock:
            position = self._positions[run.name]
            state = self._states[position]
            state.state = "running"
            state.timesteps = status.timesteps
            state.episodes = status.episodes
            state.rate = status.timesteps_per_second
            state.score = status.score
            state.eta = None
            if state.rate:
                left = (run.rules.timesteps - status.timesteps) / state.rate
                state.eta = max(0.0, min(left, run.rules.wallclock - status.seconds))
            self._changed.add(position)

    def end(self, run: Run, result: dict[str, Any]) -> None:
        """The result of a run."""
        with self._lock:
            position = self._positions[run.name]
            _end(self._states[position], result)
            self._changed.add(position)
            self._ended |= result["verdict"] not in verdicts.NOT_THE_AGENT

    def take(self) -> tuple[list[tuple[int, RunState]], bool]:
        """Positions and states of the runs that changed since the last call; whether one ended."""
        with self._lock:
            changed = [
                (position, RunState(**vars(self._states[position])))
                for position in sorted(self._changed)
            ]
            ended, self._ended = self._ended, False
            self._changed.clear()
            return changed, ended


def _end(state: RunState, result: Mapping[str, Any]) -> None:
    """The state of a run with this result."""
    well = verdicts.ended_well(result["verdict"], result["timesteps"], state.budget)
    interrupted = result["verdict"] == verdicts.INTERRUPTED  # it is played again, from the start
    state.state = "queued" if interrupted else "finished" if well else "error"
    state.timesteps = result["timesteps"]
    state.episodes = result["episodes"]
    state.rate = result["timesteps_per_second"]
    state.eta = None
    state.score = result["score"]
    state.verdict = "" if interrupted else result["verdict"]
    state.reason = "" if interrupted else result["reason"]
