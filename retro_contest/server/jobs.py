"""The jobs: a queue that survives every crash.

A job is *queued*, then *running*, then *finished*, *failed* or *cancelled*, once and for ever. A
running job belongs to an executor. When another executor takes over, the jobs of the one before are
queued again, ahead of the others; what was played of them lies in their results folders, and is
kept. Every change names the state, and the executor, that it is made from: whoever comes too late
changes nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.server.accounts import Account
from retro_contest.server.settings import FINAL, OPEN, Limits
from retro_contest.server.store import ENDED, Store

QUEUED, RUNNING = "queued", "running"
FINISHED, FAILED, CANCELLED = ENDED
DAY = 86400.0


class LimitReached(UsageError):
    """An entrant has used up what the contest allows."""


class Conflict(UsageError):
    """A job's state does not allow what was asked for."""


@dataclass(frozen=True)
class Job:
    """A submission that is, was or will be played."""

    id: int
    """its number"""
    account: int
    """its owner's number"""
    username: str
    """its owner's name"""
    phase: str
    """`open` or `final`"""
    tag: str
    """the image as it was submitted"""
    digest: str
    """the image's digest"""
    state: str
    """`queued`, `running`, `finished`, `failed` or `cancelled`"""
    reason: str
    """why it failed or was cancelled, in a line"""
    score: float | None
    """of a finished job; None where no run has one"""
    created: float
    """when it was submitted; all times in seconds since 1970"""
    started: float | None
    """when an executor first took it"""
    ended: float | None
    """when it came to its last state"""
    cancel: bool
    """whether it is asked to end"""
    restart_of: int | None
    """the job that it repeats"""
    attempts: int
    """starts since a run of it last ended"""
    active: float
    """seconds in which it was played"""

    @property
    def is_active(self) -> bool:
        """Whether it waits or is played."""
        return self.state in (QUEUED, RUNNING)


COLUMNS = ", ".join(
    f"accounts.{name}" if name == "username" else f"jobs.{name}"
    for name in Job.__dataclass_fields__
)
SELECT = f"SELECT {COLUMNS} FROM jobs JOIN accounts ON accounts.id = jobs.account"


@dataclass
class RunState:
    """The live state of one run of a job."""

    level: str
    """`GAME/STATE`"""
    seed: int
    """the run's number"""
    budget: int
    """timesteps that it may play"""
    state: str = "queued"
    """`queued`, `running`, `finished`, or `error` if it did not end well"""
    timesteps: int = 0
    """played so far"""
    episodes: int = 0
    """played so far"""
    rate: float | None = None
    """timesteps per second"""
    eta: float | None = None
    """seconds until its end, about"""
    score: float | None = None
    """so far, or in the end"""
    verdict: str = ""
    """how it ended, a word of `runs.verdicts`"""
    reason: str = ""
    """more about that"""


RUN_COLUMNS = tuple(RunState.__dataclass_fields__)


