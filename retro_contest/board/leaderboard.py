"""Ranks the results folders of evaluations: a table for the terminal, a page, pictures.

Only comparable scores are ranked together: submissions are grouped by levels and budget, and each
group has a board of its own. Submissions whose evaluation is incomplete, or whose files are not
those that were written, come last and have no rank.
"""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
import markupsafe
import numpy as np
from rich.console import Group
from rich.text import Text

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.board import pictures
from retro_contest.board.reading import Results, Unread, read_results
from retro_contest.runs import verdicts
from retro_contest.runs.results import Episode, level_scores, mean_score
from retro_contest.tables import Column, FittedTable, number

RESAMPLES = 10_000
GRID = 60  # points of a learning curve
NAME = 80  # characters of a submission's name


@dataclass(frozen=True)
class Submission:
    """One evaluated agent."""

    results: Results
    """its results folder as it was read"""
    scores: dict[str, list[float]]
    """`GAME/STATE` -> the scores of its runs; none where the files do not match"""
    score: float | None
    """mean over levels of the mean over runs; None without a run"""
    interval: tuple[float, float] | None
    """95% bootstrap interval of the score; None if a level has a single run"""
    curve: tuple[np.ndarray, np.ndarray]
    """timesteps and mean reward of the episodes that ended around then, both of shape `(GRID,)`,
    NaN where no episode did"""

    @property
    def name(self) -> str:
        """Its name on the board, fit to be shown."""
        return clean(self.results.summary.name, NAME) or "(no name)"

    @property
    def agent(self) -> str:
        """Command or image, fit to be shown."""
        return clean(self.results.summary.agent)

    @property
    def image(self) -> str:
        """The submitted image, by digest if it was pushed; an empty string without one."""
        record = self.results.record
        if record is None:
            return ""
        return (record.digest or "").removeprefix("sha256:")[:12] or record.image

    @property
    def ranked(self) -> bool:
        """Whether it has a rank: all runs were played, and no file was changed since."""
        return not self.remark

    @property
    def remark(self) -> str:
        """Why it has no rank, in a word or two; empty if it has one."""
        return self.results.remark

    @property
    def played(self) -> str:
        """Timesteps that its runs played of those that they could have, as `400 of 20,000`."""
        summary = self.results.summary
        played = sum(run.timesteps for run in summary.levels)
        return f"{played:,} of {summary.timesteps * len(summary.levels):,}"

    @property
    def troubles(self) -> str:
        """How often its runs did not end well, as `crashed in 2 of 5 runs`; empty if none did."""
        summary = self.results.summary
        counts = Counter(
            run.verdict
            for run in summary.levels
            if not verdicts.ended_well(run.verdict, run.timesteps, summary.timesteps)
        )
        parts = [f"{word} in {count}" for word, count in counts.most_common()]
        runs = summary.seeds * len(set(summary.level_names))
        return f"{', '.join(parts)} of {runs:,} runs" if parts else ""

    @property
    def has_curve(self) -> bool:
        """Whether enough episodes ended, at different times, to draw a curve."""
        return bool(np.count_nonzero(~np.isnan(self.curve[1])) > 1)

    def level_score(self, level: str) -> float | None:
        scores = self.scores.get(level)
        return fmean(scores) if scores else None


@dataclass(frozen=True)
class Board:
    """Submissions that can be compared, the best first."""

    title: str
    """level set and budget"""
    slug: str
    """the same as part of a file name, different for each board"""
    levels: tuple[str, ...]
    """names of the levels, sorted"""
    submissions: tuple[Submission, ...]
    """those with a rank by score, then the others"""

    @property
    def without_curve(self) -> list[str]:
        """Names of the scored submissions that have too few episodes for a curve."""
        return [s.name for s in self.submissions if s.score is not None and not s.has_curve]


@dataclass(frozen=True)
class Boards:
    """All boards, and the folders that none of them shows."""

    boards: tuple[Board, ...]
    """one for each set of levels and budget"""
    unread: tuple[Unread, ...] = ()
    """folders that hold an evaluation which cannot be read"""

    @property
    def notes(self) -> list[str]:
        """A line for each folder that is without a rank because something is wrong with it."""
        wrong = [
            (submission.results.folder, f"{submission.remark}: {submission.results.detail}")
            for board in self.boards
            for submission in board.submissions
            if submission.results.detail
        ]
        wrong += [(unread.folder, f"left out: {unread.why}") for unread in self.unread]
        return [clean(f"{folder}: {why}", 500) for folder, why in wrong]


def load_boards(folders: Iterable[Path]) -> Boards:
    """Read all evaluations in some folders and group them into boards.

    Args:
        folders: results folders, or folders that hold some directly; nothing deeper is looked at.

    Raises:
        UsageError: a folder does not exist or holds no evaluation, or an agent may have written it.
    """
    read, unread = read_results(folders)
    groups: dict[tuple[Any, ...], list[Submission]] = {}
    for results in read:
        summary = results.summary
        levels = tuple(sorted(set(summary.level_names)))
        key = (levels, summary.timesteps, summary.wallclock)
        groups.setdefault(key, []).append(_submission(results))
    boards: list[Board] = []
    for (levels, *_), group in groups.items():
        slugs = {board.slug for board in boards}
        boards.append(_board(levels, group, slugs))
    return Boards(tuple(boards), tuple(unread))


