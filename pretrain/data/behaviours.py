"""Behaviours that play while rollouts are recorded; a mix of them covers what an agent will meet.

Random play alone stays near the start and dies early; a better player runs, rolls and meets other
hazards. Each behaviour plays one episode and is called once per timestep.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from agent.actions import action_table
from retro_common.errors import UsageError

RIGHT_TIMESTEPS, LEFT_TIMESTEPS = 100, 70
"""how long JERK goes right at a time, and back left when that earned nothing (arXiv 1804.03720)"""
PERSISTENCE = 6.0
"""mean number of timesteps for which random play keeps an action"""
CONCENTRATION = 0.5
"""of the Dirichlet distribution from which an episode of random play draws its preferences: below 1
it favours a few actions"""


class Behaviour(Protocol):
    def act(self, frame: np.ndarray, reward: float) -> int:
        """The index of the next action, from the shrunk frame and the reward of the last action."""


class PersistentRandom:
    """Random play that gets somewhere: it favours a few actions and keeps each for a while."""

    def __init__(self, actions: int, rng: np.random.Generator):
        self._preferences = rng.dirichlet(np.full(actions, CONCENTRATION))
        self._rng = rng
        self._action, self._left = 0, 0

    def act(self, frame: np.ndarray, reward: float) -> int:
        if self._left == 0:
            self._action = int(self._rng.choice(len(self._preferences), p=self._preferences))
            self._left = int(self._rng.geometric(1 / PERSISTENCE))
        self._left -= 1
        return self._action


class HoldRight:
    """Right all the time; jumps begin with a chance that is drawn for each episode."""

    def __init__(self, walk: int, jump: int, rng: np.random.Generator):
        self._walk, self._jump, self._rng = walk, jump, rng
        self._chance = rng.uniform(0.02, 0.2)
        self._left = 0

    def act(self, frame: np.ndarray, reward: float) -> int:
        if self._left == 0 and self._rng.random() < self._chance:
            self._left = int(self._rng.integers(1, 7))
        jumping = self._left > 0
        self._left -= jumping
        return self._jump if jumping else self._walk


class Jerk:
    """JERK's exploration (arXiv 1804.03720): right, and back left if that earned nothing."""

    def __init__(
        self, right: tuple[int, int], left: tuple[int, int], rng: np.random.Generator
    ) -> None:
        self._right, self._left = HoldRight(*right, rng), HoldRight(*left, rng)
        self._timesteps, self._earned, self._backwards = 0, 0.0, False

    def act(self, frame: np.ndarray, reward: float) -> int:
        self._earned += reward
        self._timesteps += 1
        if self._timesteps > (LEFT_TIMESTEPS if self._backwards else RIGHT_TIMESTEPS):
            self._backwards = not self._backwards and self._earned <= 0
            self._timesteps, self._earned = 1, 0.0
        return (self._left if self._backwards else self._right).act(frame, reward)


class NoisyMovie:
    """Follows a movie, with short runs of random actions in between."""

    def __init__(
        self, actions: np.ndarray, random: PersistentRandom, noise: float, rng: np.random.Generator
    ):
        self._actions, self._random, self._noise, self._rng = actions, random, noise, rng
        self._t, self._random_left = 0, 0

    def act(self, frame: np.ndarray, reward: float) -> int:
        if self._random_left == 0 and self._rng.random() < self._noise:
            self._random_left = int(self._rng.geometric(1 / 4))
        self._t += 1
        if self._random_left or self._t > len(self._actions):
            self._random_left = max(0, self._random_left - 1)
            return self._random.act(frame, reward)
        return int(self._actions[self._t - 1])


class Behaviours:
    """Draws the behaviour of each episode by the weights of the configuration.

    Args:
        config: a `CollectConfig`.
        actions: the agent's button combinations.

    Raises:
        UsageError: a behaviour needs an action that the agent does not have.
    """

    def __init__(self, config: Any, actions: tuple[str, ...], rng: np.random.Generator):
        self.config, self.actions, self.rng = config, tuple(actions), rng
        weights = {name: weight for name, weight in config.behaviours.items() if weight > 0}
        if not weights:
            raise UsageError("collect.behaviours: at least one weight must be above 0")
        self._names = list(weights)
        self._shares = np.array(list(weights.values())) / sum(weights.values())

    def draw(self, movie: np.ndarray | None) -> Behaviour:
        """The behaviour of a new episode.

        Args:
            movie: the buttons of the timesteps that a movie would go on with from here, (T, 12);
                None where the episode begins away from a movie: it then plays at random instead.
        """
        name = str(self.rng.choice(self._names, p=self._shares))
        config = self.config
        random = PersistentRandom(len(self.actions), self.rng)
        if name == "noisy-movie" and movie is not None:
            noise = self.rng.uniform(0, config.movie_noise)
            return NoisyMovie(nearest_actions(movie, self.actions), random, noise, self.rng)
        if name == "hold-right":
            return HoldRight(*self._pair("RIGHT"), self.rng)
        if name == "jerk":
            return Jerk(self._pair("RIGHT"), self._pair("LEFT"), self.rng)
        return random

    def _pair(self, direction: str) -> tuple[int, int]:
        """The actions that walk and jump in a direction."""
        try:
            return self.actions.index(direction), self.actions.index(f"{direction} B")
        except ValueError:
            raise UsageError(
                "collect.behaviours: hold-right and jerk need the actions"
                f" {direction!r} and '{direction} B' among agent.actions"
            ) from None


def nearest_actions(movie: np.ndarray, actions: tuple[str, ...]) -> np.ndarray:
    """The index of the action with the fewest buttons different, for each row (T, 12): (T,)."""
    table = action_table(actions)
    different = (movie[:, None, :] != table[None, :, :]).sum(axis=2)
    return different.argmin(axis=1)
