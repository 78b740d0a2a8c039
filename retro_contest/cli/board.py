"""`retro-contest board`"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, Positional, arg

from retro_common.errors import UsageError


@dataclass(frozen=True)
class Board:
    """Rank evaluated submissions: a table here, or a web site; or show a server's board.

    A folder that is damaged, or whose files are not those that the evaluation wrote, costs its own
    row only. Exits with 0, or with 1 if no folder could be read.
    """

    results: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="DIR", help_behavior_hint="(or --server)")
    ] = ()
    """Results folders of evaluations, or folders that hold some directly."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Write a web site there: static pages, board.json and board.csv."""
    server: Annotated[str, arg(metavar="URL")] = ""
    """Show the board of a contest's server, for everybody; no login is needed."""
    final: FlagCreatePairsOff[bool] = False
    """With --server: the board of the final, once it is revealed."""

    def run(self) -> int:
        if self.server:
            return self._of_server()
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

    def _of_server(self) -> int:
        from retro_contest.board.terminal import tables_of_server
        from retro_contest.entry.remote import connect

        if self.results or self.out is not None:
            raise UsageError("--server shows a server's board: no folders and no --out beside it")
        found = connect(self.server, logged_in=False)
        boards = found.get("board.json", phase="final" if self.final else "open")["boards"]
        if not boards:
            print("no job has finished yet")
        Console().print(tables_of_server(boards))
        return 0
