"""The reward that C learns from, made out of the contest's reward."""

from __future__ import annotations

import numpy as np

from agent.config import RewardConfig

TIME_LIMIT = 4500
"""timesteps of an episode at most"""
LEVEL_END = 1000.0
"""contest reward for ending a level at once; it falls to 0 at the time limit"""


def level_end_bonus(length: int | np.ndarray, time_limit: int = TIME_LIMIT) -> float | np.ndarray:
    """What the contest pays for ending a level with the timestep `length` of an episode.

    The wire says only `done`. A lost life and the end of the level can be told apart by this bonus
    (a little reward may come with a lost life: who falls into a pit has often just got further).
    """
    return LEVEL_END * (1 - length / time_limit)


class RewardShaper:
    """Scales rewards, forgives going back and fines an early end, for `envs` environments.

    With `free_backtracking` the shaped return of an episode is the best return reached so far
    (Dharmaraja's rule): the way back out of a dead end is not punished, and running to and fro
    earns nothing.
    """

    def __init__(self, config: RewardConfig, envs: int, time_limit: int = TIME_LIMIT):
        self.config, self.time_limit = config, time_limit
        self.earned = np.zeros(envs)
        self.best = np.zeros(envs)
        self.length = np.zeros(envs, dtype=np.int64)

    def __call__(
        self, rewards: np.ndarray, ended: np.ndarray, truncated: np.ndarray | bool = False
    ) -> np.ndarray:
        """Shaped rewards (N,) float32 of the contest's rewards (N,) and ends bool (N,).

        `truncated` (N,) tells which ends are no lost life, where that is known: the wire does not
        say, but training episodes may be cut short.
        """
        self.earned += rewards
        self.length += 1
        gained = rewards
        if self.config.free_backtracking:
            gained = np.maximum(self.earned - self.best, 0)
            self.best = np.maximum(self.best, self.earned)
        # The time limit comes at a known length; an end without it or the bonus is a lost life.
        bonus = level_end_bonus(self.length, self.time_limit)
        early = ended & ~np.asarray(truncated) & (self.length < self.time_limit)
        died = early & (rewards < 0.9 * bonus)
        shaped = gained * self.config.scale - died * self.config.death_penalty
        for counter in (self.earned, self.best, self.length):
            counter[ended] = 0
        return shaped.astype(np.float32)
