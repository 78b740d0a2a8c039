"""Where training episodes begin and end: not only at a level's start, and not after minutes on end.

A policy that learns dies early, and would see little but the beginnings of the levels. So episodes
also begin anywhere along a movie that finishes the level, as in "Backplay" (arXiv 1807.06919); what
it learns there it can use in other levels. And where it has been stuck for long, there is nothing
more to learn: a training episode may end there. Contests know neither.

Runs in the emulators' processes: imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import zstandard

from agent.models.frames import ShrinkFrames
from pretrain.data.movies import find_movie
from retro_contest.emulator.environment import ContestEnv

SPACING = 8
"""timesteps between two places of a movie where episodes can begin"""


def states_along(env: ContestEnv, movie: np.ndarray) -> list[bytes]:
    """Save-states of the level, compressed, every `SPACING` timesteps of a movie (T, 12).

    The movie is played without sticky actions, under which it would soon miss a jump; one that ends
    the episode earlier than it should gives the states until then.
    """
    sticky, env.sticky = env.sticky, 0.0
    compress = zstandard.ZstdCompressor(level=1).compress
    states = []
    env.reset()
    for t, row in enumerate(movie):
        _, _, terminated, truncated, _ = env.step(row)
        if terminated or truncated:
            break
        if (t + 1) % SPACING == 0:
            states.append(compress(env.retro.em.get_state()))
    env.sticky = sticky
    return states


def wrapper(movies: Path | None, chance: float, patience: int) -> Callable:
    """What `retro_contest.emulator.vector.VectorEnv` wraps training environments with; see `Starts`."""
    return lambda env: Starts(ShrinkFrames(env), movies, chance, patience)


class Starts(gymnasium.Wrapper):
    """An environment for training: see the module's text.

    Args:
        env: has a `ContestEnv` inside.
        movies: folder of input movies (``STATE.json``), or None. A level without a movie always
            begins at its start.
        chance: that an episode begins along the movie.
        patience: timesteps without new ground (no higher sum of rewards) after which an episode is
            truncated; 0 for no such end.
    """

    def __init__(self, env: gymnasium.Env, movies: Path | None, chance: float, patience: int):
        super().__init__(env)
        self._movies, self._chance, self._patience = movies, chance, patience
        self._states: dict[str, list[bytes]] = {}
        self._rng = np.random.default_rng()
        self._decompress = zstandard.ZstdDecompressor().decompress

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self._earned, self._best, self._waited = 0.0, 0.0, 0
        if seed is not None:  # not the environment's own: an episode must depend on `seed` alone
            self._rng = np.random.default_rng([seed, 1])
        if self._rng.random() < self._chance:
            states = self._along(self.unwrapped)
            if states:
                state = self._decompress(states[int(self._rng.integers(len(states)))])
                options = {**(options or {}), "state": state}
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._earned += float(reward)
        self._waited += 1
        if self._earned > self._best:
            self._best, self._waited = self._earned, 0
        truncated = truncated or 0 < self._patience <= self._waited
        return observation, reward, terminated, truncated, info

    def _along(self, env: ContestEnv) -> list[bytes]:
        """The save-states of the level that is played now; made when they are needed first."""
        name = env.level.name
        if name not in self._states:
            movie = find_movie(self._movies, env.level.state)
            self._states[name] = [] if movie is None else states_along(env, movie)
        return self._states[name]
