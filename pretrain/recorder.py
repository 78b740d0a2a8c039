"""A collecting worker: one emulator that plays and writes shards. It stays small: no torch."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import contest.environment
from agent.actions import action_table
from agent.errors import UsageError
from agent.frames import shrink
from contest.levels import Level
from pretrain.config import CollectConfig
from pretrain.movies import find_movie
from pretrain.shards import ShardWriter

PR_SET_PDEATHSIG = 1

_env: contest.environment.ContestEnv | None = None
"""the worker's emulator: a process can have only one"""


def start_worker() -> None:
    """Leave Ctrl-C to the parent, and die with it, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _environment(level: Level, draw_all: bool) -> contest.environment.ContestEnv:
    global _env
    if _env is not None and _env.can_play(level):
        if _env.level != level:
            _env.change_level(level)
        return _env
    if _env is not None:
        _env.close()
    _env = contest.environment.make(level, draw_all=draw_all)
    return _env


def record(
    path: Path,
    level: Level,
    seed: int,
    actions: Sequence[str],
    config: CollectConfig,
    draw_all: bool,
    metadata: dict[str, Any],
) -> None:
    """Play one level for a shard's worth of timesteps and write the shard."""
    env = _environment(level, draw_all)
    rng = np.random.default_rng(seed)
    buttons = action_table(actions)
    movie = find_movie(config.movies, level.state)
    env.reset(seed=seed)
    writer = ShardWriter(level.name, sorted(env.variables()))
    while len(writer) < config.shard:
        along_movie = movie is not None and rng.random() < config.movie_share
        frame, info = _go_along(env, movie, rng) if along_movie else env.reset()
        limit = config.movie_timesteps if along_movie else config.shard
        behaviour = PersistentRandom(config, len(buttons), rng)
        for t in range(min(limit, config.shard - len(writer))):
            action = behaviour.act()
            seen, variables = shrink(frame), info
            frame, reward, terminated, truncated, info = env.step(buttons[action])
            end = terminated or truncated
            writer.add(seen, action, reward, t == 0, end, variables)
            if end:
                break
    writer.write(path, {**metadata, "seed": seed})


def _go_along(
    env: contest.environment.ContestEnv, movie: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    """Play a movie from the start to a random timestep; the frame and variables seen there.

    Without sticky actions, under which the movie would soon miss a jump.
    """
    sticky, env.sticky = env.sticky, 0.0
    frame, info = env.reset()
    for row in movie[: rng.integers(len(movie))]:
        frame, _, terminated, truncated, info = env.step(row)
        if terminated or truncated:
            raise UsageError(f"{env.level.name}: the movie ends the episode before its own end")
    env.sticky = sticky
    return frame, info


class PersistentRandom:
    """Random play that gets somewhere: it favours a few actions and keeps each for a while."""

    def __init__(self, config: CollectConfig, actions: int, rng: np.random.Generator):
        self._preferences = rng.dirichlet(np.full(actions, config.spread))
        self._persistence, self._rng = config.persistence, rng
        self._action, self._left = 0, 0

    def act(self) -> int:
        """The index of the next action."""
        if self._left == 0:
            self._action = int(self._rng.choice(len(self._preferences), p=self._preferences))
            self._left = int(self._rng.geometric(1 / self._persistence))
        self._left -= 1
        return self._action
