"""Makes the contest's environment for a level, with everything that makes it fast.

>>> env = make("PangolinDash-Genesis-v0/FernHollow.Act1", seed=0)
>>> observation, info = env.reset()
>>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
"""

from __future__ import annotations

from pathlib import Path

from gymnasium.utils import seeding

from retro_contest.emulator import proof, recycled, undrawn
from retro_contest.emulator.environment import FRAME_SKIP, STICKY, ContestEnv
from retro_contest.levels import Level, find_one
from retro_contest.rules import TIME_LIMIT


def make(
    level: Level | str,
    *,
    seed: int | None = None,
    frame_skip: int = FRAME_SKIP,
    sticky: float = STICKY,
    time_limit: int = TIME_LIMIT,
    draw_all: bool = False,
    record: str | Path | None = None,
) -> ContestEnv:
    """Make the contest's environment for one level.

    Only one emulator can exist per process: close an environment before making the next.

    Args:
        level: the level, or its name as the command line takes it, for example
            `PangolinDash-Genesis-v0/FernHollow.Act1`.
        seed: seed of the sticky actions; `reset(seed=...)` sets it anew.
        frame_skip: emulator frames per timestep.
        sticky: probability that the previous action is held for the first frame of a timestep.
        time_limit: timesteps after which an episode is truncated.
        draw_all: draw the frames that no observation shows, too (slower; the results are the same).
        record: folder for one bk2 movie per episode, or None. A movie is complete once its episode
            has ended; plain stable-retro plays it back.

    Raises:
        UsageError: the level is unknown, its name means several levels, or its ROM is missing.
    """
    if isinstance(level, str):
        level = find_one(level)
    if draw_all:
        env = ContestEnv(level, frame_skip=frame_skip, sticky=sticky, time_limit=time_limit)
    else:
        env = ContestEnv(
            level,
            frame_skip=frame_skip,
            sticky=sticky,
            time_limit=time_limit,
            speedups=ProvenSpeedups(level),
        )
    env.np_random, _ = seeding.np_random(seed)
    if record is not None:
        env.record(record)
    return env


class ProvenSpeedups:
    """Recycled RAM copies on all levels, undrawn frames on levels that are proved for them."""

    def __init__(self, level: Level) -> None:
        """Prove the first level, if need be: with an emulator of its own, so before another."""
        self._may_skip = {level: proof.may_skip(level)}
        recycled.install()

    def are_known(self, level: Level) -> bool:
        return level in self._may_skip or proof.is_known(level)

    def undrawn(self, level: Level) -> undrawn.Undrawn | None:
        if level not in self._may_skip:
            self._may_skip[level] = proof.may_skip(level)
        return undrawn.attach(level) if self._may_skip[level] else None

    def close(self) -> None:
        recycled.uninstall()
