"""The levels that a person wants to play, and the ROMs of all level sets."""

from __future__ import annotations

from collections.abc import Iterator

from retro_contest.doctor.findings import Line, line
from retro_contest.levels import Level, check_playable, find
from retro_contest.roms.readiness import readiness


def check_levels(name: str) -> tuple[Line, list[Level]]:
    """The line about some levels, and the levels if all of them can be played."""
    found: list[Level] = []

    def check() -> str:
        levels = find(name)
        check_playable(levels)
        found.extend(levels)
        games = {level.game for level in levels}
        return f"{len(levels)} of {', '.join(sorted(games))} can be played"

    return line(f"levels {name}", check), found


def check_roms() -> Iterator[Line]:
    """Lines about the ROMs of the kit's level sets, one for each way to get those that lack."""
    sets = readiness()
    complete = [each.name for each in sets if not each.missing]
    yield line("ROMs", lambda: f"all of {', '.join(complete)}")
    for mend in dict.fromkeys(each.mend for each in sets if each.missing):
        lacking = ", ".join(each.name for each in sets if each.mend == mend)
        yield Line("note", "ROMs", f"some are missing for {lacking}", mend)
