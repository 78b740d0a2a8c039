"""Input movies that finish a level, as one button combination per timestep.

Random play never leaves a level's start. A movie (see `pangolin_dash.movies` for the format)
reaches any part of the level: play it up to some timestep, and let another behaviour go on.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from gym_remote.spaces import BUTTONS
from retro_common.errors import UsageError

FRAMES_PER_TIMESTEP = 4
NAMES = {"R": "RIGHT", "L": "LEFT", "D": "DOWN", "U": "UP", "B": "B"}


def read_movie(path: Path) -> np.ndarray:
    """The buttons of each whole timestep of a movie, int8 (T, 12).

    Where the buttons change within a timestep, the first frame's count.

    Raises:
        UsageError: not a movie.
    """
    try:
        words = json.loads(path.read_text())["inputs"].split()
        frames = []
        for word in words:
            letters, count = re.fullmatch(r"([RLDUB]+|-)([0-9]+)", word).groups()
            row = np.zeros(len(BUTTONS), np.int8)
            for letter in letters.strip("-"):
                row[BUTTONS.index(NAMES[letter])] = 1
            frames += [row] * int(count)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not an input movie ({type(error).__name__}: {error})") from None
    return np.array(frames, np.int8).reshape(-1, len(BUTTONS))[::FRAMES_PER_TIMESTEP]


def find_movie(folder: Path | None, state: str) -> np.ndarray | None:
    """The movie ``STATE.json`` of a folder, or None where there is none."""
    if folder is None or not (folder / f"{state}.json").exists():
        return None
    return read_movie(folder / f"{state}.json")
