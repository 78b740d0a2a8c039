"""`retro-contest roms import`, `retro-contest roms patch`"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.levels import Level, find
from retro_contest.rom_files import own_roms
from retro_contest.roms.catalogue import catalogue
from retro_contest.roms.importing import Kind, import_roms
from retro_contest.roms.patching import patch_roms
from retro_contest.roms.readiness import games_of, readiness

LINES = 40
"""files that are no ROMs which are listed one by one"""
LENGTH = 600
"""characters of a sentence"""


@dataclass(frozen=True)
class Import:
    """Find the ROMs of known games in files, folders and zip archives, and import them.

    A ROM is known by its content, whatever its name: plain, as a Super Magic Drive dump, with its
    bytes swapped, behind a copier's header, or padded. Sonic & Knuckles and Sonic 3 are put
    together where both are found. For every other file one line says what it is, and which ROM is
    needed. ROMs go into a folder of this user's; nothing of stable-retro's is written to. Exits
    with 0 if a known ROM was found, else with 1.
    """

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH...")]
    """Files and folders to search."""
    levels: Annotated[str, arg(metavar="LEVELS")] = ""
    """Levels of games of your own, whose ROMs are wanted, too: FILE.yaml or DIR/GAME."""

    def run(self) -> int:
        if not self.paths:
            raise UsageError("retro-contest roms import needs the files or folders to search")
        own = find(self.levels) if self.levels else []
        counts: Counter[Kind] = Counter()
        for finding in import_roms(self.paths, catalogue(own)):
            counts[finding.kind] += 1
            if finding.kind is not Kind.OTHER or counts[Kind.OTHER] <= LINES:
                where = f"{clean(finding.name, 300)}: " if finding.name else ""
                print(f"{where}{clean(finding.sentence, LENGTH)}", flush=True)
        if counts[Kind.OTHER] > LINES:
            print(f"... and {counts[Kind.OTHER] - LINES:,} more files that are no ROMs")
        print(
            f"{counts[Kind.IMPORTED]} imported into {clean(own_roms(), 300)}, "
            f"{counts[Kind.PRESENT]} already here, {counts[Kind.REFUSED]} not usable"
        )
        _print_sets(own, self.levels)
        found = counts[Kind.IMPORTED] + counts[Kind.PRESENT]
        return 0 if found and not counts[Kind.ENDED] else 1


@dataclass(frozen=True)
class Patch:
    """Make the ROMs of changed games: the secret levels of 2018, from the ROMs of Sonic.

    Applies the change (VCDIFF) in a game's folder to the ROM of the original, which must have been
    imported, and checks the hash of the result. Exits with 0 if every one is here then, else with
    1.
    """

    levels: Annotated[str, arg(metavar="LEVELS")] = ""
    """Levels whose games are made: a level set, GAME/STATE, FILE.yaml or DIR/GAME; without it all
    that stable-retro has."""

    def run(self) -> int:
        own = find(self.levels) if self.levels else []
        known = catalogue(own)
        games = [game for game in games_of(own) or known.games if game.changed]
        failed = 0
        for made in patch_roms(games, known):
            failed += not made.good
            mark = "ok  " if made.good else "FAIL"
            print(f"{mark}  {made.game}: {clean(made.sentence, LENGTH)}", flush=True)
        if not games:
            print("none of these games is a changed one: there is nothing to do")
        _print_sets(own, self.levels)
        return 1 if failed else 0


@dataclass(frozen=True)
class Roms:
    """Import the ROMs that you own, and make those of the secret levels of 2018 from them."""

    command: (
        Annotated[Import, subcommand(name="import", prefix_name=False)]
        | Annotated[Patch, subcommand(name="patch", prefix_name=False)]
    )

    def run(self) -> int:
        return self.command.run()


def _print_sets(own: list[Level], name: str) -> None:
    for each in readiness(own, name):
        print(f"{clean(each.name)}: {clean(each.words, LENGTH)}")
