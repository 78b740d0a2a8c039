"""This user's folder of ROMs: what is written there is whole, and what it says it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_contest.rom_files import digest, own_rom
from retro_contest.roms.catalogue import Game


def good_rom(game: Game) -> Path | None:
    """The game's ROM, if it is here and is the right one."""
    rom = game.rom
    try:
        return rom if rom is not None and digest("sha1", rom) in game.digests else None
    except OSError:
        return None


def keep(game: Game, content: bytes) -> Path:
    """Store a ROM of a game; returns its file. A file that is there and right stays as it is.

    Raises:
        UsageError: the folder cannot be written to.
        ValueError: it is not a ROM of that game.
    """
    sha1 = hashlib.sha1(content).hexdigest()
    if sha1 not in game.digests:
        raise ValueError(f"not the ROM of {game.name}")
    file = own_rom(sha1, game.name)
    try:
        if file.is_file() and digest("sha1", file) == sha1:
            return file
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content)
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror} (the environment variable XDG_DATA_HOME names "
            "another folder for it)"
        ) from None
    return file
