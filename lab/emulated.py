"""Worlds of a game that has nothing but the emulator, with what an arena asks of native ones."""

from __future__ import annotations

import numpy as np

from agent.models.frames import ShrinkFrames
from pangolin_dash.simulator import DIED, RUNNING, TIME_OVER
from retro_contest.emulator.vector import VectorEnv


class EmulatedWorlds:
    """A level of the emulator's, many times side by side, under the contest's rules.

    Attributes:
        rewards: float32 (N,), the contest's, of the last timestep.
        over: uint8 (N,), how the episode ended with it, as in `pangolin_dash.simulator`.
    """

    def __init__(self, level: str, count: int, *, seed: int):
        """
        Args:
            level: GAME/STATE.

        Raises:
            UsageError: it is unknown, or its ROM is missing.
        """
        self._envs = VectorEnv(level, count, seed=seed % (1 << 32), wrap=ShrinkFrames)
        self._frames, _ = self._envs.reset()
        self.rewards = np.zeros(count, np.float32)
        self.over = np.full(count, RUNNING, np.uint8)

    def step(self, buttons: np.ndarray, *, restart: bool = True) -> None:
        """Play a timestep with buttons held, int8 (N, 12). Episode follows episode, whatever
        `restart` says: emulators cannot wait for one another."""
        self._frames, self.rewards, died, late, _ = self._envs.step(buttons)
        self.over = np.where(died, DIED, np.where(late, TIME_OVER, RUNNING)).astype(np.uint8)

    def draw_small(self, out: np.ndarray | None = None) -> np.ndarray:
        """The frames as agents see them, uint8 (N, 64, 64, 3)."""
        if out is None:
            return self._frames.copy()
        out[:] = self._frames
        return out

    def observe(self) -> np.ndarray:
        """What is read from the game's memory: nothing, (N, 0)."""
        return np.zeros((len(self.over), 0), np.float32)

    def close(self) -> None:
        """End the emulators."""
        self._envs.close()
