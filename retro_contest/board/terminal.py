"""Boards as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from retro_contest.board.boards import Board, Boards, Submission
from retro_contest.board.references import Reference
from retro_contest.tables import Column, FittedTable, number


def rank_tables(found: Boards) -> Group:
    """The boards for a terminal: for each a ranking and, with several levels, a table of those."""
    parts: list[FittedTable | Text] = []
    for board in found.boards:
        parts.append(_ranking(board))
        if len(board.levels) > 1:
            parts.append(_by_level(board))
    parts += [Text(note) for note in found.notes]
    return Group(*parts)


def tables_of_server(boards: Sequence[Mapping[str, Any]]) -> Group:
    """The same rankings from a `board.json`.

    Args:
        boards: its list of boards.
    """
    columns = [
        Column("", right=True),
        Column("submission"),
        Column("score", right=True),
        Column("95% interval", right=True, drop=2),
        Column("submitted", drop=1),
    ]
    tables = []
    for board in boards:
        lines = [(row, str(row["rank"] or "")) for row in board["rows"]]
        lines += [(reference, "") for reference in board["references"]]
        lines.sort(key=lambda line: (line[0]["score"] is None, -(line[0]["score"] or 0.0)))
        rows = []
        for line, rank in lines:
            remark = line.get("remark") if "rank" in line else "reference"
            rows.append(
                [
                    rank,
                    f"{line['name']} ({remark})" if remark else line["name"],
                    number(line["score"]),
                    "–" if not line["ci95"] else " to ".join(number(end) for end in line["ci95"]),
                    line.get("time", ""),
                ]
            )
        title = f"{board['name']}: {board['timesteps']:,} timesteps per run"
        tables.append(FittedTable(title, columns, rows))
    return Group(*tables)


def _interval(submission: Submission | Reference) -> str:
    if submission.interval is None:
        return "–"
    low, high = submission.interval
    return f"{number(low)} to {number(high)}"


def _ranking(board: Board) -> FittedTable:
    columns = [
        Column("", right=True),
        Column("submission"),
        Column("score", right=True),
        Column("95% interval", right=True, drop=4),
        Column("levels", right=True, drop=1),
        Column("runs", right=True, drop=2),
        Column("timesteps played", right=True, drop=5),
        Column("verdict"),
    ]
    submitted = any(row.submission.image for row in board.rows)
    if submitted:
        columns.append(Column("image", drop=3))
    rows = []
    for line in board.lines:
        if isinstance(line, Reference):
            name = f"{line.name} (reference)"
            cells = ["", name, number(line.score), _interval(line), *[""] * 4]
        else:
            submission, remark = line.submission, line.submission.remark
            cells = [
                "" if line.rank is None else str(line.rank),
                f"{submission.name} ({remark})" if remark else submission.name,
                number(submission.score),
                _interval(submission),
                str(len(board.levels)),
                str(len(submission.results.summary.levels)),
                submission.played,
                submission.troubles or "all runs ended well",
            ]
        image = "" if isinstance(line, Reference) else line.submission.image
        rows.append([*cells, image] if submitted else cells)
    return FittedTable(board.title, columns, rows)


def _by_level(board: Board, most: int = 6) -> FittedTable:
    """Levels as rows: there can be many. The first `most` submissions as columns."""
    shown = [row.submission for row in board.rows[:most]]
    columns = [Column("level")]
    # Where the terminal is narrow, the last submissions are left out first.
    columns += [
        Column(submission.name, right=True, drop=0 if i == 0 else len(shown) - i)
        for i, submission in enumerate(shown)
    ]
    one_game = len({level.partition("/")[0] for level in board.levels}) == 1
    rows = []
    for level in board.levels:
        name = level.partition("/")[2] if one_game else level
        scores = (number(submission.level_score(level)) for submission in shown)
        rows.append([name, *scores])
    return FittedTable("score by level", columns, rows)
