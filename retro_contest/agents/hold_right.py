"""`hold-right`: holds right all the time and jumps now and then."""

from __future__ import annotations

import sys

import numpy as np

from gym_remote.client import RemoteEnv
from retro_contest.agents.client import Jumps, main, press


def play(env: RemoteEnv, rng: np.random.Generator, timesteps: int) -> None:
    walk, jump = press("RIGHT"), press("RIGHT", "B")
    while True:
        env.reset()
        jumps = Jumps(rng)
        done = False
        while not done:
            _, _, terminated, truncated, _ = env.step(jump if jumps.next() else walk)
            done = terminated or truncated


if __name__ == "__main__":
    sys.exit(main("Hold right, with random jumps.", play))
