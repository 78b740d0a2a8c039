"""Where a game's ROM lies, and which one it must be.

Integration folders name their ROM by SHA-1 in `rom.sha`, one or several, one a line. The ROM itself
lies in the integration folder, where stable-retro's own import puts it, or in this user's folder of
ROMs, where `retro-contest roms` puts it: as `SHA1/GAME/rom.md`, so that two games of one name, or
two revisions of one game, are never in each other's way.

A game whose folder holds a `rom.delta` is a changed one: its ROM is made from that of another game,
its source. The folder's `rom.source` names the source's ROM by SHA-1, as `rom.sha` does its own.
The six changed games of 2018 have no such file; `SOURCES` is that of theirs.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from pathlib import Path

from retro_common.errors import UsageError

NO_ROM = {".sha", ".delta", ".source", ".json"}
"""suffixes of files called `rom.*` that are no ROM"""
ROM_NAME = "rom.md"
"""name of a Mega Drive ROM; stable-retro knows the console by it"""

SOURCES = {
    "SonicTheHedgehogCustomCathy-Genesis": "SonicTheHedgehog-Genesis-v0",
    "SonicTheHedgehogCustomKevin-Genesis": "SonicTheHedgehog-Genesis-v0",
    "SonicTheHedgehogCustomLeaderboard-Genesis": "SonicTheHedgehog-Genesis-v0",
    "SonicTheHedgehog2CustomKevin-Genesis": "SonicTheHedgehog2-Genesis-v0",
    "SonicTheHedgehog2CustomLeaderboard-Genesis": "SonicTheHedgehog2-Genesis-v0",
    "SonicAndKnuckles3CustomKevin-Genesis": "SonicAndKnuckles3-Genesis-v0",
}
"""changed game -> the game of stable-retro that it was most likely made from: inferred from names
and sizes, written nowhere. Windows of a delta carry checksums, so a wrong source is noticed."""


def stable_retro_games(kind: str) -> Path:
    """stable-retro's folder of integration folders; `kind` is `stable` or `contrib`."""
    # Found without importing it: the import would load the emulator library, only to list names.
    spec = importlib.util.find_spec("stable_retro")
    if spec is None or spec.origin is None:
        raise UsageError("stable-retro is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent / "data" / kind


def own_roms() -> Path:
    """This user's folder of ROMs: below `XDG_DATA_HOME`, or `~/.local/share`."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home).absolute() / "retro-contest-kit" / "roms"


def own_rom(digest: str, game: str) -> Path:
    """The file of a ROM in this user's folder, whether it is there or not."""
    return own_roms() / digest / game / ROM_NAME


def find_rom(folder: Path) -> Path | None:
    """The ROM of the game with this integration folder, or None where it is missing.

    In this user's folder, else in the integration folder. Its content is not looked at.
    """
    for digest in wanted(folder):
        rom = own_rom(digest, folder.name)
        if rom.is_file():
            return rom
    roms = [rom for rom in sorted(folder.glob("rom.*")) if rom.suffix not in NO_ROM]
    return roms[0] if roms else None


def wanted(folder: Path) -> tuple[str, ...]:
    """SHA-1s of the ROMs that will do for a game: its `rom.sha`; nothing without that file."""
    return _digests(folder / "rom.sha")


def sources(folder: Path) -> tuple[str, ...]:
    """SHA-1s of the ROMs that a changed game may be made from; nothing if none is known."""
    found = _digests(folder / "rom.source")
    if not found and folder.name in SOURCES and folder.parent == stable_retro_games("contrib"):
        found = wanted(stable_retro_games("stable") / SOURCES[folder.name])
    return found


def is_changed(folder: Path) -> bool:
    """Whether the game's ROM is made from that of another game."""
    return (folder / "rom.delta").is_file()


def _digests(file: Path) -> tuple[str, ...]:
    try:
        words = file.read_text().lower().split()
    except (OSError, UnicodeDecodeError):
        return ()
    # A digest becomes the name of a folder.
    return tuple(word for word in words if len(word) == 40 and set(word) <= set("0123456789abcdef"))


def digest(name: str, file: Path) -> str:
    """A file's `sha1` or `sha256`, in hexadecimal. Computed once as long as it does not change.

    Raises:
        OSError: the file cannot be read.
    """
    status = file.stat()
    return _digest(name, file, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _digest(name: str, file: Path, *_identity: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, name).hexdigest()
