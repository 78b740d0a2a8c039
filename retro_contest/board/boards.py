"""Boards: submissions that can be compared, their ranks, their history.

Only comparable scores are ranked together: submissions are grouped by levels and budget, and each
group is a board of its own. Of the evaluations of one name on one board, the last one is its entry;
the others are its history.

Ranks say no more than the scores do. An entry's rank is one more than the number of entries whose
95% interval lies wholly above its own, so entries whose intervals touch can share a rank. Without
an interval (a level with a single run), with runs that are missing, or with files that are not
those that were written, an entry has no rank.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retro_common.text import clean
from retro_contest.board import statistics
from retro_contest.board.reading import Results, Unread, read_results
from retro_contest.board.references import Reference, references
from retro_contest.board.statistics import Interval
from retro_contest.runs import verdicts
from retro_contest.runs.results import Episode, level_scores, mean_score

BINS = 20  # parts of the budget in a learning curve
NAME = 80  # characters of a submission's name


@dataclass(frozen=True)
class Submission:
    """One evaluated agent."""

    results: Results
    """its results folder as it was read"""
    scores: dict[str, list[float]]
    """`GAME/STATE` -> the scores of its runs; none where the files do not match"""
    curves: dict[str, np.ndarray]
    """`GAME/STATE` -> learning curves `(runs, BINS)`, see `statistics.learning_curve`"""

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
    def time(self) -> str:
        """When it was submitted, or else its evaluation was written: UTC, ISO 8601, or nothing."""
        record = self.results.record
        return record.submitted if record else self.results.summary.written

    @cached_property
    def score(self) -> float | None:
        """Mean over levels of the mean over runs; None without a run."""
        return mean_score(self.scores)

    @cached_property
    def interval(self) -> Interval | None:
        """95% bootstrap interval of the score; None if a level has a single run."""
        return statistics.interval([np.array(runs) for runs in self.scores.values()])

    @cached_property
    def iqm(self) -> float | None:
        """Interquartile mean of all runs; None if a level has none."""
        runs = [np.array(of_level) for of_level in self.scores.values()]
        if min(map(len, runs), default=0) == 0:
            return None
        return float(statistics.interquartile_mean(runs))

    @property
    def remark(self) -> str:
        """Why it has no rank, in a word or two; empty if it can have one."""
        if self.results.remark or self.interval is not None:
            return self.results.remark
        return "one seed" if self.score is not None else "no score"

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

    def level_score(self, level: str) -> float | None:
        """Mean over its runs of a level; None without any."""
        runs = self.scores.get(level)
        return float(np.mean(runs)) if runs else None


@dataclass(frozen=True)
class Row:
    """One name on a board."""

    submission: Submission
    """its last evaluation"""
    rank: int | None
    """None if it has none, see `Submission.remark`"""
    history: tuple[Submission, ...] = ()
    """its evaluations before that, the oldest first"""

    @property
    def score(self) -> float | None:
        """That of its last evaluation."""
        return self.submission.score

    @property
    def change(self) -> float | None:
        """Difference of its score to that of the evaluation before; None without one."""
        before = next((s.score for s in reversed(self.history) if s.score is not None), None)
        now = self.submission.score
        return None if now is None or before is None else now - before


@dataclass(frozen=True)
class Board:
    """Submissions that can be compared, the best first."""

    name: str
    """level set, in words fit to be shown"""
    slug: str
    """name and budget as part of a file name, different for each board"""
    levels: tuple[str, ...]
    """names of the levels, sorted"""
    timesteps: int
    """budget of a run"""
    wallclock: float
    """budget of a run in seconds"""
    rows: tuple[Row, ...]
    """those with a rank first, by score, then the others"""
    references: tuple[Reference, ...] = ()
    """agents that this kit was shipped with, and published scores, the best first"""

    @property
    def title(self) -> str:
        """Level set and budget."""
        return f"{self.name}: {self.timesteps:,} timesteps per run"

    @property
    def lines(self) -> list[Row | Reference]:
        """Rows and references in the order in which they are shown: by score, as far as sound."""
        sound = [row for row in self.rows if not row.submission.results.remark]
        shown: list[Row | Reference] = [*sound, *self.references]
        shown.sort(key=lambda line: -np.inf if line.score is None else line.score, reverse=True)
        return [*shown, *(row for row in self.rows if row.submission.results.remark)]

    @property
    def frozen(self) -> str:
        """Name of the frozen benchmark that every entry with a score was played on, or nothing."""
        names = {row.submission.results.benchmark for row in self.rows if row.submission.scores}
        return names.pop() if len(names) == 1 else ""


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
            for row in board.rows
            for submission in (row.submission, *row.history)
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


def ranks(intervals: Sequence[Interval]) -> list[int]:
    """The rank of each entry: one more than the number of intervals wholly above its own."""
    return [
        1 + sum(other[0] > own[1] for other in intervals if other is not own) for own in intervals
    ]


def _submission(results: Results) -> Submission:
    summary = results.summary
    scores: dict[str, list[float]] = {name: [] for name in summary.level_names}
    curves: dict[str, list[np.ndarray]] = {}
    if results.remark in ("", "incomplete"):
        scores |= level_scores(entry.model_dump() for entry in summary.levels)
        for entry, episodes in zip(summary.levels, results.episodes, strict=True):
            if entry.verdict not in verdicts.NOT_THE_AGENT:
                curves.setdefault(entry.level, []).append(_curve(episodes, summary.timesteps))
    stacked = {level: np.array(of) for level, of in curves.items()}
    return Submission(results=results, scores=scores, curves=stacked)


def _curve(episodes: Sequence[Episode], budget: int) -> np.ndarray:
    ends = np.cumsum([episode.l + 1 for episode in episodes])  # an episode is steps and a reset
    within = np.minimum(ends, budget).tolist()
    return statistics.learning_curve([episode.r for episode in episodes], within, budget, BINS)


def _board(levels: tuple[str, ...], group: list[Submission], slugs: Collection[str]) -> Board:
    """The board of some submissions; its slug is none of those that are taken."""
    rows = _rows(group)
    summary = rows[0].submission.results.summary
    timesteps = summary.timesteps
    name = clean(summary.level_set)
    if "," in name:  # several levels that have no name together: the tables list them
        games = sorted({level.partition("/")[0] for level in levels})
        name = clean(f"{len(levels)} levels of {' and '.join(games)}")
    base = f"{slug(name)}-{timesteps}"
    numbered = (f"{base}-{number}" for number in itertools.count(2))
    return Board(
        name=name,
        slug=next(text for text in itertools.chain([base], numbered) if text not in slugs),
        levels=levels,
        timesteps=timesteps,
        wallclock=summary.wallclock,
        rows=rows,
        references=references(levels, timesteps),
    )


def _rows(group: Iterable[Submission]) -> tuple[Row, ...]:
    named: dict[str, list[Submission]] = {}
    for submission in group:
        named.setdefault(submission.results.summary.name, []).append(submission)
    latest = []
    for of_name in named.values():
        # One that was changed or copied afterwards is never somebody's last word.
        sound = [s for s in of_name if s.results.remark in ("", "incomplete")]
        ordered = sorted(sound, key=lambda s: s.time)
        latest += [(ordered[-1], tuple(ordered[:-1]))] if ordered else []
        latest += [(s, ()) for s in of_name if s not in sound]

    ranked = [submission for submission, _ in latest if not submission.remark]
    places = ranks([s.interval for s in ranked if s.interval is not None])
    rank = {id(submission): place for submission, place in zip(ranked, places, strict=True)}
    rows = [Row(submission, rank.get(id(submission)), before) for submission, before in latest]

    def place(row: Row) -> tuple[bool, float, str]:
        score = row.submission.score
        least = -np.inf if score is None else score
        return bool(row.submission.results.remark), -least, row.submission.name

    return tuple(sorted(rows, key=place))


def slug(text: str) -> str:
    """A text as part of a file name: ASCII letters, digits and `-`, at most 80."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text)[:80]


def mean_curve(curves: Mapping[str, np.ndarray], levels: Sequence[str]) -> Any:
    """Mean learning curve over some levels and its band, see `statistics.curve_with_band`.

    None where a level is missing.
    """
    if not all(level in curves for level in levels):
        return None
    return statistics.curve_with_band([curves[level] for level in levels])
