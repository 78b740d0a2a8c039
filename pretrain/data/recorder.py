"""A worker of the collect stage: one emulator that plays and writes shards. Imports no torch."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.actions import action_table
from agent.models.frames import shrink
from pretrain.config import CollectConfig
from pretrain.data.behaviours import Behaviours
from pretrain.data.movies import find_movie
from pretrain.data.shards import ShardWriter
from retro_common.errors import UsageError
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.make import make
from retro_contest.levels import Level

PR_SET_PDEATHSIG = 1

_env: ContestEnv | None = None
"""the worker's emulator: a process can have only one"""


@dataclass(frozen=True)
class ShardJob:
    """One shard to record."""

    path: Path
    level: Level
    seed: int


def start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and die with it, even if it is killed.

    Args:
        parent: number of the process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # A parent that was killed before, while this process was starting, sends no signal any more.
    if os.getppid() != parent:
        os._exit(1)


def _environment(level: Level, draw_all: bool) -> ContestEnv:
    global _env
    if _env is not None and _env.can_play(level):
        if _env.level != level:
            _env.change_level(level)
        return _env
    close_environment()
    _env = make(level, draw_all=draw_all)
    return _env


def close_environment() -> None:
    """Close the worker's emulator, if it has one."""
    global _env
    if _env is not None:
        _env.close()
        _env = None


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
    behaviours = Behaviours(config, tuple(actions), rng)
    while len(writer) < config.shard:
        if movie is not None and rng.random() < config.movie_share:
            began = int(rng.integers(len(movie)))
            frame, info = _go_along(env, movie[:began])
            limit, behaviour = config.movie_timesteps, behaviours.draw(movie[began:])
        else:
            frame, info = env.reset()
            limit, behaviour = config.shard, behaviours.draw(movie)
        reward = 0.0
        for t in range(min(limit, config.shard - len(writer))):
            seen, variables = shrink(frame), info
            action = behaviour.act(seen, reward)
            frame, reward, terminated, truncated, info = env.step(buttons[action])
            end = terminated or truncated
            writer.add(seen, action, reward, t == 0, end, variables)
            if end:
                break
    writer.write(path, {**metadata, "seed": seed})


def _go_along(env: ContestEnv, movie: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Play these timesteps of a movie from the start; the frame and variables seen then.

    Without sticky actions, under which the movie would soon miss a jump.
    """
    sticky, env.sticky = env.sticky, 0.0
    frame, info = env.reset()
    for row in movie:
        frame, _, terminated, truncated, info = env.step(row)
        if terminated or truncated:
            raise UsageError(f"{env.level.name}: the movie ends the episode before its own end")
    env.sticky = sticky
    return frame, info
