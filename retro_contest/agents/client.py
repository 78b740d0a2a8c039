"""Shared by the built-in agents: their command line, and how they take the end of the contest."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

import numpy as np

from gym_remote.client import RemoteEnv
from gym_remote.exceptions import GymRemoteError, TimestepTimeoutError, WallClockTimeoutError
from gym_remote.spaces import BUTTONS

# An agent's main loop: plays until the contest ends, which raises an exception.
# Arguments: environment, random generator, timesteps of the budget.
Loop = Callable[[RemoteEnv, np.random.Generator, int], None]


def press(*buttons: str) -> np.ndarray:
    """The MultiBinary(12) action that holds these buttons of the Mega Drive pad."""
    return np.array([name in buttons for name in BUTTONS], dtype=np.uint8)


class Jumps:
    """Random jumps: one starts with `chance` in each timestep without one; lasts `length`."""

    def __init__(self, rng: np.random.Generator, chance: float = 0.1, length: int = 4) -> None:
        self._rng = rng
        self._chance = chance
        self._length = length
        self._left = 0

    def next(self) -> bool:
        """Whether the jump button is held in the next timestep."""
        if self._left == 0 and self._rng.random() < self._chance:
            self._left = self._length
        jumping = self._left > 0
        self._left -= jumping
        return jumping


def main(description: str, loop: Loop) -> int:
    """Run an agent from the command line; its exit code. The end of the budget is success."""
    arguments = _parse(description)
    env = None
    try:
        env = RemoteEnv(arguments.socket)
        loop(env, np.random.default_rng(arguments.seed), arguments.timesteps)
    except (TimestepTimeoutError, WallClockTimeoutError):
        return 0
    except (GymRemoteError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        if env is not None:
            env.close()
    return 0


def _parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--socket",
        metavar="DIR",
        default=os.environ.get("RETRO_CONTEST_SOCKET", "tmp/sock"),
        help="directory of the contest's socket (default: %(default)s)",
    )
    parser.add_argument(
        "--timesteps",
        metavar="N",
        type=int,
        default=int(os.environ.get("RETRO_CONTEST_TIMESTEPS", "1000000")),
        help="the contest's budget, to plan with (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=int(os.environ.get("RETRO_CONTEST_SEED", "0")),
        help="seed of the agent's own randomness (default: %(default)s)",
    )
    return parser.parse_args()
