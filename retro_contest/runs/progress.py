"""Shows an evaluation to a person: a line per finished run, and the state of those being played.

In a terminal that state is a live table; elsewhere (a file, a pipe) a line every ten seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from retro_common.text import clean
from retro_contest.runs import verdicts
from retro_contest.runs.match import Run
from retro_contest.runs.serve import Status
from retro_contest.tables import Column, FittedTable, duration, number

LINE_INTERVAL = 10.0  # seconds between two lines where there is no terminal
LINE = 2000  # characters of a line
HINT_AFTER = 15.0  # seconds without a connection until the hint where the socket is
RUNS_PER_LINE = 4


class Progress:
    """Shows the runs of an evaluation. Its methods are called from several threads."""

    def __init__(
        self, console: Console, *, processes: bool = True, clock: Callable[[], float] | None = None
    ) -> None:
        """
        Args:
            console: where to print.
            processes: whether agents are processes, for the hint how they find the socket.
            clock: seconds, for tests; None for the system's clock.
        """
        self._console = console
        self._processes = processes
        self._clock = clock or time.monotonic
        self._lock = threading.Lock()
        self._running: dict[Run, Status] = {}
        self._began: dict[Run, float] = {}
        self._hinted = False
        self._results: dict[Run, dict[str, Any]] = {}
        self._runs: list[Run] = []
        self._start = self._clock()
        self._next_line = self._start + LINE_INTERVAL
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
            self._live.transient = True  # the final table replaces it
            self._live.stop()

    def begin(self, runs: list[Run], kept: dict[Run, dict[str, Any]]) -> None:
        """The runs of the evaluation, and the results of those that are already finished."""
        with self._lock:
            self._runs = runs
            self._results = dict(kept)
        if kept:
            self._print(f"{len(kept)} of {len(runs)} runs were finished before: kept")

    def update(self, run: Run, status: Status) -> None:
        """The state of a run that is being played."""
        with self._lock:
            self._running[run] = status
            now = self._clock()
            waited = now - self._began.setdefault(run, now)
            hint = not (self._hinted or status.connected or status.ended) and waited >= HINT_AFTER
            self._hinted |= hint
            line = ""
            if not self._console.is_terminal and now >= self._next_line:
                self._next_line = now + LINE_INTERVAL
                line = self._line()
        if hint:
            self._print(
                f"{self._name(run)} seed {run.seed}: the agent runs but has not connected; "
                "it finds the socket in $RETRO_CONTEST_SOCKET"
                + ("" if self._processes else ", or in tmp/sock below its working directory")
            )
        if line:
            self._print(line)

    def end(self, run: Run, result: dict[str, Any]) -> None:
        """The result of a run that has just ended."""
        with self._lock:
            self._running.pop(run, None)
            self._results[run] = result
            self._played += 1
            done = len(self._results)
        left = "" if self._live.is_started else self._time_left()  # the live table has it, too
        self._print(
            f"{done}/{len(self._runs)} {self._name(run)} seed {run.seed}: "
            f"score {number(result['score'])}, {result['episodes']} episodes, "
            f"{result['verdict']} ({result['reason']}{_counted(result)}){left}"
        )

    def _print(self, line: str) -> None:
        text = Text(clean(line, LINE))  # not a string: nothing in it is markup
        self._console.print(text, highlight=False, soft_wrap=True)

    def _name(self, run: Run) -> str:
        """The level's name, without the game where there is only one."""
        one_game = len({run.level.game for run in self._runs}) <= 1
        return run.level.state if one_game else run.level.name

    def _line(self) -> str:
        """The running runs in one line."""
        parts = [
            f"{self._name(run)} seed {run.seed}: "
            + (
                f"{status.timesteps:,} of {run.rules.timesteps:,} timesteps, "
                f"score so far {number(status.score)}"
                if status.connected
                else "waits for the agent"
            )
            for run, status in list(self._running.items())[:RUNS_PER_LINE]
        ]
        more = len(self._running) - len(parts)
        parts += [f"{more} more"] if more else []
        return f"{len(self._results)} of {len(self._runs)} runs finished; now {'; '.join(parts)}"

    def _time_left(self) -> str:
        left = len(self._runs) - len(self._results)
        if not left or not self._played:
            return ""
        seconds = (self._clock() - self._start) / self._played * left
        return f", about {duration(seconds)} left"

    def _table(self) -> FittedTable:
        with self._lock:
            running = dict(self._running)
            done = len(self._results)
            title = f"{done} of {len(self._runs)} runs finished{self._time_left()}"
        columns = [
            Column("level"),
            Column("seed", drop=4),
            Column("timesteps", right=True),
            Column("", right=True, drop=3),
            Column("per second", right=True, drop=1),
            Column("time left", right=True),
            Column("episodes", right=True, drop=2),
            Column("score so far", right=True),
        ]
        rows = []
        for run, status in running.items():
            speed = status.timesteps_per_second
            left = (run.rules.timesteps - status.timesteps) / speed if speed else None
            share = f"{status.timesteps / run.rules.timesteps:.0%}"
            left = None if left is None else min(left, run.rules.wallclock - status.seconds)
            rows.append(
                [
                    self._name(run),
                    str(run.seed),
                    f"{status.timesteps:,} / {run.rules.timesteps:,}",
                    share if status.connected else "connecting",
                    number(speed),
                    "" if left is None else duration(left),
                    str(status.episodes),
                    number(status.score),
                ]
            )
        return FittedTable(title, columns, rows)


