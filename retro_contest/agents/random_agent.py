"""`random`: every button is held or not with equal chance, anew in each timestep."""

from __future__ import annotations

import sys

import numpy as np

from gym_remote.client import RemoteEnv
from retro_contest.agents.client import main


def play(env: RemoteEnv, rng: np.random.Generator, timesteps: int) -> None:
    while True:
        env.reset()
        done = False
        while not done:
            action = rng.integers(0, 2, env.action_space.shape, dtype=np.uint8)
            _, _, terminated, truncated, _ = env.step(action)
            done = terminated or truncated


if __name__ == "__main__":
    sys.exit(main("Play at random.", play))
