"""The board as a web site: static pages that work from a file, offline, and from any web server.

    index.html              every board: ranks, scores, levels, curves
    submissions/NAME.html   an evaluation: curves per level, runs, verdicts, films, provenance
    levels/NAME.html        a level: its picture, everybody's curves, films
    board.json, board.csv   the same figures for programs
    style.css, board.js

Text of strangers is cleaned when it is read, and escaped here by jinja2.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import yaml
from markupsafe import Markup, escape

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.board import charts, export, statistics
from retro_contest.board.boards import BINS, Board, Boards, Row, Submission, mean_curve, slug
from retro_contest.board.charts import Line
from retro_contest.board.references import Reference
from retro_contest.tables import number

TEMPLATES = Path(__file__).with_name("site")
ASSETS = ("style.css", "board.js")
MOST_LINES = 8  # submissions in one chart
MOST_REFERENCES = 3  # references in one chart
CONFIG = 20_000  # characters of a bundle's configuration
FILMS = "films"  # folder of a results folder, and of the site
CHOICES = ("best", "median", "last")  # films that `retro-contest film` names so are shown

Entry = Submission | Reference


class Film(NamedTuple):
    """A film in the site."""

    level: str
    choice: str
    """`best`, `median` or `last` episode"""
    path: str
    """below the site's folder"""
    poster: str | None
    """the same of its still picture"""


def write_site(
    found: Boards, out: Path, snapshot: Callable[[str, Path], bool], contest: str = ""
) -> None:
    """Write the site of some boards.

    Args:
        found: the boards.
        out: its folder; other files in it stay.
        snapshot: writes a picture of the start of `GAME/STATE` to a file; whether it could.
        contest: name of the contest whose server shows the pages. Then they have its navigation,
            and none of the things that only a submission's owner may see: films, configurations,
            reasons of verdicts (an agent's last words), folders of this machine.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        for name in ("submissions", "levels", "pictures"):
            (out / name).mkdir(parents=True, exist_ok=True)
        for name in ASSETS:
            shutil.copyfile(TEMPLATES / name, out / name)
        _Site(found, out, snapshot, contest).write()
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}") from error


class _Site:
    def __init__(
        self, found: Boards, out: Path, snapshot: Callable[[str, Path], bool], contest: str
    ) -> None:
        self._found = found
        self._out = out
        self._snapshot = snapshot
        self._contest = contest
        self._pages: dict[int, str] = {}  # of each submission
        self._taken: set[str] = set()
        self._environment = page_environment(TEMPLATES)
        self._environment.globals |= {
            "contest": contest,
            "here": "/",
            "page_of": self._page_of,
            "level_page": _level_page,
            "bar": charts.interval_bar,
            "line_of": line_of,
            "is_reference": lambda line: isinstance(line, Reference),
            "shade": _shade,
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }

    def write(self) -> None:
        boards = [_Context(board) for board in self._found.boards]
        notes = [] if self._contest else self._found.notes
        self._render("index.html", "index.html", boards=boards, notes=notes)
        for context in boards:
            films: dict[str, list[tuple[Submission, Film]]] = {}
            for row in context.board.rows:
                for submission in (*row.history, row.submission):
                    shown = self._films(submission)
                    for film in shown:
                        films.setdefault(film.level, []).append((submission, film))
                    self._write_submission(context, row, submission, shown)
            for level in context.board.levels:
                self._write_level(context, level, films.get(level, []))
        export.write(self._found, self._out)

    def _films(self, submission: Submission) -> list[Film]:
        if self._contest:
            return []
        return _copy_films(submission, self._out, self._stem(submission))

    def _write_submission(
        self, context: _Context, row: Row, submission: Submission, films: list[Film]
    ) -> None:
        record = submission.results.record
        config = None
        if record is not None and record.config is not None and not self._contest:
            text = yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True)
            config = escape(clean_lines(text, CONFIG))
        evaluations = (*row.history, row.submission)
        self._render(
            "submission.html",
            f"submissions/{self._stem(submission)}.html",
            board=context.board,
            row=row,
            submission=submission,
            evaluations=evaluations,
            history=_history(evaluations),
            levels=[(level, context.level_chart(level, submission)) for level in submission.scores],
            runs=_runs(submission),
            against=_against(submission, context.board.references),
            iqm=submission.iqm,
            films=films,
            config=config,
        )

    def _write_level(
        self, context: _Context, level: str, films: list[tuple[Submission, Film]]
    ) -> None:
        scored = [
            (score, line)
            for line in context.board.lines
            if (score := line_of(line).level_score(level)) is not None
        ]
        lines = [line for _, line in sorted(scored, key=lambda pair: pair[0], reverse=True)]
        picture = f"pictures/{slug(level)}.png"  # the same on every board
        there = (self._out / picture).exists() or self._snapshot(level, self._out / picture)
        self._render(
            "level.html",
            f"levels/{_level_page(context.board, level)}",
            board=context.board,
            level=level,
            lines=lines,
            chart=context.chart([level], [line_of(line) for line in lines]),
            picture=f"../{picture}" if there else None,
            films=films,
        )

    def _render(self, template: str, path: str, **values: Any) -> None:
        root = "../" * path.count("/")
        page = self._environment.get_template(template).render(root=root, **values)
        (self._out / path).write_text(page)

    def _page_of(self, submission: Submission) -> str:
        return f"submissions/{self._stem(submission)}.html"

    def _stem(self, submission: Submission) -> str:
        """File name of a submission's page without its end: the same each time."""
        if id(submission) not in self._pages:
            identity = slug(submission.results.summary.id)[:8] or "0"
            stem = base = f"{slug(submission.name)[:40]}-{identity}"
            count = 1
            while stem.lower() in self._taken:
                count += 1
                stem = f"{base}-{count}"
            self._taken.add(stem.lower())
            self._pages[id(submission)] = stem
        return self._pages[id(submission)]