def bootstrap_interval(scores: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """95% interval of the mean over levels of the mean over runs, or None.

    Stratified percentile bootstrap: the runs of each level are drawn anew, with replacement; the
    levels stay. None where a level has fewer than two runs: one run has no spread.

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


def rank_tables(found: Boards) -> Group:
    """The boards for a terminal: for each a ranking and, with several levels, a table of those."""
    parts: list[FittedTable | Text] = []
    for board in found.boards:
        parts.append(_ranking(board))
        if len(board.levels) > 1:
            parts.append(_by_level(board))
    parts += [Text(note) for note in found.notes]
    return Group(*parts)


def write_page(found: Boards, path: Path) -> None:
    """Write all boards as one HTML file that needs no other; pictures are inside.

    Raises:
        UsageError: it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.globals["shade"] = _shade
    page = environment.get_template("leaderboard.html").render(
        boards=[(board, _columns(board), _inline_pictures(board)) for board in found.boards],
        notes=found.notes,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def write_pictures(found: Boards, folder: Path) -> list[Path]:
    """Write each board's pictures as PNG files; returns their paths.

    A board without any score has none, one with too few episodes for a curve has no curves.

    Raises:
        UsageError: they cannot be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for board in found.boards:
            for kind, png in _draw(board).items():
                paths.append(folder / f"{board.slug}-{kind}.png")
                paths[-1].write_bytes(png)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    return paths


def _submission(results: Results) -> Submission:
    summary = results.summary
    scores: dict[str, list[float]] = {name: [] for name in summary.level_names}
    if results.remark in ("", "incomplete"):
        scores |= level_scores(entry.model_dump() for entry in summary.levels)
    return Submission(
        results=results,
        scores=scores,
        score=mean_score(scores),
        interval=bootstrap_interval(list(scores.values())),
        curve=_curve(summary.timesteps, results.episodes),
    )


def _curve(budget: int, runs: Sequence[Sequence[Episode]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs of a moving average over the episodes of the last tenth of the budget."""
    grid = np.linspace(budget / GRID, budget, GRID)
    curves = []
    for episodes in runs:
        ends = np.cumsum([episode.l + 1 for episode in episodes])  # an episode is steps and reset
        rewards = np.array([episode.r for episode in episodes])
        curve = np.full(GRID, np.nan)
        for i, now in enumerate(grid):
            recent = (ends <= now) & (ends > now - budget / 10)
            if recent.any():
                curve[i] = rewards[recent].mean()
        curves.append(_hold(curve))
    stacked = np.array(curves) if curves else np.full((1, GRID), np.nan)
    # A point needs all runs: a mean over only those that have ended an episode would jump.
    return grid, stacked.mean(axis=0)


def _hold(curve: np.ndarray) -> np.ndarray:
    """Fill gaps with the value before them."""
    known = np.maximum.accumulate(np.where(np.isnan(curve), -1, np.arange(len(curve))))
    return np.where(known >= 0, curve[known], np.nan)


def _board(levels: tuple[str, ...], group: list[Submission], slugs: Collection[str]) -> Board:
    """The board of some submissions; its slug is none of those that are taken."""

    def place(submission: Submission) -> tuple[bool, float, str]:
        score = -np.inf if submission.score is None else submission.score
        return not submission.ranked, -score, submission.name

    # Of the folders with a rank, if there are some: the others may have been changed.
    submissions = tuple(sorted(group, key=place))
    summary = submissions[0].results.summary
    timesteps = summary.timesteps
    name = clean(summary.level_set)
    if "," in name:  # several levels that have no name together: the tables list them
        games = sorted({level.partition("/")[0] for level in levels})
        name = clean(f"{len(levels)} levels of {' and '.join(games)}")
    base = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:80] + f"-{timesteps}"
    numbered = (f"{base}-{number}" for number in itertools.count(2))
    return Board(
        title=f"{name}: {timesteps:,} timesteps per run",
        slug=next(slug for slug in itertools.chain([base], numbered) if slug not in slugs),
        levels=levels,
        submissions=submissions,
    )


def _interval(submission: Submission) -> str:
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
    submitted = any(submission.image for submission in board.submissions)
    if submitted:
        columns.append(Column("image", drop=3))
    rows = []
    for rank, submission in enumerate(board.submissions, start=1):
        remark = submission.remark
        row = [
            str(rank) if submission.ranked else "",
            f"{submission.name} ({remark})" if remark else submission.name,
            number(submission.score),
            _interval(submission),
            str(len(board.levels)),
            str(len(submission.results.summary.levels)),
            submission.played,
            submission.troubles or "all runs ended well",
        ]
        rows.append([*row, submission.image] if submitted else row)
    return FittedTable(board.title, columns, rows)


def _by_level(board: Board, most: int = 6) -> FittedTable:
    """Levels as rows: there can be many. The first `most` submissions as columns."""
    shown = board.submissions[:most]
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
    drawn: dict[str, bytes] = {}
    if complete:
        drawn["scores"] = pictures.score_bars(
            [(s.name, s.score, s.interval) for s in complete if s.score is not None]
        )
    curves = [(s.name, *s.curve) for s in complete if s.has_curve]
    if curves:
        budget = board.submissions[0].results.summary.timesteps
        drawn["curves"] = pictures.learning_curves(curves, budget)
    return drawn


def _inline_pictures(board: Board) -> dict[str, str]:
    drawn = _draw(board).items()
    return {kind: markupsafe.Markup(base64.b64encode(png).decode()) for kind, png in drawn}


def _fit(value: Any) -> Any:
    """A value as the page may show it: text of strangers is cleaned, and escaped after this."""
    return clean(value, 500) if type(value) is str else value
