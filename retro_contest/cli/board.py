"""`retro-contest board`"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Board:
    """Rank evaluated submissions: a table here, or a web site.

    A folder that is damaged, or whose files are not those that the evaluation wrote, costs its own
    row only. Exits with 0, or with 1 if no folder could be read.
    """

    results: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="DIR", help_behavior_hint="(required)")
    ]
    """Results folders of evaluations, or folders that hold some directly."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Write a web site there: static pages, board.json and board.csv."""

    def run(self) -> int:
        # Not at the top: they load libraries that the other commands do not need.
        from retro_contest.board.boards import load_boards
        from retro_contest.board.terminal import rank_tables

        found = load_boards(self.results)
        Console().print(rank_tables(found))
        if self.out is not None:
            from retro_contest.board.site import write_site
            from retro_contest.board.snapshots import snapshot

            write_site(found, self.out, snapshot)
            print(f"wrote {self.out / 'index.html'}")
        return 0 if found.boards else 1