def page_environment(*folders: Path) -> jinja2.Environment:
    """Templates of some folders: they escape, and clean, all text that they are given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": number, "interval": _interval, "day": _day}
    environment.globals["state_of"] = lambda level: level.partition("/")[2]
    return environment


class _Context:
    """A board with what its pages share."""

    def __init__(self, board: Board) -> None:
        self.board = board
        scores = [line.score for line in board.lines if line.score is not None]
        ends = [line_of(line).interval for line in board.lines]
        self.top = max([*scores, *(end[1] for end in ends if end), 0.0])
        self.best = {
            level: max((line_of(line).level_score(level) or 0.0 for line in board.lines), default=0)
            for level in board.levels
        }
        self._x = np.linspace(board.timesteps / BINS, board.timesteps, BINS).tolist()

    @property
    def curves(self) -> Markup | None:
        """Chart of the mean curves of the best submissions."""
        entries = [row.submission for row in self.board.rows if not row.submission.results.remark]
        return self.chart(self.board.levels, [*entries, *self.board.references])

    def level_chart(self, level: str, submission: Submission) -> Markup | None:
        """A submission's curve on a level, before those of the references."""
        return self.chart([level], [submission, *self.board.references])

    def chart(self, levels: Sequence[str], entries: Iterable[Entry]) -> Markup | None:
        """Mean curves over some levels; None where no submission has one."""
        lines: list[Line] = []
        references: list[Line] = []
        for entry in entries:
            kept, most = (
                (references, MOST_REFERENCES)
                if isinstance(entry, Reference)
                else (lines, MOST_LINES)
            )
            if len(kept) < most and (curve := mean_curve(entry.curves, levels)) is not None:
                centre, band = curve
                # Bands of several references would cover each other and the submissions'.
                reference = isinstance(entry, Reference)
                kept.append(Line(entry.name, centre, None if reference else band, reference))
        if not lines:
            return None
        return charts.line_chart(
            [*lines, *references], self._x, "Episode reward over timesteps", "timesteps"
        )


