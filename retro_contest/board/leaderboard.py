"""Results folders of evaluations, ranked: a table for the terminal, a page, pictures.

Only like is ranked with like: submissions are grouped by levels and budget, and each group has a
board of its own. Submissions whose evaluation is incomplete come last and have no rank.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
import numpy as np
from rich.console import Group
from rich.table import Table

from retro_common.errors import UsageError
from retro_common.files import read_json
from retro_contest.board import pictures
from retro_contest.board.submissions import read_record
from retro_contest.runs.monitor import MONITOR_FILE
from retro_contest.runs.progress import number
from retro_contest.runs.results import SUMMARY_FILE, level_scores, mean_score, read_monitor

RESAMPLES = 10_000
GRID = 60  # points of a learning curve


@dataclass(frozen=True)
class Submission:
    """One evaluated agent.

    Attributes:
        name: what the board calls it.
        folder: its results folder.
        summary: content of its ``summary.json``.
        scores: ``GAME/STATE`` -> the scores of its runs.
        score: mean over levels of the mean over runs; None without a run.
        interval: 95% bootstrap interval of the score; None if a level has a single run.
        curve: timesteps and mean reward of the episodes that ended around then, both of shape
            ``(GRID,)``, NaN where no episode did.
        record: content of its ``submission.json``; None for an agent that was not submitted.
    """

    name: str
    folder: Path
    summary: dict[str, Any]
    scores: dict[str, list[float]]
    score: float | None
    interval: tuple[float, float] | None
    curve: tuple[np.ndarray, np.ndarray]
    record: dict[str, Any] | None = None

    @property
    def image(self) -> str:
        """The submitted image, by digest if it was pushed; an empty string without one."""
        if self.record is None:
            return ""
        digest = self.record["digest"]
        return digest.removeprefix("sha256:")[:12] if digest else self.record["image"]

    @property
    def complete(self) -> bool:
        return self.summary["complete"]

    def level_score(self, level: str) -> float | None:
        scores = self.scores.get(level)
        return fmean(scores) if scores else None


@dataclass(frozen=True)
class Board:
    """Submissions that can be compared, the best first.

    Attributes:
        title: level set and budget.
        slug: the same as part of a file name.
        levels: names of the levels, sorted.
        submissions: complete ones by score, then incomplete ones.
    """

    title: str
    slug: str
    levels: tuple[str, ...]
    submissions: tuple[Submission, ...]


def load_boards(folders: Iterable[Path]) -> list[Board]:
    """Read all submissions in some folders and group them into boards.

    Raises:
        UsageError: a folder does not exist or holds no evaluation, or a file in it is damaged.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}")
        summaries = sorted(folder.rglob(SUMMARY_FILE))
        if not summaries:
            raise UsageError(
                f"no {SUMMARY_FILE} in {folder}: python -m retro_contest evaluate writes them"
            )
        found |= dict.fromkeys(summary.resolve().parent for summary in summaries)
    if not found:
        raise UsageError("name at least one results folder")

    groups: dict[tuple, list[Submission]] = {}
    for folder in found:
        submission = _load(folder)
        budget = (submission.summary["timesteps"], submission.summary["wallclock"])
        levels = tuple(sorted(submission.summary["level_names"]))
        groups.setdefault((levels, *budget), []).append(submission)
    return [_board(levels, group) for (levels, *_), group in groups.items()]