def summary_table(summary: dict[str, Any]) -> FittedTable:
    """The table at the end of an evaluation."""
    runs, budget = summary["levels"], summary["timesteps"]
    games = {run["game"] for run in runs}
    one_game = games.pop() if len(games) == 1 else ""
    level_set = summary["level_set"]
    if "," in level_set:
        level_set = f"{len(summary['level_names'])} levels"
    of_game = f" ({one_game})" if one_game else ""
    title = f"{summary['name']}: {level_set}{of_game}, {budget:,} timesteps"
    columns = [
        Column("level", footer="mean over levels"),
        Column("seed", drop=2),
        Column("score", right=True, footer=number(summary["score"])),
        Column("episodes", right=True, drop=3),
        Column("timesteps", right=True, drop=4),
        Column("per second", right=True, drop=1),
        Column("verdict"),
    ]
    rows: list[list[str | Text]] = []
    for run in runs:
        verdict = run["verdict"]
        rows.append(
            [
                run["state"] if one_game else f"{run['game']}/{run['state']}",
                str(run["seed"]),
                number(run["score"]),
                str(run["episodes"]),
                f"{run['timesteps']:,}",
                number(run["timesteps_per_second"]),
                verdict if _ended_well(run, budget) else Text(verdict, "red"),
            ]
        )
    return FittedTable(title, columns, rows)


def _ended_well(run: dict[str, Any], budget: int) -> bool:
    return verdicts.ended_well(run["verdict"], run["timesteps"], budget)


def _counted(run: dict[str, Any]) -> str:
    """A remark on the timesteps that a run did not play; empty if it played all."""
    unplayed = run["unplayed_episodes"]
    if not unplayed:
        return ""
    return f"; what it did not play counts as {unplayed:,} episode{'s' * (unplayed > 1)} of 0"


def failures(summary: dict[str, Any]) -> list[str]:
    """A line for each run that did not end well, with the reason."""
    lines = [
        f"{run['game']}/{run['state']} seed {run['seed']}: {run['verdict']}: {run['reason']}"
        f"{_counted(run)}"
        for run in summary["levels"]
        if not _ended_well(run, summary["timesteps"])
    ]
    return [clean(line, LINE) for line in lines]


def unfinished(summary: dict[str, Any]) -> str:
    """A line that says why a summary is incomplete and how to complete it; empty if it is not."""
    if summary["complete"]:
        return ""
    words = [run["verdict"] for run in summary["levels"]]
    measured = sum(word not in verdicts.NOT_THE_AGENT for word in words)
    state = f"incomplete: {measured} of {summary['runs']} runs have a score"
    if measured and verdicts.INTERRUPTED not in words and set(words) <= {verdicts.NEVER_CONNECTED}:
        left = summary["runs"] - len(words)
        return (
            f"{state}; the agent exits without connecting, so the other {left} were not played: "
            "mend it and give the same command with --fresh"
        )
    if broken := words.count(verdicts.SERVER_FAILED):
        return f"{state}; in {broken} the server failed: the same command plays them again"
    return f"{state}; the same command goes on from here"
