"""A contest to test: in its data folder, behind a real socket, with or without its executor."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import uvicorn

from retro_contest.server.contest import Contest, open_contest
from retro_contest.server.http.app import create_app
from retro_contest.server.http.web import Service
from retro_contest.server.limits import RateLimit
from retro_contest.server.settings import prepare

LEVEL = "Airstriker-Genesis-v0/Level1"
PASSWORD = "correct horse"
SLOW = Path(__file__).with_name("slow_agent.py")
SETTINGS = f"""\
name: Test contest
agents:
  random: random
  slow: "python {SLOW} 0.02"
  crash: "python -c 'raise SystemExit(3)'"
open:
  levels: {LEVEL}
  seeds: 1
  rules: {{timesteps: 200, wallclock: 300}}
final:
  levels: {LEVEL}
  seeds: 1
  rules: {{timesteps: 60, wallclock: 300}}
limits: {{jobs_per_day: 100, active_jobs: 1}}
registration: invitation
"""


def contest_in(data: Path, settings: str = SETTINGS) -> Contest:
    """A new contest with these settings."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "contest.yaml").write_text(settings)
    prepare(data)
    return open_contest(data)


class Client:
    """Speaks to a server as a program does that knows its token or cookies."""

    def __init__(self, url: str, *, token: str = "", cookies: dict[str, str] | None = None) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._cookies = cookies or {}

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request, each on a connection of its own, as the client of 2018 makes them."""
        headers = self._headers | more.pop("headers", {})
        return requests.request(
            method,
            self.url + path,
            headers=headers,
            cookies=self._cookies,
            allow_redirects=False,
            timeout=60,
            **more,
        )

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.call("GET", path, **more)

    def post(self, path: str, **more: Any) -> requests.Response:
        return self.call("POST", path, **more)

    def wait(self, job: int, *states: str, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until a job is in one of some states."""
        return wait_for(
            lambda: _in(self.get(f"/api/v1/jobs/{job}").json(), states), seconds, f"job {job}"
        )


def _in(job: dict[str, Any], states: tuple[str, ...]) -> dict[str, Any] | None:
    if job["state"] in states:
        return job
    ended = ("finished", "failed", "cancelled")
    assert job["state"] not in ended, f"waits for {states}: {job}"
    return None


def wait_for(condition: Callable[[], Any], seconds: float = 60.0, what: str = "") -> Any:
    """Wait until a condition gives something; that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@contextlib.contextmanager
def served(contest: Contest, *, limited: bool = True) -> Iterator[str]:
    """A contest's web server in a thread, without an executor; its address.

    Args:
        contest: the contest.
        limited: whether failed logins and submissions are limited.
    """
    app = create_app(contest)
    if not limited:
        none = RateLimit(1 << 30, 1.0)
        app.state.service = Service(contest, none, none, none)
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started, 20, "the web server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


class Hosted:
    """`retro-contest host` as a process, with all that it starts."""

    def __init__(self, data: Path, settings: str = SETTINGS) -> None:
        self.data = data
        self.contest = contest_in(data, settings)
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Hosted:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            assert self.stop() == 0

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "retro_contest", "host"),
                *("--data", str(self.data), "--listen", "127.0.0.1:0"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + self.process.stdout.read()
        self.url = found[0]

    def stop(self) -> int:
        """End it in good order; its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(120)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def executor(self) -> int:
        """The process number of the executor."""
        return int(self.contest.places.executor_lock.read_text())

    def client(self, name: str) -> Client:
        """A client of an account, which is made where it is missing."""
        accounts = self.contest.accounts
        account = accounts.find(name) or accounts.add(name, PASSWORD, f"{name}@example.org")
        return Client(self.url, token=accounts.new_token(account, "test"))
