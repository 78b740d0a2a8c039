"""How every benchmark reports: a table for people, then one line of JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from retro_common.files import write_json
from retro_common.provenance import provenance


def report(
    title: str,
    rows: Sequence[Sequence[Any]],
    figures: Mapping[str, Any],
    to: Path | None = None,
) -> None:
    """Print a table, and as the last line the figures with commit, date and versions, as JSON.

    Args:
        rows: the first one holds the column names; the first column is aligned left, the others
            right.
        figures: fit for JSON.
        to: a file that the same JSON is written to.

    Raises:
        OSError: the file cannot be written.
    """
    figures = {**figures, **provenance()}
    header, *body = rows
    table = Table(title=title, title_justify="left")
    for column, name in enumerate(header):
        table.add_column(name, justify="left" if column == 0 else "right")
    for row in body:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)
    print(json.dumps(figures), flush=True)
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        write_json(to, figures)
