"""Reward shaping: the reward that C learns from, computed from the contest's."""

from __future__ import annotations

import numpy as np

from agent.config import RewardConfig

TIME_LIMIT = 4500
"""most timesteps of an episode"""
LEVEL_END = 1000.0
"""contest reward for ending a level at once; it falls to 0 at the time limit"""


def level_end_bonus(length: int | np.ndarray, time_limit: int = TIME_LIMIT) -> float | np.ndarray:
    """The contest's reward for reaching the level's end at timestep `length` of an episode.

    The wire says only `done`: this bonus distinguishes the level's end from a lost life. (A lost
    life may earn a little as well: whoever falls into a pit has often just moved forward.)
    """
    return LEVEL_END * (1 - length / time_limit)


class RewardShaper:
    """Scales rewards, makes backtracking free and penalises deaths, for `envs` environments.

    With `free_backtracking` the shaped return of an episode is the best return reached so far
    (Dharmaraja's rule of 2018): leaving a dead end is not punished, and moving to and fro earns
    nothing.
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

        `truncated` (N,) marks ends that are not a lost life, where that is known: the wire does not
        say so, but in training a worker may have been restarted.
        """
        self.earned += rewards
        self.length += 1
        gained = rewards
        if self.config.free_backtracking:
            gained = np.maximum(self.earned - self.best, 0)
            self.best = np.maximum(self.best, self.earned)
        # An end before the time limit and without the bonus is a lost life.
        bonus = level_end_bonus(self.length, self.time_limit)
        early = ended & ~np.asarray(truncated) & (self.length < self.time_limit)
        died = early & (rewards < 0.9 * bonus)
        shaped = gained * self.config.scale - died * self.config.death_penalty
        for counter in (self.earned, self.best, self.length):
            counter[ended] = 0
        return shaped.astype(np.float32)
