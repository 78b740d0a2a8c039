"""Movies to watch: stable-retro's bk2 files, and Pangolin Dash's JSON movies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pretrain.data.movies import read_movie
from retro_common.errors import UsageError
from retro_contest.emulator.environment import FRAME_SKIP
from retro_contest.emulator.recordings import Recording, known_levels, read_bk2

SUFFIXES = (".bk2", ".json")


def read_recording(path: Path) -> Recording:
    """Read a movie: ``*.bk2``, or ``STATE.json`` as in `pretrain.data.movies`.

    Raises:
        UsageError: it is not such a file, or its level does not exist.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    return read_bk2(path) if path.suffix == ".bk2" else _read_json(path)


def _read_json(path: Path) -> Recording:
    # The game notices an end one frame late: the last inputs are followed by an idle timestep.
    buttons = np.pad(read_movie(path), ((0, 1), (0, 0))).repeat(FRAME_SKIP, axis=0)
    found = [level for level in known_levels() if level.state == path.stem]
    if len(found) != 1:
        what = "no level" if not found else f"{len(found)} levels"
        raise UsageError(f"{path}: {what} named {path.stem!r}: a movie is named after its level")
    return Recording(found[0], None, buttons)
