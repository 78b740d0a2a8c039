"""What a person sees of an evaluation: a line per finished run, in a terminal a live table, too."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from retro_contest.runs import verdicts
from retro_contest.runs.match import Run
from retro_contest.runs.serve import Status


class Progress:
    """Shows what the runs of an evaluation do. Called from several threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._running: dict[Run, Status] = {}
        self._results: dict[Run, dict[str, Any]] = {}
        self._runs: list[Run] = []
        self._start = time.monotonic()
        self._played = 0
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=2)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live.is_started:
            self._live.transient = True  # the final table takes its place
            self._live.stop()

    def begin(self, runs: list[Run], kept: dict[Run, dict[str, Any]]) -> None:
        """The runs of the evaluation, and those that are already finished."""
        with self._lock:
            self._runs = runs
            self._results = dict(kept)
        if kept:
            self._console.print(f"{len(kept)} of {len(runs)} runs were finished before: kept")

    def update(self, run: Run, status: Status) -> None:
        with self._lock:
            self._running[run] = status

    def end(self, run: Run, result: dict[str, Any]) -> None:
        with self._lock:
            self._running.pop(run, None)
            self._results[run] = result
            self._played += 1
            done = len(self._results)
        left = "" if self._live.is_started else self._time_left()  # the live table says it, too
        self._console.print(
            f"{done}/{len(self._runs)} {run.level.name} seed {run.seed}: "
            f"score {number(result['score'])}, {result['episodes']} episodes, "
            f"{result['verdict']} ({result['reason']}){left}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _time_left(self) -> str:
        left = len(self._runs) - len(self._results)
        if not left or not self._played:
            return ""
        seconds = (time.monotonic() - self._start) / self._played * left
        return f", about {duration(seconds)} left"

    def _table(self) -> Table:
        with self._lock:
            running = dict(self._running)
            done = len(self._results)
            title = f"{done} of {len(self._runs)} runs finished{self._time_left()}"
        table = Table(title=title, title_justify="left")
        table.add_column("level", overflow="fold")
        table.add_column("seed")
        for heading in ("timesteps", "", "per second", "time left", "episodes", "score so far"):
            table.add_column(heading, justify="right")
        for run, status in running.items():
            speed = status.timesteps_per_second
            left = (run.timesteps - status.timesteps) / speed if speed else None
            table.add_row(
                run.level.name,
                str(run.seed),
                f"{status.timesteps:,} / {run.timesteps:,}",
                f"{status.timesteps / run.timesteps:.0%}" if status.connected else "connecting",
                number(speed),
                duration(min(left, run.wallclock - status.seconds)) if left is not None else "",
                str(status.episodes),
                number(status.score),
            )
        return table


def summary_table(summary: dict[str, Any]) -> Table:
    """The table at the end of an evaluation."""
    runs = summary["levels"]
    games = {run["game"] for run in runs}
    of_game = f" ({games.pop()})" if len(games) == 1 else ""
    table = Table(
        title=f"{summary['name']}: {summary['level_set']}{of_game}, "
        f"{summary['timesteps']:,} timesteps",
        title_justify="left",
        show_footer=True,
        footer_style="bold",
    )
    table.add_column("level", footer="mean over levels")
    table.add_column("seed")
    table.add_column("score", justify="right", footer=number(summary["score"]))
    for heading in ("episodes", "timesteps", "per second"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for run in runs:
        verdict = run["verdict"]
        table.add_row(
            run["state"] if of_game else f"{run['game']}/{run['state']}",
            str(run["seed"]),
            number(run["score"]),
            str(run["episodes"]),
            f"{run['timesteps']:,}",
            number(run["timesteps_per_second"]),
            verdict if verdict in verdicts.CLEAN else f"[red]{verdict}[/]",
        )
    return table


def failures(summary: dict[str, Any]) -> list[str]:
    """A line for each run that did not end well: what happened."""
    return [
        f"{run['game']}/{run['state']} seed {run['seed']}: {run['verdict']}: {run['reason']}"
        for run in summary["levels"]
        if run["verdict"] not in verdicts.CLEAN
    ]


def number(value: float | None) -> str:
    """One decimal, thousands apart; a dash for nothing."""
    return "–" if value is None else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """For example ``2 h 05 min``, ``3 min 20 s``, ``12 s``."""
    seconds = max(0, round(seconds))
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
    if seconds >= 60:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds} s"
