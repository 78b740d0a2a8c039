"""Tables for a terminal that keep their most important column whole, however narrow it is.

Their cells may come from strangers: a text is cleaned and never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from retro_common.text import clean


@dataclass(frozen=True)
class Column:
    """A column of a `FittedTable`."""

    heading: str
    right: bool = False
    """whether its cells stand at the right, as numbers do"""
    footer: str = ""
    drop: int = 0
    """where the table is too wide, columns are left out in the order of these numbers; 0: never"""


class FittedTable:
    """A table that leaves columns out where the terminal is too narrow, and never cuts a cell.

    If even its indispensable columns are too wide together, long cells continue on the next line.
    """

    def __init__(
        self, title: str, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]
    ) -> None:
        """
        Args:
            title: a line above the table.
            columns: its columns.
            rows: a cell for each column; a `Text` where the cell has a style.
        """
        self._title = title
        self._columns = columns
        self._rows = [list(row) for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        droppable = sorted(column.drop for column in self._columns if column.drop)
        for dropped in (0, *droppable):
            shown = [i for i, column in enumerate(self._columns) if not 0 < column.drop <= dropped]
            table = self._table(shown, no_wrap=True)
            if Measurement.get(console, options.update(max_width=10_000), table).maximum <= (
                options.max_width
            ):
                break
        else:
            table = self._table(shown, no_wrap=False)
        yield table

    def _table(self, shown: Sequence[int], *, no_wrap: bool) -> Table:
        table = Table(
            title=plain(self._title),
            title_justify="left",
            show_footer=any(column.footer for column in self._columns),
            footer_style="bold",
        )
        for i in shown:
            column = self._columns[i]
            table.add_column(
                plain(column.heading),
                plain(column.footer),
                justify="right" if column.right else "left",
                no_wrap=no_wrap,
                overflow="fold",
            )
        for row in self._rows:
            table.add_row(*(plain(row[i]) for i in shown))
        return table


def plain(text: str | Text) -> Text:
    """A text for a terminal: cleaned, and without a meaning as markup; a `Text` stays."""
    return text if isinstance(text, Text) else Text(clean(text))


def number(value: float | None) -> str:
    """One decimal, thousands apart; a dash for None."""
    return "–" if value is None else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """For example `2 h 05 min`, `3 min 20 s`, `12 s`."""
    seconds = max(0, round(seconds))
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
    if seconds >= 60:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds} s"
