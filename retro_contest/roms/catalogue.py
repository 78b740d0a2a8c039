"""Which ROMs are wanted: the Mega Drive games of stable-retro, and of a person's own levels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from retro_contest.levels import Level
from retro_contest.rom_files import find_rom, is_changed, stable_retro_games, wanted

REVISIONS = {
    "6ddb7de1e17e7f6cdb88927bd906352030daa194": (
        "Sonic the Hedgehog, revision 00",
        "SonicTheHedgehog-Genesis-v0",
    ),
    "2af1003247aec262089c8df22d05e80d04a1b5e4": (
        "Sonic the Hedgehog 2, revision 02",
        "SonicTheHedgehog2-Genesis-v0",
    ),
}
"""SHA-1 of a ROM that will not do -> what it is, and the game that needs another"""
TITLES = {
    "SONIC THE HEDGEHOG": "SonicTheHedgehog-Genesis-v0",
    "SONIC THE HEDGEHOG 2": "SonicTheHedgehog2-Genesis-v0",
    "SONIC THE HEDGEHOG 3": "SonicTheHedgehog3-Genesis-v0",
    "SONIC & KNUCKLES": "SonicAndKnuckles-Genesis-v0",
}
"""title in a ROM's header -> the game that it is, in some revision"""
NEEDED = {
    "SonicTheHedgehog-Genesis-v0": "revision 01",
    "SonicTheHedgehog2-Genesis-v0": "revision 01",
    "SonicTheHedgehog3-Genesis-v0": "that of the USA",
}
"""game -> the revision whose SHA-1 its `rom.sha` has, in words"""
LOCKED_ON = "SonicAndKnuckles3-Genesis-v0"
"""game whose ROM is a cartridge that another is plugged into: first the lower, then the upper"""
LOWER, UPPER = "SonicAndKnuckles-Genesis-v0", "SonicTheHedgehog3-Genesis-v0"


@dataclass(frozen=True)
class Game:
    """A game whose ROM may be imported or made."""

    folder: Path
    """its integration folder, whose name is the game's"""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-1s of the ROMs that will do"""
        return wanted(self.folder)

    @property
    def rom(self) -> Path | None:
        """its ROM, or None where it is missing"""
        return find_rom(self.folder)

    @property
    def changed(self) -> bool:
        """whether its ROM is made from that of another game"""
        return is_changed(self.folder)


@dataclass
class Catalogue:
    """The games that a search looks for."""

    games: tuple[Game, ...]
    by_digest: dict[str, list[Game]] = field(init=False, default_factory=dict)
    """SHA-1 of a ROM -> the games that it is the ROM of"""

    def __post_init__(self) -> None:
        for game in self.games:
            for digest in game.digests:
                self.by_digest.setdefault(digest, []).append(game)

    def named(self, name: str) -> Game | None:
        """The game of that name, if it is here; the first of several."""
        return next((game for game in self.games if game.name == name), None)


def catalogue(more: Iterable[Level] = ()) -> Catalogue:
    """The Mega Drive games that stable-retro knows, and those of some levels.

    Args:
        more: levels of games of one's own, whose folders have a `rom.sha`.
    """
    folders = [level.folder for level in more]
    for kind in ("stable", "contrib"):
        folders += sorted(stable_retro_games(kind).glob("*-Genesis*"))
    games = [Game(folder.absolute()) for folder in folders]
    return Catalogue(tuple(game for game in dict.fromkeys(games) if game.digests))
