"""`retro-contest levels`"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import yaml
from rich.console import Console
from rich.table import Table
from tyro.conf import FlagCreatePairsOff, Positional, arg

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.levels import check_playable, find, hashes_of, load_sets, rom_file
from retro_contest.tables import plain


@dataclass(frozen=True)
class Levels:
    """List the level sets, or the levels of one."""

    levels: Annotated[Positional[str], arg(metavar="LEVELS", help_behavior_hint="(optional)")] = ""
    """A level set, GAME/STATE, STATE, DIR/GAME, DIR/GAME/STATE or FILE.yaml; nothing for the list
    of sets."""

    hashes: FlagCreatePairsOff[bool] = False
    """Print the hashes of the levels' files as they are now, as the key `hashes` of levels.yaml."""

    def run(self) -> int:
        if self.hashes:
            print(yaml.safe_dump({"hashes": hashes_of(find(self.levels))}, sort_keys=False), end="")
        elif self.levels:
            console = Console()
            console.print(self._levels())
            for line in self._missing():
                console.print(clean(line, 2000), markup=False, highlight=False, soft_wrap=True)
        else:
            Console().print(self._sets())
        return 0

    def _missing(self) -> list[str]:
        """For each game whose ROM is missing or wrong: which one it needs, and how to get it."""
        lines: dict[str, str] = {}
        for level in find(self.levels):
            if level.game not in lines:
                try:
                    check_playable([level])
                except UsageError as error:
                    lines[level.game] = str(error)
        return list(lines.values())

    def _sets(self) -> Table:
        table = Table("level set", "split", "levels", "ROMs", "description")
        table.columns[0].no_wrap = True
        table.columns[2].justify = "right"
        for levels in load_sets().values():
            missing = {level.game for level in levels.levels if rom_file(level) is None}
            roms = f"{len(missing)} missing" if missing else "found"
            row = levels.name, levels.split, str(len(levels.levels)), roms, levels.description
            table.add_row(*row)
        return table

    def _levels(self) -> Table:
        table = Table("game", "state", "ROM", title=plain(self.levels), title_justify="left")
        for column in table.columns:
            column.overflow = "fold"
        for level in find(self.levels):
            rom = "found" if rom_file(level) else "missing"
            table.add_row(plain(level.game), plain(level.state), rom)
        return table
