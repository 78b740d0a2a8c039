"""How fast does a contest's server answer while a job is played? Many clients ask for its status.

A contest is hosted as `retro-contest host` does it, with its executor. One entrant's job is played
from the beginning to the end of the measurement. Every client asks for that job's status once a
second, as the client of 2018 does (a cookie, a connection of its own for each request), from the
opening of the connection to the last byte of the answer.

    python -m benchmarks.server [--quick] [--json FILE]
"""

import asyncio
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import tyro

from benchmarks.command import run
from benchmarks.report import report
from retro_contest.server.contest import Contest, open_contest
from retro_contest.server.settings import prepare

SETTINGS = """\
agents: {jerk: jerk}
open:
  levels: PangolinDash-Genesis-v0/FernHollow.Act1
  seeds: 1
  rules: {timesteps: 100000000, wallclock: 86400}
"""
PASSWORD = "a password for one minute"
INTERVAL = 1.0  # seconds between two questions of a client


@dataclass
class Config:
    clients: int = 200
    """clients that ask at the same time"""
    seconds: float = 60.0
    """how long they ask"""
    quick: bool = False
    """20 clients for 5 seconds"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


async def ask(port: int, request: bytes, ends: float, seconds: list[float]) -> None:
    """Ask once a second until a time, and append how long each answer took.

    Raises:
        ConnectionError: an answer is not the status of a running job.
    """
    await asyncio.sleep(random.uniform(0, INTERVAL))
    while (began := time.perf_counter()) < ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        seconds.append(time.perf_counter() - began)
        if b" 200 " not in answer[:20] or b'"running"' not in answer:
            raise ConnectionError(answer[:300])
        await asyncio.sleep(max(0.0, began + INTERVAL - time.perf_counter()))


async def poll(port: int, cookie: str, config: Config) -> list[float]:
    """The seconds that all answers to all clients took."""
    request = (
        f"GET /rest/job/status HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: session={cookie}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    seconds: list[float] = []
    ends = time.perf_counter() + config.seconds
    await asyncio.gather(*(ask(port, request, ends, seconds) for _ in range(config.clients)))
    return seconds


def timesteps(contest: Contest) -> int:
    """Timesteps that the job has played so far."""
    (job,) = contest.jobs.all()
    return sum(state.timesteps for state in contest.jobs.runs(job))


def processor_seconds(process: int) -> float:
    """Processor time that a process has used, without that of processes it started."""
    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def measure(config: Config, data: Path) -> dict[str, float]:
    """Host a contest, have a job played, and measure."""
    (data / "contest.yaml").write_text(SETTINGS)
    prepare(data)
    contest = open_contest(data)
    account = contest.accounts.add("alice", PASSWORD)
    cookie = contest.accounts.new_session(account)
    contest.jobs.submit(account, "jerk", contest.registry.resolve(account, "jerk"))
    command = [sys.executable, "-m", "retro_contest", "host", "--listen", "127.0.0.1:0"]
    host = subprocess.Popen([*command, "--data", str(data)], stdout=subprocess.PIPE, text=True)
    try:
        assert host.stdout is not None
        found = re.search(r":(\d+) ", host.stdout.readline())
        if found is None:
            raise ConnectionError("the server does not start")
        while timesteps(contest) == 0:
            time.sleep(0.2)
        before, used = timesteps(contest), processor_seconds(host.pid)
        seconds = np.array(asyncio.run(poll(int(found[1]), cookie, config)))
        played, used = timesteps(contest) - before, processor_seconds(host.pid) - used
    finally:
        host.terminate()
        host.wait()
    half, most = (1000 * np.quantile(seconds, share) for share in (0.5, 0.99))
    return {
        "clients": config.clients,
        "seconds": config.seconds,
        "answers": len(seconds),
        "p50_ms": round(float(half), 1),
        "p99_ms": round(float(most), 1),
        "max_ms": round(float(1000 * seconds.max()), 1),
        "processor_ms_per_answer": round(1000 * used / len(seconds), 2),
        "timesteps_per_second": round(played / config.seconds, 1),
    }


def main() -> None:
    config = tyro.cli(Config, prog="python -m benchmarks.server")
    if config.quick:
        config.clients, config.seconds = 20, 5.0
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(config, Path(folder))
    rows = [["", "figure"], *([name, f"{value:,}"] for name, value in figures.items())]
    report("A contest's server beside a job that is played", rows, figures, config.json)


if __name__ == "__main__":
    run(main)
