"""How every benchmark reports: a table for people, then one line of JSON for machines."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def report(title: str, rows: Sequence[Sequence[str]], figures: dict) -> None:
    """Print `rows` (the first one holds the column names) and, as the last line, `figures`.

    The first column is aligned left, the others right. `figures` must be JSON.
    """
    header, *body = rows
    table = Table(title=title, title_justify="left")
    for column, name in enumerate(header):
        table.add_column(name, justify="left" if column == 0 else "right")
    for row in body:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)
    print(json.dumps(figures), flush=True)
