"""`retro-contest status`, `cancel`, `restart` and `logs`: the jobs of a contest's server."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from tyro.conf import FlagCreatePairsOff, Positional, arg

from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_common.text import clean
from retro_contest.tables import Column, FittedTable, duration, number

if TYPE_CHECKING:
    from retro_contest.entry.remote import Remote

JobId = Annotated[
    Positional[int | None], arg(metavar="ID", help_behavior_hint="(default: current)")
]
Server = Annotated[str, arg(metavar="URL")]
INTERVAL = 2.0  # seconds between two questions
ACTIVE = ("queued", "running")
SHOWN = 200_000  # characters of a log


@dataclass(frozen=True)
class Status:
    """Show a job: its state, and each level with timesteps, speed, time left and score so far."""

    job: JobId = None
    """Its number: the job that is played or waits, else the last one."""
    server: Server = ""
    """Address of the server (default: that of the last login)."""
    all: FlagCreatePairsOff[bool] = False
    """List all of one's jobs instead."""
    follow: FlagCreatePairsOff[bool] = False
    """Go on showing it until it has ended; then exit with 1 unless it has finished."""

    def run(self) -> int:
        from retro_contest.entry.remote import connect

        found = connect(self.server)
        console = Console()
        if self.all:
            console.print(_list(found.get("jobs")))
            return 0
        job = _job(found, self.job)
        if not self.follow:
            console.print(_table(job))
            return 0
        with Live(_table(job), console=console, refresh_per_second=2) as live:
            while job["state"] in ACTIVE:
                time.sleep(INTERVAL)
                job = found.get(f"jobs/{job['id']}")
                live.update(_table(job))
        return 0 if job["state"] == "finished" else 1


@dataclass(frozen=True)
class Cancel:
    """Cancel a job."""

    job: JobId = None
    """Its number: the job that is played or waits."""
    server: Server = ""
    """Address of the server (default: that of the last login)."""

    def run(self) -> int:
        from retro_contest.entry.remote import connect

        found = connect(self.server)
        job = _job(found, self.job)
        found.post(f"jobs/{job['id']}/cancel")
        print(f"job {job['id']} is cancelled")
        return 0


@dataclass(frozen=True)
class Restart:
    """Play a job's image again, as a new job; a job that is played or waits is cancelled."""

    job: JobId = None
    """Its number: the job that is played or waits, else the last one."""
    server: Server = ""
    """Address of the server (default: that of the last login)."""

    def run(self) -> int:
        from retro_contest.entry.remote import connect

        found = connect(self.server)
        job = _job(found, self.job)
        new = found.post(f"jobs/{job['id']}/restart")
        print(f"job {job['id']} starts again as job {new['id']}")
        return 0


@dataclass(frozen=True)
class Logs:
    """Print the end of a run's log, or download everything that a job has left.

    Without --level it is the first run that did not end well, else the one that is played, else
    the first.
    """

    job: JobId = None
    """Its number: the job that is played or waits, else the last one."""
    server: Server = ""
    """Address of the server (default: that of the last login)."""
    level: Annotated[str, arg(metavar="LEVEL")] = ""
    """GAME/STATE or STATE."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Number of the run on that level (default: the first)."""
    side: Literal["agent", "server"] = "agent"
    """The agent's own words, or the contest's."""
    bytes: int = 64 << 10
    """How much of its end."""
    archive: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write all results, logs and outputs of the job to a tar archive instead."""

    def run(self) -> int:
        from retro_contest.entry.remote import connect

        found = connect(self.server)
        job = _job(found, self.job)
        if self.archive is not None:
            with found.call("GET", f"jobs/{job['id']}/results.tar", stream=True) as response:
                write_atomically(self.archive, response.content)
            print(f"wrote {self.archive}")
            return 0
        run = self._run(job)
        place = {"level": run["level"], "seed": run["seed"], "side": self.side}
        response = found.call("GET", f"jobs/{job['id']}/logs", query=place | {"tail": self.bytes})
        print(f"job {job['id']}, {clean(run['level'])} seed {run['seed']}:", file=sys.stderr)
        for line in response.text[-SHOWN:].splitlines():
            print(clean(line, 2000))
        return 0

    def _run(self, job: dict[str, Any]) -> dict[str, Any]:
        runs = [
            run
            for run in job["runs"]
            if self.level in ("", run["level"], run["level"].partition("/")[2])
            and self.seed in (None, run["seed"])
        ]
        if not runs:
            raise UsageError(f"job {job['id']} has no such run (yet)")
        for state in ("error", "running"):
            for run in runs:
                if run["state"] == state:
                    return run
        return runs[0]


def _job(found: Remote, number: int | None) -> dict[str, Any]:
    return found.get("jobs/current" if number is None else f"jobs/{number}")


def _table(job: dict[str, Any]) -> Group:
    """A job with its runs."""
    title = f"job {job['id']}: {job['state']}, {job.get('tag', '')}"
    if job["position"]:
        title += f", {job['position']} wait before it"
    score = job["score"] if job["score"] is not None else job["score_so_far"]
    columns = [
        Column("level", footer="mean over levels"),
        Column("seed", drop=4),
        Column("state", drop=3),
        Column("timesteps", right=True),
        Column("per second", right=True, drop=1),
        Column("time left", right=True),
        Column("episodes", right=True, drop=2),
        Column("score", right=True, footer=number(score)),
    ]
    rows = [
        [
            run["level"].partition("/")[2],
            str(run["seed"]),
            run["state"],
            f"{run['timesteps']:,} / {run['budget']:,}",
            number(run["timesteps_per_second"]),
            "" if run["eta"] is None else duration(run["eta"]),
            str(run["episodes"]),
            number(run["score"]),
        ]
        for run in job["runs"]
    ]
    lines = [
        f"{run['level'].partition('/')[2]} seed {run['seed']}: {run['verdict']}: {run['reason']}"
        for run in job["runs"]
        if run["state"] == "error"
    ]
    reason = job.get("reason") or ""
    lines += [reason] if reason and job["state"] != "finished" else []
    table = [FittedTable(title, columns, rows)] if rows else [Text(clean(title))]
    return Group(*table, *(Text(clean(line, 500)) for line in lines))


def _list(jobs: list[dict[str, Any]]) -> FittedTable:
    columns = [
        Column("job", right=True),
        Column("phase", drop=2),
        Column("image"),
        Column("state"),
        Column("score", right=True),
        Column("submitted", drop=1),
    ]
    rows = [
        [
            str(job["id"]),
            job["phase"],
            job["tag"],
            job["state"],
            number(job["score"]),
            job["created"] or "",
        ]
        for job in jobs
    ]
    return FittedTable(f"{len(rows)} jobs", columns, rows)
