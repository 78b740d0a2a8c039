"""The figures of the boards for programs: `board.json` and `board.csv`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retro_common.text import clean
from retro_contest.board.boards import Board, Boards, Submission


def write(found: Boards, folder: Path) -> None:
    """Write both files into a folder; OSError if they cannot be written."""
    (folder / "board.json").write_text(as_json(found))
    (folder / "board.csv").write_text(as_csv(found))


def as_json(found: Boards) -> str:
    """The content of `board.json`."""
    content = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "boards": [_record(board) for board in found.boards],
    }
    return json.dumps(content, indent=1, allow_nan=False)


def as_csv(found: Boards) -> str:
    """The content of `board.csv`: a line for each run of each evaluation."""
    return _csv(found.boards)


def _record(board: Board) -> dict[str, Any]:
    return {
        "name": board.name,
        "levels": list(board.levels),
        "timesteps": board.timesteps,
        "wallclock": board.wallclock,
        "benchmark": board.frozen or None,
        "rows": [
            {
                "rank": row.rank,
                "change": row.change,
                **_figures(row.submission),
                "history": [_figures(before) for before in row.history],
            }
            for row in board.rows
        ],
        "references": [
            {
                "name": reference.name,
                "source": reference.source,
                "score": reference.score,
                "ci95": reference.interval,
                "scores": reference.scores,
            }
            for reference in board.references
        ],
    }


def _figures(submission: Submission) -> dict[str, Any]:
    summary, record = submission.results.summary, submission.results.record
    return {
        "name": submission.name,
        "agent": submission.agent,
        "id": clean(summary.id),
        "time": clean(submission.time),
        "score": submission.score,
        "ci95": submission.interval,
        "iqm": submission.iqm,
        "remark": submission.remark or None,
        "benchmark": submission.results.benchmark or None,
        "scores": submission.scores,
        "timesteps_played": sum(run.timesteps for run in summary.levels),
        "verdicts": sorted({run.verdict for run in summary.levels}),
        "image": record and clean(record.image),
        "digest": record and record.digest and clean(record.digest),
        "commit": clean(record.commit if record else summary.commit),
    }


def _csv(boards: Iterable[Board]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    head = ("board", "timesteps", "rank", "name", "time", "level", "seed", "score", "verdict")
    table.writerow(head)
    for board in boards:
        for row in board.rows:
            for submission in (*row.history, row.submission):
                rank = row.rank if submission is row.submission else None
                for run in submission.results.summary.levels:
                    cells = (board.name, board.timesteps, rank, submission.name, submission.time)
                    of_run = (run.level, run.seed, run.score, run.verdict)
                    table.writerow([_cell(cell) for cell in (*cells, *of_run)])
    return text.getvalue()


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if type(value) is not str:
        return "" if value is None else value
    value = clean(value)
    return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value
