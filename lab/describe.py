"""Words for situations, by rules over what a player who reads the game's memory knows.

They name what a frame shows, in place of a vision-language model: for goals that were recorded,
whose memory is known. The places of the numbers are those of pangolin_dash/src/observe.c.
"""

from __future__ import annotations

import numpy as np

from lab.data import Data

SPEED_X, SPEED_Y, ON_GROUND, ROLLING, FACING, LIQUID, HURT, RIDING = 2, 3, 6, 7, 9, 10, 15, 17
FLOORS = 35 + 20 * 13 + 14 * 7
"""where the floor's columns begin, two numbers each: how far below, and whether there is none"""
OWN_COLUMN = 6
"""the column that the player stands in; a column is 16 pixels"""
NEAR = 3
"""columns ahead that are near"""
WALKS, RUNS = 0.5 / 8, 3.0 / 8
"""speeds along x, in 8 pixels a frame: the top speed is 5.5 pixels"""
WORDS = (
    *(
        "thrown back",
        "in a liquid",
        "rises",
        "falls",
        "rides",
        "rolls",
        "runs to a pit",
        "at a pit",
    ),
    *("runs", "walks", "stands"),
)


def describe(memory: np.ndarray) -> np.ndarray:
    """The first word that is true, its place in `WORDS`: int64 (N,).

    Args:
        memory: (N, O), see `lab.data.Seen`.
    """
    memory = memory.astype(np.float32)
    grounded, speed = memory[:, ON_GROUND] > 0, np.abs(memory[:, SPEED_X])
    # The floor's columns from left to right; ahead is where the player looks.
    gaps = memory[:, FLOORS + 1 : FLOORS + 60 : 2] > 0
    right = gaps[:, OWN_COLUMN + 1 : OWN_COLUMN + 1 + NEAR].any(axis=1)
    left = gaps[:, OWN_COLUMN - NEAR : OWN_COLUMN].any(axis=1)
    pit = np.where(memory[:, FACING] > 0, right, left)
    rules = {
        "thrown back": memory[:, HURT] > 0,
        "in a liquid": (memory[:, LIQUID] > 0) & ~grounded,
        "rises": ~grounded & (memory[:, SPEED_Y] < 0),
        "falls": ~grounded,
        "rides": memory[:, RIDING] > 0,
        "rolls": memory[:, ROLLING] > 0,
        "runs to a pit": pit & (speed >= RUNS),
        "at a pit": pit,
        "runs": speed >= RUNS,
        "walks": speed >= WALKS,
        "stands": np.ones(len(memory), bool),
    }
    return np.argmax(np.stack([rules[word] for word in WORDS]), axis=0)


def shares(data: Data) -> dict[str, float]:
    """How often each word is true in recorded data, the most frequent first."""
    counts = np.bincount(describe(data.memory[: len(data)]), minlength=len(WORDS)) / len(data)
    return {WORDS[i]: float(counts[i]) for i in np.argsort(-counts)}
