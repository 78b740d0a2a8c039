"""Movies played back frame by frame: stable-retro's bk2 files, and Pangolin Dash's JSON movies."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stable_retro

from gym_remote.spaces import BUTTONS
from pretrain.data.movies import read_movie
from retro_common.errors import UsageError
from retro_contest import levels
from retro_contest.emulator.environment import FRAME_SKIP
from retro_contest.emulator.make import make
from retro_contest.levels import Level

SUFFIXES = (".bk2", ".json")


@dataclass
class Recording:
    """The content of a movie."""

    level: Level
    """the level it was played on"""
    initial_state: bytes | None
    """the emulator's state at its beginning; None is the level's own"""
    buttons: np.ndarray
    """buttons held down in each frame after the reset, int8 (F, 12)"""


@dataclass
class Timestep:
    """One timestep of a movie: the frame, and the buttons (12,) pressed on it."""

    frame: np.ndarray
    buttons: np.ndarray
    reward: float
    ended: bool


def read_recording(path: Path) -> Recording:
    """Read a movie: ``*.bk2``, or ``STATE.json`` as in `pretrain.data.movies`.

    Raises:
        UsageError: it is not such a file, or its level does not exist.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    return _read_bk2(path) if path.suffix == ".bk2" else _read_json(path)


def known_levels() -> list[Level]:
    sets = levels.load_sets().values()
    return list(dict.fromkeys(level for one in sets for level in one.levels))


def _read_json(path: Path) -> Recording:
    # The game notices an end one frame late: the last inputs are followed by an idle timestep.
    buttons = np.pad(read_movie(path), ((0, 1), (0, 0))).repeat(FRAME_SKIP, axis=0)
    found = [level for level in known_levels() if level.state == path.stem]
    if len(found) != 1:
        what = "no level" if not found else f"{len(found)} levels"
        raise UsageError(f"{path}: {what} named {path.stem!r}: a movie is named after its level")
    return Recording(found[0], None, buttons)


def _read_bk2(path: Path) -> Recording:
    try:
        movie = stable_retro.Movie(str(path))
        begun = movie.step()  # the frame of the reset
    except RuntimeError as error:
        raise UsageError(f"{path}: not a bk2 movie ({error})") from None
    if not begun:
        raise UsageError(f"{path}: the movie is empty")
    rows = []
    while movie.step():
        rows.append([movie.get_key(key, 0) for key in range(len(BUTTONS))])
    game, state = movie.get_game(), movie.get_state()
    of_game = [level for level in known_levels() if level.game == game]
    if not of_game:
        here = Level(game, "")
        of_game = [Level(game, name) for name in levels.states(here.folder)]
    if not of_game:
        raise UsageError(f"{path}: it was recorded on {game!r}, a game that is not installed here")
    same = [level for level in of_game if state and _initial_state(level) == state]
    buttons = np.array(rows, np.int8).reshape(-1, len(BUTTONS))
    return Recording((same or of_game)[0], state or None, buttons)


def _initial_state(level: Level) -> bytes:
    path = level.folder / f"{level.state}.state"
    return gzip.decompress(path.read_bytes()) if path.exists() else b""


def play(recording: Recording) -> Iterator[Timestep]:
    """Play it on the emulator, until it ends or the episode does.

    Raises:
        UsageError: the level's ROM is missing.
    """
    env = make(recording.level, frame_skip=1, sticky=0.0, time_limit=1 << 30, draw_all=True)
    try:
        if recording.initial_state is not None:
            env.retro.initial_state = recording.initial_state
        frame, _ = env.reset()
        for first in range(0, len(recording.buttons), FRAME_SKIP):
            shown, total, ended = frame, 0.0, False
            for pressed in recording.buttons[first : first + FRAME_SKIP]:
                frame, reward, ended, _, _ = env.step(pressed)
                total += reward
                if ended:
                    break
            # Sticky actions: the first frame may have the previous action, the last never has.
            yield Timestep(shown, pressed, total, ended)
            if ended:
                return
    finally:
        env.close()
