"""`jerk`: "Just Enough Retained Knowledge", the contest's scripted baseline.

Written from its description in "Gotta Learn Fast" (arXiv 1804.03720). It looks at rewards only.

- Exploring: go right for 100 timesteps, jumping at random. If that brought no reward, go back left
  for 70. Repeat until the episode ends. The actions up to the episode's highest sum of
  rewards are retained.
- Exploiting: replay the retained sequence whose mean result is the highest, then stand still until
  the episode ends. Its result is averaged in: with sticky actions a replay can fail.
- The probability of exploiting is 0.25 + the used share of the budget, so that the end of the
  contest is played with the best sequences.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from gym_remote.client import RemoteEnv
from retro_contest.agents.client import Jumps, main, press

EXPLOIT_BIAS = 0.25
RIGHT_STEPS = 100
LEFT_STEPS = 70


@dataclass
class Solution:
    """A sequence of actions, and the results it had so far."""

    actions: list[np.ndarray]
    results: list[float]

    @property
    def mean(self) -> float:
        return sum(self.results) / len(self.results)


class Episode:
    """Plays one episode of `env` and keeps its actions and its rewards summed up so far."""

    def __init__(self, env: RemoteEnv) -> None:
        self._env = env
        self._actions: list[np.ndarray] = []
        self._totals: list[float] = []
        self.done = False
        env.reset()

    @property
    def timesteps(self) -> int:
        """Timesteps of the budget it took: its reset and its steps."""
        return 1 + len(self._actions)

    @property
    def total(self) -> float:
        return self._totals[-1] if self._totals else 0.0

    def step(self, action: np.ndarray) -> None:
        _, reward, terminated, truncated, _ = self._env.step(action)
        self._actions.append(action)
        self._totals.append(self.total + reward)
        self.done = terminated or truncated

    def best(self) -> Solution:
        """The actions up to the highest sum of rewards."""
        peak = int(np.argmax(self._totals))
        return Solution(self._actions[: peak + 1], [self._totals[peak]])


def explore(episode: Episode, rng: np.random.Generator) -> None:
    while not episode.done:
        before = episode.total
        run(episode, "RIGHT", RIGHT_STEPS, Jumps(rng))
        if episode.total <= before:
            run(episode, "LEFT", LEFT_STEPS, Jumps(rng))


def run(episode: Episode, direction: str, timesteps: int, jumps: Jumps) -> None:
    """Hold one direction for some timesteps, or until the episode ends."""
    walk, jump = press(direction), press(direction, "B")
    for _ in range(timesteps):
        if episode.done:
            return
        episode.step(jump if jumps.next() else walk)


def exploit(episode: Episode, solution: Solution) -> None:
    for action in solution.actions:
        if episode.done:
            break
        episode.step(action)
    while not episode.done:
        episode.step(press())
    solution.results.append(episode.total)


def play(env: RemoteEnv, rng: np.random.Generator, timesteps: int) -> None:
    solutions: list[Solution] = []
    used = 0
    while True:
        episode = Episode(env)
        if solutions and rng.random() < EXPLOIT_BIAS + used / timesteps:
            exploit(episode, max(solutions, key=lambda solution: solution.mean))
        else:
            explore(episode, rng)
            solutions.append(episode.best())
        used += episode.timesteps


if __name__ == "__main__":
    sys.exit(main("Play JERK: explore to the right, replay the best actions.", play))