def bootstrap_interval(scores: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """95% interval of the mean over levels of the mean over runs, or None.

    Stratified percentile bootstrap: the runs of each level are drawn anew, with replacement; the
    levels stay. None where a level has fewer than two runs: they say nothing of their spread.

    Args:
        scores: for each level the scores of its runs.
    """
    if not scores or min(len(runs) for runs in scores) < 2:
        return None
    rng = np.random.default_rng(0)
    means = np.zeros(RESAMPLES)
    for runs in scores:
        drawn = rng.choice(np.asarray(runs), size=(RESAMPLES, len(runs)))
        means += drawn.mean(axis=1) / len(scores)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def rank_tables(boards: Iterable[Board]) -> Group:
    """The boards for a terminal: for each a ranking and, with several levels, a table of those."""
    tables = []
    for board in boards:
        tables.append(_ranking(board))
        if len(board.levels) > 1:
            tables.append(_by_level(board))
    return Group(*tables)


def write_page(boards: Sequence[Board], path: Path) -> None:
    """Write all boards as one HTML file that needs no other; pictures are inside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.globals["shade"] = _shade
    page = environment.get_template("leaderboard.html").render(
        boards=[(board, _columns(board), _inline_pictures(board)) for board in boards],
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def write_pictures(boards: Iterable[Board], folder: Path) -> list[Path]:
    """Write each board's two pictures as PNG files; their paths."""
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for board in boards:
            for kind, png in _draw(board).items():
                paths.append(folder / f"{board.slug}-{kind}.png")
                paths[-1].write_bytes(png)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    return paths


def _load(folder: Path) -> Submission:
    path = folder / SUMMARY_FILE
    summary = read_json(path)
    try:
        scores = dict.fromkeys(summary["level_names"], ()) | level_scores(summary["levels"])
        return Submission(
            name=summary["name"],
            folder=folder,
            summary=summary,
            scores=scores,
            score=mean_score(scores),
            interval=bootstrap_interval(list(scores.values())),
            curve=_curve(folder, summary),
            record=read_record(folder),
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is not the summary of an evaluation ({error!r})") from error


def _curve(folder: Path, summary: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs of a moving average over the episodes of the last tenth of the budget."""
    budget = summary["timesteps"]
    grid = np.linspace(budget / GRID, budget, GRID)
    curves = []
    for run in summary["levels"]:
        run_folder = folder / run["game"] / run["state"] / f"seed-{run['seed']}"
        episodes = read_monitor(run_folder / MONITOR_FILE)
        ends = np.cumsum([episode.l + 1 for episode in episodes])  # an episode is steps and reset
        rewards = np.array([episode.r for episode in episodes])
        curve = np.full(GRID, np.nan)
        for i, now in enumerate(grid):
            recent = (ends <= now) & (ends > now - budget / 10)
            if recent.any():
                curve[i] = rewards[recent].mean()
        curves.append(_hold(curve))
    stacked = np.array(curves) if curves else np.full((1, GRID), np.nan)
    # A point needs all runs: a mean over those that happen to have ended an episode would jump.
    return grid, stacked.mean(axis=0)


def _hold(curve: np.ndarray) -> np.ndarray:
    """Fill gaps with the value before them."""
    known = np.maximum.accumulate(np.where(np.isnan(curve), -1, np.arange(len(curve))))
    return np.where(known >= 0, curve[known], np.nan)


def _board(levels: tuple[str, ...], group: list[Submission]) -> Board:
    def place(submission: Submission) -> tuple:
        score = -np.inf if submission.score is None else submission.score
        return not submission.complete, -score, submission.name

    summary = group[0].summary
    timesteps = summary["timesteps"]
    slug = "".join(c if c.isalnum() else "-" for c in summary["level_set"])
    return Board(
        title=f"{summary['level_set']}: {timesteps:,} timesteps per run",
        slug=f"{slug}-{timesteps}",
        levels=levels,
        submissions=tuple(sorted(group, key=place)),
    )


def _interval(submission: Submission) -> str:
    if submission.interval is None:
        return "–"
    low, high = submission.interval
    return f"{number(low)} to {number(high)}"


def _ranking(board: Board) -> Table:
    table = Table(title=board.title, title_justify="left")
    table.add_column("", justify="right")
    table.add_column("submission")
    for heading in ("score", "95% interval", "levels", "runs"):
        table.add_column(heading, justify="right")
    submitted = any(submission.image for submission in board.submissions)
    if submitted:
        table.add_column("image")
    for rank, submission in enumerate(board.submissions, start=1):
        table.add_row(
            str(rank) if submission.complete else "",
            submission.name if submission.complete else f"{submission.name} (incomplete)",
            number(submission.score),
            _interval(submission),
            str(len(board.levels)),
            str(len(submission.summary["levels"])),
            *([submission.image] if submitted else []),
        )
    return table


def _by_level(board: Board, most: int = 6) -> Table:
    """Levels as rows: there can be many. The first ``most`` submissions as columns."""
    table = Table("level", title="score by level", title_justify="left")
    shown = board.submissions[:most]
    for submission in shown:
        table.add_column(submission.name, justify="right")
    for level in board.levels:
        table.add_row(level, *(number(submission.level_score(level)) for submission in shown))
    return table


def _columns(board: Board) -> list[tuple[str, list[tuple[str, str, float]]]]:
    """For the page: game -> its levels as (name, state, best score of all submissions)."""
    games: dict[str, list[tuple[str, str, float]]] = {}
    for level in board.levels:
        game, _, state = level.partition("/")
        best = max((s.level_score(level) or 0.0 for s in board.submissions), default=0.0)
        games.setdefault(game, []).append((level, state, best))
    return list(games.items())


def _shade(score: float | None, best: float) -> float:
    """How strongly a cell is coloured: 0 for nothing, 1 for the best score on the level."""
    return 0.0 if score is None or best <= 0 else max(0.0, min(1.0, score / best))


def _draw(board: Board) -> dict[str, bytes]:
    complete = [s for s in board.submissions if s.score is not None]
    drawn = {}
    if complete:
        drawn["scores"] = pictures.score_bars(
            [(s.name, s.score, s.interval) for s in complete if s.score is not None]
        )
        drawn["curves"] = pictures.learning_curves([(s.name, *s.curve) for s in complete])
    return drawn


def _inline_pictures(board: Board) -> dict[str, str]:
    return {kind: base64.b64encode(png).decode() for kind, png in _draw(board).items()}
