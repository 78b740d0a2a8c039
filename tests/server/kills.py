"""Kills the web server and the executor of a contest at random moments, and checks the queue.

After every kill of the web server somebody starts it again; the executor is started by the web
server. In the end every job that was submitted has ended, once, and its results are whole.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import requests
from server_kit import SETTINGS, SLOW, Hosted, wait_for

from retro_contest.board.boards import load_boards
from retro_contest.server.jobs import Job

AGENT = f'"python {SLOW} 0.01"'
KILL_SETTINGS = (
    SETTINGS.replace("active_jobs: 1", "active_jobs: 100")
    .replace("seeds: 1", "seeds: 2", 1)
    .replace(f'"python {SLOW} 0.02"', AGENT)
    + "jobs: 2\n"
)


def kill(data: Path, kills: int, jobs: int, seed: int, seconds: float = 600.0) -> Counter[str]:
    """Submit jobs, kill, wait until all jobs have ended; what was killed how often.

    Raises:
        AssertionError: a job was lost, ended twice, or has no whole results.
    """
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    submitted: set[int] = set()
    deadline = time.monotonic() + seconds
    with Hosted(data, KILL_SETTINGS) as host:
        for number in range(kills):
            while len(submitted) * kills < jobs * (number + 1) or not _active(host):
                submitted |= _submit(host)
            if chance.random() < 0.75:  # the others may hit a start
                wait_for(lambda: _plays(host), 300, "a job that is played")
            time.sleep(chance.uniform(0.0, 4.0))
            victim = chance.choice(["server", "executor", "both"])
            counts[victim] += 1
            _kill(host, victim)
        while active := _active(host):
            assert time.monotonic() < deadline, f"never ended: {active}"
            time.sleep(0.5)
    _check(host, submitted)
    return counts


def _active(host: Hosted) -> list[Job]:
    return [job for job in host.contest.jobs.all() if job.is_active]


def _plays(host: Hosted) -> bool:
    return any(job.state == "running" for job in host.contest.jobs.all())


def _submit(host: Hosted) -> set[int]:
    """Submit a job as a person would: again, if the server was just killed and says nothing."""
    while True:
        with contextlib.suppress(requests.ConnectionError):
            response = host.client("alice").post("/api/v1/jobs", json={"tag": "slow"})
            assert response.status_code == 201, response.text
            return {response.json()["id"]}
        time.sleep(0.1)


def _kill(host: Hosted, victim: str) -> None:
    if victim in ("executor", "both"):
        with contextlib.suppress(ValueError, FileNotFoundError, ProcessLookupError):
            os.kill(host.executor(), signal.SIGKILL)
    if victim in ("server", "both"):
        assert host.process is not None and host.process.stdout is not None
        host.process.kill()
        host.process.wait()
        host.process.stdout.close()
        host.start()


def _check(host: Hosted, submitted: set[int]) -> None:
    jobs = host.contest.jobs.all()
    assert {job.id for job in jobs} == submitted, "what was accepted is there, and nothing else"
    for job in jobs:
        states = [
            row["state"]
            for row in host.contest.store.all(
                "SELECT state FROM transitions WHERE job = ? ORDER BY rowid", job.id
            )
        ]
        ends = [state for state in states if state in ("finished", "failed", "cancelled")]
        assert ends == ["finished"] == states[-1:], f"job {job.id}: {states}, {job.reason}"
        assert states[0] == "queued" and job.score is not None
        runs = host.contest.jobs.runs(job)
        assert [run.timesteps for run in runs] == [200, 200], runs
    folders = [host.contest.places.results(job.phase, job.id) for job in jobs]
    (board,) = load_boards(folders).boards
    (row,) = board.rows
    assert len(row.history) == len(jobs) - 1, "every job counts once"
    assert not any(each.remark for each in (*row.history, row.submission))
