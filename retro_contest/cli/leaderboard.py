"""`retro-contest leaderboard`"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Leaderboard:
    """Rank evaluated submissions: a table, a page, pictures.

    A folder that is damaged, or whose files are not those that the evaluation wrote, costs its own
    row only. Exits with 0, or with 1 if no folder could be read.
    """

    results: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="DIR", help_behavior_hint="(required)")
    ]
    """Results folders of evaluations, or folders that hold some directly."""
    html: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a page in one file."""
    pictures: Annotated[Path | None, arg(metavar="DIR")] = None
    """Write the page's pictures as PNG files."""

    def run(self) -> int:
        # Not at the top: they load the libraries that draw, which takes a second.
        from retro_contest.board.leaderboard import (
            load_boards,
            rank_tables,
            write_page,
            write_pictures,
        )

        found = load_boards(self.results)
        Console().print(rank_tables(found))
        if self.html is not None:
            write_page(found, self.html)
            print(f"wrote {self.html}")
        if self.pictures is not None:
            for picture in write_pictures(found, self.pictures):
                print(f"wrote {picture}")
        return 0 if found.boards else 1
