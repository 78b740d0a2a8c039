"""Following: what an earlier route through the level says about the place where the player is now.

A level is the same in every episode, so a route that got far says what to do where C cannot see it:
behind the frame's edge, or when a platform comes back. It is not replayed: actions are sticky, and
a replay soon diverges. C reads the route as a prompt instead, from the point nearest to where it is
itself, and decides (a policy prompted by trajectories of its own task, arXiv 2408.15980).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn import functional as F

MAX_LENGTH = 4500
"""timesteps of a route that are kept: those of an episode"""


class Route(NamedTuple):
    """What was done in an episode, up to its highest sum of rewards."""

    actions: np.ndarray
    """indices of the agent's actions, int16 (T,)"""
    earned: np.ndarray
    """sum of the contest's rewards before each action, and after the last one, float32 (T + 1,)"""

    @classmethod
    def of(cls, actions: ArrayLike, rewards: ArrayLike) -> Route:
        """The route of an episode's actions and the contest's rewards, each of T > 0 timesteps."""
        earned = np.concatenate([[0.0], np.cumsum(rewards)]).astype(np.float32)[: MAX_LENGTH + 1]
        length = int(np.argmax(earned))
        return cls(np.array(actions, np.int16)[:length], earned[: length + 1])


class Follower:
    """Keeps each environment's place on the route that it follows, and gives it as features.

    The contest's rewards are the way along x, so their sum is the player's place, exactly. The
    point of a route moves on by one in each timestep; it moves by more or less where the sums of
    rewards say so. If they differ by more than `LOST` points, the whole route is searched.
    """

    PAST, AHEAD = 2, 8
    """actions of the route before and after its point that C sees"""
    BACK, FORTH = 3, 6
    """how many timesteps the point may move in one, back and forth"""
    LOST = 150.0
    """points; a whole level is worth 9000, and the player's top speed about 30 a timestep"""
    SCALE = 0.02
    """factor on points in the features"""
    TIME_SCALE = 0.05
    """factor on timesteps in the features"""
    LIMIT = 5.0
    """the features are cut off here"""

    def __init__(self, envs: int, actions: int, device: torch.device | str = "cpu"):
        """
        Args:
            actions: how many actions the policy chooses from, A.
        """
        self.none, self.device = actions, device
        # A route's actions lie between entries for "none", so that a window never leaves its row.
        self._actions = np.full((envs, MAX_LENGTH + self.PAST + self.AHEAD + 2), actions, np.int16)
        self._earned = np.zeros((envs, MAX_LENGTH + 1), np.float32)
        self._length = np.full(envs, -1)
        self._point = np.zeros(envs, np.int64)
        self._at = np.zeros(envs)
        self._time = np.zeros(envs, np.int64)

    @classmethod
    def size(cls, actions: int) -> int:
        """Numbers for an environment, R."""
        return (cls.PAST + cls.AHEAD + 1) * actions + 5

    def follow(self, env: int, route: Route | None, earned: float = 0.0, timestep: int = 0) -> None:
        """Begin an episode.

        Args:
            route: the one to follow; None to follow none.
            earned, timestep: where the episode begins, if not at the level's start: the sum of
                rewards and the timesteps that lead there.
        """
        self._actions[env] = self.none
        self._length[env] = -1
        self._at[env], self._time[env] = earned, timestep
        if route is None:
            return
        length = len(route.actions)
        self._length[env] = length
        self._actions[env, self.PAST : self.PAST + length] = route.actions
        self._earned[env, : length + 1] = route.earned
        self._point[env] = self._nearest(env, timestep)

    def _nearest(self, env: int, expected: int) -> int:
        """The point of the whole route that is nearest; of equal ones the one nearest in time."""
        points = np.arange(self._length[env] + 1)
        distance = np.abs(self._earned[env, : len(points)] - self._at[env])
        return int(np.argmin(distance + 0.1 * np.abs(points - expected)))

    def remember(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        """Add a timestep: the contest's rewards (N,), ends bool (N,). Where an episode ended, none
        is followed until `follow`."""
        self._at += rewards
        self._time += 1
        self._length[ended] = -1
        self._at[ended], self._time[ended] = 0.0, 0
        window = self._point[:, None] + np.arange(-self.BACK, self.FORTH + 1)
        window = window.clip(0, self._length[:, None].clip(0))
        rows = np.arange(len(window))
        distance = np.abs(self._earned[rows[:, None], window] - self._at[:, None])
        nearest = np.argmin(distance + np.abs(window - self._point[:, None] - 1), axis=1)
        self._point = window[rows, nearest]
        for env in np.flatnonzero((distance[rows, nearest] > self.LOST) & (self._length >= 0)):
            self._point[env] = self._nearest(env, self._point[env] + 1)

    def features(self) -> torch.Tensor:
        """For each environment, (N, R): the route's actions from `PAST` before its point to `AHEAD`
        after it, as one-hot vectors, zeros beyond its ends; whether it is near; how far ahead of
        the player the point is, in x and in time; and how far the route goes from there in 1 and in
        `AHEAD` timesteps. All zeros where no route is near."""
        rows, point = np.arange(len(self._point))[:, None], self._point[:, None]
        actions = self._actions[rows, point + np.arange(self.PAST + self.AHEAD + 1)]
        length = self._length[:, None].clip(0)
        x, soon, later = (
            self._earned[rows, np.minimum(point + ahead, length)] for ahead in (0, 1, self.AHEAD)
        )
        gap = x - self._at[:, None]
        near = (self._length[:, None] >= 0) & (np.abs(gap) <= self.LOST)
        numbers = np.concatenate(
            [
                np.ones_like(x),
                self.SCALE * gap,
                self.TIME_SCALE * (point - self._time[:, None]),
                self.SCALE * (soon - x),
                self.SCALE * (later - x),
            ],
            axis=1,
        )
        numbers = np.float32(numbers.clip(-self.LIMIT, self.LIMIT) * near)
        chosen = F.one_hot(torch.from_numpy(np.int64(actions)), self.none + 1)[..., :-1]
        chosen = chosen.flatten(1).float() * torch.from_numpy(near)
        return torch.cat([chosen, torch.from_numpy(numbers)], dim=1).to(self.device)

    def actions(self) -> np.ndarray:
        """The route's action at each environment's point, int64 (N,); A where none is near."""
        rows = np.arange(len(self._point))
        gap = np.abs(self._earned[rows, self._point] - self._at)
        near = (self._length >= 0) & (gap <= self.LOST)
        actions = self._actions[rows, self._point + self.PAST]
        return np.where(near, actions, self.none).astype(np.int64)

    def keep(self, kept: np.ndarray) -> None:
        """Go on in some of the environments only, bool (N,)."""
        for name in ("_actions", "_earned", "_length", "_point", "_at", "_time"):
            setattr(self, name, getattr(self, name)[kept])
