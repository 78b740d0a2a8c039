"""Recorded episodes (stable-retro's bk2 files) played back on the emulator.

A recording holds the buttons of every emulator frame as they were pressed, sticky actions
included: it needs no seed.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stable_retro

from gym_remote.spaces import BUTTONS
from retro_common.errors import UsageError
from retro_contest import levels
from retro_contest.emulator.environment import FRAME_SKIP
from retro_contest.emulator.make import make
from retro_contest.levels import Level


@dataclass
class Recording:
    """The content of a movie."""

    level: Level
    """the level it was played on"""
    initial_state: bytes | None
    """the emulator's state at its beginning; None is the level's own"""
    buttons: np.ndarray
    """buttons held down in each frame after the reset, int8 `(F, 12)`"""


@dataclass
class Timestep:
    """One timestep of a movie."""

    frame: np.ndarray
    """observation before it, uint8 `(224, 320, 3)`"""
    buttons: np.ndarray
    """buttons pressed in it, int8 `(12,)`"""
    reward: float
    """the contest's reward for it"""
    ended: bool
    """whether the level's scenario ended the episode with it"""
    following: np.ndarray
    """observation after it"""


def read_bk2(path: Path, level: Level | None = None) -> Recording:
    """Read a `*.bk2` file.

    Args:
        path: the file.
        level: the level it was played on; None finds it by the game's name and the state that the
            recording begins with.

    Raises:
        UsageError: it is not such a file, or its game is not installed here.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
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
    buttons = np.array(rows, np.int8).reshape(-1, len(BUTTONS))
    state = movie.get_state()
    return Recording(level or _level(path, movie.get_game(), state), state or None, buttons)


def known_levels() -> list[Level]:
    """The levels of all level sets."""
    sets = levels.load_sets().values()
    return list(dict.fromkeys(level for one in sets for level in one.levels))


def _level(path: Path, game: str, state: bytes) -> Level:
    of_game = [level for level in known_levels() if level.game == game]
    if not of_game:
        here = Level(game, "")
        of_game = [Level(game, name) for name in levels.states(here.folder)]
    if not of_game:
        raise UsageError(f"{path}: it was recorded on {game!r}, a game that is not installed here")
    same = [level for level in of_game if state and _initial_state(level) == state]
    return (same or of_game)[0]


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
            yield Timestep(shown, pressed, total, ended, frame)
            if ended:
                return
    finally:
        env.close()
