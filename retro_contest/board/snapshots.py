"""Pictures of the starts of levels, for the pages of a board.

A process can hold one emulator only, so each picture is made by a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

from retro_common.errors import UsageError
from retro_contest.levels import check_playable, find_one

SECONDS = 60.0  # that a picture may take
NOOPS = 8  # timesteps before the picture: a level begins with a fade


def snapshot(level: str, path: Path) -> bool:
    """Write a picture of a level's start as PNG.

    Returns:
        Whether it was made: not where the level is unknown or cannot be played here.
    """
    try:
        check_playable([find_one(level)])
    except UsageError:
        return False
    command = [sys.executable, "-m", "retro_contest.board.snapshots", level, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and path.is_file()


def png(picture: np.ndarray) -> bytes:
    """A PNG file of a picture, uint8 (height, width, 3)."""
    height, width, _ = picture.shape
    # Each line begins with its filter: 0, none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)
    head = b"".join(number.to_bytes(4) for number in (width, height)) + bytes((8, 2, 0, 0, 0))
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in chunks
    )


def _write(level: str, path: str) -> None:
    from retro_contest.emulator.make import make

    env = make(level, seed=0, sticky=0.0, draw_all=True)
    try:
        observation, _ = env.reset()
        for _ in range(NOOPS):
            observation, *_ = env.step(np.zeros(12, np.int8))
    finally:
        env.close()
    Path(path).write_bytes(png(observation))


if __name__ == "__main__":
    _write(sys.argv[1], sys.argv[2])