class Jobs:
    """The jobs in a database."""

    def __init__(
        self, store: Store, limits: Limits, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock

    # --- for entrants ---

    def submit(self, account: Account, tag: str, digest: str) -> Job:
        """Queue a job of the open phase.

        Raises:
            LimitReached: the account has used up its day, or has too many active jobs.
        """
        with self._store.write() as connection:
            self._check_limits(connection, account, besides=None)
            return self._insert(connection, account.id, OPEN, tag, digest, None)

    def restart(self, account: Account, job: Job) -> Job:
        """Queue a job with the same image again, as a new job; if it is active, it is cancelled.

        Raises:
            LimitReached: as in `submit`.
            Conflict: it is a job of the final.
        """
        if job.phase == FINAL:
            raise Conflict("the jobs of the final are the host's")
        with self._store.write() as connection:
            self._check_limits(connection, account, besides=job.id)
            self._cancel(connection, job.id, "restarted")
            return self._insert(connection, account.id, OPEN, job.tag, job.digest, job.id)

    def cancel(self, job: Job, reason: str = "by its owner") -> Job:
        """End a job: at once if it waits, else the executor ends it soon.

        Raises:
            Conflict: it has ended already.
        """
        with self._store.write() as connection:
            if not self._cancel(connection, job.id, reason):
                raise Conflict(f"job {job.id} has ended already")
            return _job(connection.execute(f"{SELECT} WHERE jobs.id = ?", (job.id,)).fetchone())

    def get(self, number: int) -> Job | None:
        """The job with this number."""
        if not 0 < number < 1 << 63:
            return None
        row = self._store.one(f"{SELECT} WHERE jobs.id = ?", number)
        return None if row is None else _job(row)

    def of(self, account: Account, phase: str = OPEN) -> list[Job]:
        """The jobs of an account, the oldest first."""
        return self._many("WHERE account = ? AND phase = ? ORDER BY jobs.id", account.id, phase)

    def current(self, account: Account) -> Job | None:
        """The account's running job, else its waiting, else its last job of the open phase."""
        found = self._many(
            "WHERE account = ? AND phase = 'open' ORDER BY state = 'running' DESC,"
            " state = 'queued' DESC, jobs.id DESC LIMIT 1",
            account.id,
        )
        return found[0] if found else None

    def left_today(self, account: Account) -> int:
        """How many jobs the account may still submit now."""
        return max(0, self._limits.jobs_per_day - self._charged(self._store.read(), account))

    # --- for everybody ---

    def active(self, phase: str = OPEN) -> list[Job]:
        """The jobs that are played or wait, in the order of the queue."""
        return self._many(
            "WHERE state IN ('running', 'queued') AND phase = ?"
            " ORDER BY state = 'queued', started IS NULL, jobs.id",
            phase,
        )

    def finished(self, phase: str = OPEN) -> list[Job]:
        """The finished jobs of accounts that are not banned, the oldest first."""
        return self._many(
            "WHERE state = 'finished' AND phase = ? AND banned IS NULL ORDER BY jobs.id", phase
        )

    def position(self, job: Job) -> int | None:
        """How many jobs wait before a waiting one; None for any other."""
        if job.state != QUEUED:
            return None
        return (
            self._store.read()
            .execute(
                "SELECT count(*) FROM jobs WHERE state = 'queued'"
                " AND (started IS NULL, id) < (?, ?)",
                (job.started is None, job.id),
            )
            .fetchone()[0]
        )

    def runs(self, job: Job) -> list[RunState]:
        """The runs of a job in the order in which they are played; none before it starts."""
        rows = self._store.all(
            f"SELECT {', '.join(RUN_COLUMNS)} FROM runs WHERE job = ? ORDER BY position", job.id
        )
        return [RunState(*row) for row in rows]

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        return self._many("ORDER BY jobs.id")

    # --- for the host ---

    def add_final(self, account: int, tag: str, digest: str, restart_of: int) -> Job:
        """Queue a job of the final phase."""
        with self._store.write() as connection:
            return self._insert(connection, account, FINAL, tag, digest, restart_of)

    # --- for the executor ---

    def take_over(self, executor: str) -> int:
        """Queue the running jobs of all other executors again; how many there were."""
        with self._store.write() as connection:
            done = connection.execute(
                "UPDATE jobs SET state = 'queued', executor = NULL"
                " WHERE state = 'running' AND executor <> ?",
                (executor,),
            )
            # What it could not end itself.
            connection.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ? WHERE state = 'queued' AND cancel",
                (self._clock(),),
            )
            return done.rowcount

    def claim(self, executor: str) -> Job | None:
        """Take the next waiting job; those that were begun come first. None without one."""
        now = self._clock()
        with self._store.write() as connection:
            row = connection.execute(
                "UPDATE jobs SET state = 'running', executor = ?, heartbeat = ?,"
                " attempts = attempts + 1, started = coalesce(started, ?)"
                " WHERE id = (SELECT id FROM jobs WHERE state = 'queued'"
                "             ORDER BY started IS NULL, id LIMIT 1) RETURNING id",
                (executor, now, now),
            ).fetchone()
            if row is None:
                return None
            return _job(connection.execute(f"{SELECT} WHERE jobs.id = ?", (row[0],)).fetchone())

    def beat(
        self,
        job: Job,
        executor: str,
        seconds: float,
        runs: Iterable[tuple[int, RunState]] = (),
        ended: bool = False,
    ) -> Job | None:
        """A sign of life of a running job.

        Args:
            job: the job.
            executor: who plays it.
            seconds: since the last sign.
            runs: positions and states of runs that changed.
            ended: whether one of them ended.

        Returns:
            The job as it is now; None if it is no longer this executor's.
        """
        with self._store.write() as connection:
            if not self._is_ours(connection, job.id, executor):
                return None
            connection.execute(
                "UPDATE jobs SET heartbeat = ?, active = active + ?,"
                " attempts = CASE WHEN ? THEN 0 ELSE attempts END WHERE id = ?",
                (self._clock(), seconds, ended, job.id),
            )
            _write_runs(connection, job.id, runs)
            return _job(connection.execute(f"{SELECT} WHERE jobs.id = ?", (job.id,)).fetchone())

    def end(
        self,
        job: Job,
        executor: str,
        state: str,
        *,
        score: float | None = None,
        reason: str = "",
        charged: bool = True,
    ) -> bool:
        """End a running job; whether it was still this executor's to end.

        Args:
            job: the job.
            executor: who plays it.
            state: `finished`, `failed` or `cancelled`.
            score: of a finished one.
            reason: for a person, one line.
            charged: whether it counts against its owner's limit.
        """
        with self._store.write() as connection:
            done = connection.execute(
                "UPDATE jobs SET state = ?, score = ?, reason = ?, ended = ?,"
                " charged = charged AND ?"
                " WHERE id = ? AND state = 'running' AND executor = ?",
                (state, score, clean(reason, 500), self._clock(), charged, job.id, executor),
            )
            return done.rowcount > 0

    def give_back(self, job: Job, executor: str) -> None:
        """Queue a running job again: its executor ends, or could not play it now."""
        with self._store.write() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'queued', executor = NULL"
                " WHERE id = ? AND state = 'running' AND executor = ?",
                (job.id, executor),
            )

    # --- what they share ---

    def _many(self, condition: str, *values: Any) -> list[Job]:
        return [_job(row) for row in self._store.all(f"{SELECT} {condition}", *values)]

    def _insert(
        self,
        connection: sqlite3.Connection,
        account: int,
        phase: str,
        tag: str,
        digest: str,
        restart_of: int | None,
    ) -> Job:
        number = connection.execute(
            "INSERT INTO jobs (account, phase, tag, digest, created, restart_of)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (account, phase, tag, digest, self._clock(), restart_of),
        ).lastrowid
        return _job(connection.execute(f"{SELECT} WHERE jobs.id = ?", (number,)).fetchone())

    def _cancel(self, connection: sqlite3.Connection, number: int, reason: str) -> bool:
        waiting = connection.execute(
            "UPDATE jobs SET state = 'cancelled', ended = ?, reason = ?, cancel = 1,"
            " charged = started IS NOT NULL WHERE id = ? AND state = 'queued'",
            (self._clock(), reason, number),
        )
        running = connection.execute(
            "UPDATE jobs SET cancel = 1, reason = ? WHERE id = ? AND state = 'running'",
            (reason, number),
        )
        return waiting.rowcount + running.rowcount > 0

    def _check_limits(
        self, connection: sqlite3.Connection, account: Account, besides: int | None
    ) -> None:
        active = connection.execute(
            "SELECT count(*) FROM jobs WHERE account = ? AND phase = 'open' AND id IS NOT ?"
            " AND state IN ('queued', 'running') AND NOT cancel",
            (account.id, besides),
        ).fetchone()[0]
        if active >= self._limits.active_jobs:
            raise LimitReached(
                f"{active} of your jobs wait or are played, and no more may: cancel one, or wait"
            )
        if self._charged(connection, account) >= self._limits.jobs_per_day:
            raise LimitReached(
                f"you have submitted {self._limits.jobs_per_day} jobs within 24 hours: wait"
            )

    def _charged(self, connection: sqlite3.Connection, account: Account) -> int:
        return connection.execute(
            "SELECT count(*) FROM jobs"
            " WHERE account = ? AND phase = 'open' AND charged AND created > ?",
            (account.id, self._clock() - DAY),
        ).fetchone()[0]

    def _is_ours(self, connection: sqlite3.Connection, number: int, executor: str) -> bool:
        row = connection.execute(
            "SELECT 1 FROM jobs WHERE id = ? AND state = 'running' AND executor = ?",
            (number, executor),
        ).fetchone()
        return row is not None


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    return Job(**values | {"cancel": bool(values["cancel"])})


def _write_runs(
    connection: sqlite3.Connection, number: int, runs: Iterable[tuple[int, RunState]]
) -> None:
    names = ", ".join(("job", "position", *RUN_COLUMNS))
    marks = ", ".join("?" * (2 + len(RUN_COLUMNS)))
    connection.executemany(
        f"INSERT OR REPLACE INTO runs ({names}) VALUES ({marks})",
        [
            (number, position, *(getattr(run, name) for name in RUN_COLUMNS))
            for position, run in runs
        ],
    )
