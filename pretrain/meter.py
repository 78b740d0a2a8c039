"""Progress of a long job, and the request to stop it."""

from __future__ import annotations

import datetime
import signal
import sys
import time

import rich.progress

LINE_SECONDS = 10.0
"""how often progress is printed where the output is not a terminal"""


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag that loops read between steps."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> StopRequest:
        self._previous = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, signum: int, frame: object) -> None:
        # A second Ctrl-C does not wait for the end of the step. A second SIGTERM does: `timeout`
        # sends one to the process and another to its group.
        if self.asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


class Meter:
    """A bar with rate, elapsed and remaining time on a terminal; elsewhere a line now and then."""

    def __init__(self, name: str, total: int, unit: str, done: int = 0):
        self.name, self.total, self.unit, self.done = name, total, unit, done
        self._first, self._began, self._line = done, time.monotonic(), time.monotonic()
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:>11}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn(f"{unit} {{task.fields[note]}}"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("elapsed,"),
            rich.progress.TimeRemainingColumn(),
            rich.progress.TextColumn("left"),
            disable=not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task(name, total=total, completed=done, note="")

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()
        if exc[0] is None and not sys.stdout.isatty():
            elapsed = _duration(time.monotonic() - self._began)
            print(f"{self.name}: {self.done}/{self.total} {self.unit} in {elapsed}", flush=True)

    def rate(self) -> float:
        """Units per second since this process began."""
        return (self.done - self._first) / max(time.monotonic() - self._began, 1e-9)

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` units are done."""
        self.done = done
        self._bar.update(self._task, completed=done, note=note)
        if not sys.stdout.isatty() and time.monotonic() - self._line > LINE_SECONDS:
            self._line = time.monotonic()
            rate = self.rate()
            pace = f"{rate:.1f}/s, {_duration((self.total - done) / rate)} left" if rate else "-"
            print(f"{self.name}: {done}/{self.total} {self.unit}, {pace}  {note}", flush=True)


def _duration(seconds: float) -> str:
    """``h:mm:ss``."""
    return str(datetime.timedelta(seconds=round(seconds)))
