"""The executor: a process that plays the jobs of a contest.

`python -m retro_contest.server.work.executor DATA`

The web server starts it and watches it. There is one for a data folder, which a lock sees to. It
has a lifeline, its standard input: when that closes, the web server is gone, and the executor plays
the jobs that it has to their ends and takes no others. At SIGTERM it stops them, and they are
queued again. Killed, it leaves running jobs, which the next executor takes over.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import sqlite3
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from retro_common.errors import UsageError
from retro_contest.server.contest import Contest, open_contest
from retro_contest.server.jobs import FAILED, Job
from retro_contest.server.work.live import LiveRuns
from retro_contest.server.work.play import HostFailed, Outcome, cancelled, play, seconds_allowed

TICK = 0.5  # seconds between two looks at everything
BEAT = 2.0  # seconds between two signs of life of the executor
STUCK = 300.0  # seconds after which a job that was interrupted counts as hanging
MOST_ATTEMPTS = 30  # starts of a job without a run that ends, after which it fails
HOST_ATTEMPTS = 8  # the same, where the contest's side said why it could not play it
MOST_WAIT = 60.0  # seconds before a job is tried again

NICE = 5  # the web server answers also where the runs take every core

BUSY = 3  # exit code: another executor has this folder
HUNG = 4  # exit code: a job could not be stopped

GIVEN_UP = Outcome(
    FAILED, reason="the contest's side failed again and again: ask the host", charged=False
)


class Work:
    """One job that is being played, in a thread of its own."""

    def __init__(self, contest: Contest, job: Job, executor: str) -> None:
        self.job = job
        self.interrupted = threading.Event()
        self.interrupted_at: float | None = None
        self.runs = LiveRuns()
        self._beaten = time.monotonic()
        self._beating = threading.Lock()
        self._contest = contest
        self._executor = executor
        self.thread = threading.Thread(target=self._run, name=f"job {job.id}")

    def interrupt(self) -> None:
        """Ask it to end."""
        if self.interrupted_at is None:
            self.interrupted_at = time.monotonic()
            self.interrupted.set()

    def beat(self) -> None:
        """A sign of life with what has changed; obeys a cancellation and the deadline."""
        with self._beating:  # what was taken last is also written last
            now = time.monotonic()
            changed, ended = self.runs.take()
            job = self._contest.jobs.beat(
                self.job, self._executor, now - self._beaten, changed, ended
            )
            self._beaten = now
            self.job = job or self.job
        if job is None or job.cancel or self._is_overdue:
            self.interrupt()

    @property
    def _is_overdue(self) -> bool:
        return self.job.active > seconds_allowed(self._contest, self.job)

    def _run(self) -> None:
        try:
            outcome = self._play()
            self.beat()
            self._end(outcome)
        except Exception:
            # The database has refused for long, or worse: the next executor takes the job over.
            log(f"job {self.job.id}: {traceback.format_exc()}")
            os._exit(1)
        finally:
            self._contest.store.close()

    def _play(self) -> Outcome | None:
        """How the job ends; None if it does not end now."""
        outcome = None
        try:
            if self.job.attempts <= MOST_ATTEMPTS:
                outcome = play(self._contest, self.job, self.interrupted, self.runs, log)
            else:
                log(f"job {self.job.id} was started {self.job.attempts} times without a result")
                return GIVEN_UP
        except HostFailed as error:
            log(f"job {self.job.id}, start {self.job.attempts}: {error}")
            if self.job.attempts >= HOST_ATTEMPTS:
                return GIVEN_UP
            self.interrupted.wait(min(MOST_WAIT, 2.0**self.job.attempts))
        if outcome is None and self.job.cancel:
            return cancelled(self.job)
        if outcome is None and self._is_overdue:
            reason = f"it had not ended after {self.job.active:,.0f} s: the deadline of a job"
            return Outcome(FAILED, reason=reason)
        return outcome

    def _end(self, outcome: Outcome | None) -> None:
        if outcome is None:
            self._contest.jobs.give_back(self.job, self._executor)
            log(f"job {self.job.id} of {self.job.username} is queued again")
        elif self._contest.jobs.end(
            self.job,
            self._executor,
            outcome.state,
            score=outcome.score,
            reason=outcome.reason,
            charged=outcome.charged,
        ):
            log(f"job {self.job.id} of {self.job.username}: {outcome.state} {outcome.reason}")


class Executor:
    """Takes jobs and plays them until it is told to end."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._token = secrets.token_hex(8)
        self._works: list[Work] = []
        # Plain variables: a signal's handler must not wait for the lock of an event.
        self._stopping = False
        self._draining = False
        self._next_beat = 0.0

    def stop(self, *_: object) -> None:
        """Stop all jobs; they are queued again."""
        self._stopping = True

    def drain(self) -> None:
        """Take no more jobs."""
        self._draining = True

    def run(self) -> int:
        """Play jobs; the exit code."""
        taken = self._contest.jobs.take_over(self._token)
        log(f"executor {os.getpid()} begins" + (f", {taken} jobs are taken over" if taken else ""))
        while True:
            try:
                self._tick()
            except sqlite3.OperationalError as error:  # locked for long, or the disk is full
                log(f"database: {error}")
            if self._ending and not self._works:
                return 0
            if any(_is_stuck(work) for work in self._works):
                log("a job does not end: this executor gives up, and the next one goes on")
                return HUNG
            time.sleep(TICK)

    @property
    def _ending(self) -> bool:
        return self._stopping or self._draining

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._next_beat:
            self._contest.beat()
            self._next_beat = now + BEAT
        for work in list(self._works):
            if not work.thread.is_alive():
                self._works.remove(work)
                continue
            if self._stopping:
                work.interrupt()
            work.beat()
        while len(self._works) < self._contest.settings.jobs and not self._ending:
            job = self._contest.jobs.claim(self._token)
            if job is None:
                return
            log(f"job {job.id} of {job.username} begins: {job.tag} {job.digest}")
            work = Work(self._contest, job, self._token)
            self._works.append(work)
            work.thread.start()


def _is_stuck(work: Work) -> bool:
    return (
        work.interrupted_at is not None
        and work.thread.is_alive()
        and time.monotonic() - work.interrupted_at > STUCK
    )


def log(line: str) -> None:
    """A line for the host."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    print(f"{now} {line}", flush=True)


def take_lock(path: Path) -> int | None:
    """Take the executor's lock and write this process's number into it; None if it is taken."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def main(data: Path) -> int:
    """Run the executor of a data folder; the exit code."""
    try:
        contest = open_contest(data)
    except UsageError as error:
        log(f"error: {error}")
        return 2
    if take_lock(contest.places.executor_lock) is None:
        return BUSY
    os.nice(NICE)
    if contest.settings.cluster:
        # Here: Ray sets handlers of signals, which only the main thread can.
        from retro_contest.runs.nodes import connect

        try:
            connect(contest.settings.cluster)
        except UsageError as error:
            log(f"error: {error}")
            return 2
    executor = Executor(contest)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, executor.stop)

    def watch_lifeline() -> None:
        while os.read(0, 1024):
            pass
        executor.drain()

    threading.Thread(target=watch_lifeline, daemon=True).start()
    code = executor.run()
    if code:
        os._exit(code)  # a thread hangs: do not wait for it
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
