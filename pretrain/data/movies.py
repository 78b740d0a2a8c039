"""Input movies that finish a level, as one button combination per timestep.

Random play never leaves a level's start. A movie (`retro_common.movies` describes the format)
reaches any part of the level: play it up to some timestep, and let another behaviour go on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gym_remote.spaces import BUTTONS
from retro_common.movies import Movie

FRAMES_PER_TIMESTEP = 4


def read_movie(path: Path) -> np.ndarray:
    """The buttons of each whole timestep of a movie, int8 (T, 12).

    Where the buttons change within a timestep, the first frame's count.

    Raises:
        UsageError: not a movie.
    """
    frames = []
    for buttons, count in Movie.load(path).inputs:
        row = np.zeros(len(BUTTONS), np.int8)
        row[[BUTTONS.index(name) for name in buttons]] = 1
        frames += [row] * count
    return np.array(frames, np.int8).reshape(-1, len(BUTTONS))[::FRAMES_PER_TIMESTEP]


def find_movie(folder: Path | None, state: str) -> np.ndarray | None:
    """The movie `STATE.json` of a folder, or None where there is none.

    Raises:
        UsageError: the file is not a movie.
    """
    if folder is None or not (folder / f"{state}.json").exists():
        return None
    return read_movie(folder / f"{state}.json")