def line_of(line: Row | Reference) -> Entry:
    """The submission of a row, or the reference itself."""
    return line if isinstance(line, Reference) else line.submission


def clean_lines(text: str, limit: int) -> str:
    """A text of several lines, each cleaned, cut to `limit` characters."""
    lines = text[:limit].splitlines()
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    return "\n".join(
        " " * indent + clean(line) for indent, line in zip(indents, lines, strict=True)
    )


def _level_page(board: Board, level: str) -> str:
    return f"{board.slug}-{slug(level)}.html"


def _history(evaluations: Sequence[Submission]) -> Markup | None:
    """Chart of a name's scores over time; None with fewer than two."""
    scored = [(_day(s.time), s.score, s.interval) for s in evaluations if s.score is not None]
    points = [(day, score, interval) for day, score, interval in scored if score is not None]
    if len(points) < 2:
        return None
    best = np.maximum.accumulate([score for _, score, _ in points]).tolist()
    return charts.history_chart(points, best, "Score of each evaluation")


def _runs(submission: Submission) -> list[dict[str, Any]]:
    """A table row for each run."""
    summary = submission.results.summary
    episodes = submission.results.episodes or [[]] * len(summary.levels)
    return [
        {
            "level": entry.level,
            "seed": entry.seed,
            "score": entry.score,
            "episodes": len(of_run),
            "best": max((episode.r for episode in of_run), default=None),
            "timesteps": entry.timesteps,
            "rate": entry.timesteps_per_second,
            "verdict": entry.verdict,
            "reason": entry.reason,
        }
        for entry, of_run in zip(summary.levels, episodes, strict=True)
    ]


def _against(
    submission: Submission, references: Sequence[Reference]
) -> list[tuple[str, float, statistics.Interval | None, float | None]]:
    """For each measured reference: name, probability of improvement, its interval, ratio."""
    rows = []
    ours = {level: np.array(runs) for level, runs in submission.scores.items() if runs}
    for reference in references:
        if not ours or not set(ours) <= set(reference.scores):
            continue
        of = list(ours.values())
        over = [np.array(reference.scores[level]) for level in ours]
        probability = float(statistics.probability_of_improvement(of, over))
        interval = statistics.probability_interval(of, over)
        rows.append((reference.name, probability, interval, statistics.ratio(of, over)))
    return rows


def _copy_films(submission: Submission, out: Path, stem: str) -> list[Film]:
    """Copy the films of a results folder, `films/GAME/STATE-CHOICE.mp4`, and their posters."""
    copied = []
    folder = submission.results.folder / FILMS
    for level in submission.scores:
        for choice in CHOICES:
            film = folder / f"{level}-{choice}.mp4"
            path = _copy(film, out / FILMS, stem)
            if path is not None:
                poster = _copy(film.with_suffix(".png"), out / FILMS, stem)
                copied.append(Film(level, choice, path, poster))
    return copied


def _copy(file: Path, folder: Path, stem: str) -> str | None:
    """Copy a plain file into the site; its path there, None if there is no such file."""
    if file.is_symlink() or not file.is_file():
        return None
    target = folder / f"{stem}-{slug(file.stem)}{file.suffix}"
    folder.mkdir(exist_ok=True)
    if not target.exists() or target.stat().st_mtime < file.stat().st_mtime:
        shutil.copyfile(file, target)
    return f"{folder.name}/{target.name}"


def _day(time: str) -> str:
    """The day of a time in ISO 8601."""
    return clean(time)[:10]


def _interval(interval: statistics.Interval | None) -> str:
    return "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def _shade(score: float | None, best: float) -> float:
    """How strongly a cell is coloured: 0 for nothing, 1 for the best score on the level."""
    return 0.0 if score is None or best <= 0 else max(0.0, min(1.0, score / best))


def _fit(value: Any) -> Any:
    """A value as a page may show it: text of strangers is cleaned, and escaped after this."""
    return clean(value, 500) if type(value) is str else value
