"""Which level sets can be played with the ROMs that are here, and what helps where one lacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from retro_contest.levels import Level, load_sets
from retro_contest.rom_files import sources
from retro_contest.roms.catalogue import Catalogue, Game, catalogue
from retro_contest.roms.patching import find_source
from retro_contest.roms.store import good_rom


@dataclass(frozen=True)
class Readiness:
    """Whether the ROMs of some levels are here, and are the right ones."""

    name: str
    """of the level set"""
    missing: tuple[str, ...]
    """games without a ROM, or with a wrong one"""
    mend: str
    """the command that helps; nothing where all is here"""

    @property
    def words(self) -> str:
        """In words, without the set's name."""
        if not self.missing:
            return "every ROM is here"
        return f"no ROM for {', '.join(self.missing)}: {self.mend}"


def readiness(levels: Iterable[Level] = (), name: str = "") -> list[Readiness]:
    """Of each level set of the kit, and of some levels of one's own.

    Args:
        levels: levels of one's own, whose games may be sources, too.
        name: what a person calls those.
    """
    levels = list(levels)
    sets = {each: of.levels for each, of in load_sets().items()}
    option = ""
    if levels and name not in sets:
        sets[name] = tuple(levels)
        option = f" --levels {name}"
    known = catalogue(levels)
    return [_of(each, games_of(of), known, option * (each == name)) for each, of in sets.items()]


def games_of(levels: Iterable[Level]) -> list[Game]:
    """The games of some levels, each once."""
    return list(dict.fromkeys(Game(level.folder.absolute()) for level in levels))


def _of(name: str, games: list[Game], known: Catalogue, option: str) -> Readiness:
    missing = [game for game in games if game.digests and good_rom(game) is None]
    missing += [game for game in games if not game.digests and game.rom is None]
    mend = ""
    if missing:
        makeable = all(
            game.changed and any(find_source(sha1, known) for sha1 in sources(game.folder))
            for game in missing
        )
        mend = f"retro-contest roms patch{option}"
        if not makeable:
            then = f", then {mend}" if any(game.changed for game in missing) else ""
            mend = f"retro-contest roms import PATH{option}{then}"
    return Readiness(name, tuple(game.name for game in missing), mend)
