"""`retro-contest leaderboard`"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Leaderboard:
    """Rank evaluated submissions: a table, a page, pictures."""

    results: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="DIR", help_behavior_hint="(required)")
    ]
    """Results folders of evaluations, or folders that hold some."""
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

        boards = load_boards(self.results)
        Console().print(rank_tables(boards))
        if self.html is not None:
            write_page(boards, self.html)
            print(f"wrote {self.html}")
        if self.pictures is not None:
            for picture in write_pictures(boards, self.pictures):
                print(f"wrote {picture}")
        return 0
