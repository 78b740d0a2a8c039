"""Serves one level once: the contest's environment behind a gym-remote socket, and a monitor."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium

from gym_remote.exceptions import SocketInUseError
from gym_remote.server import Server
from retro_common.errors import UsageError
from retro_common.files import read_json, write_json
from retro_contest.levels import Level, check_playable
from retro_contest.rules import Rules
from retro_contest.runs.monitor import MONITOR_FILE, Monitor
from retro_contest.runs.results import LOCK_FILE, SUMMARY_FILE, make_folder

STATUS_FILE = "server.json"
FAILED = "failed"  # `ended` of a server that failed; the other values are those of Reason


@dataclass(frozen=True)
class Status:
    """The state of a server. It writes it to `server.json` about once a second while it serves."""

    timesteps: int = 0
    """resets and steps answered"""
    episodes: int = 0
    """episodes played, the running one included"""
    score: float | None = None
    """mean reward over those"""
    seconds: float = 0.0
    """since the server began to wait for an agent"""
    timesteps_per_second: float | None = None
    """since the first reset"""
    emulator_timesteps_per_second: float | None = None
    """agent steps per second spent in the environment"""
    ended: str | None = None
    """why it stopped serving (a value of Reason, or `failed`); None while it serves"""
    detail: str = ""
    """more about that"""
    connected: bool = False
    """whether an agent has connected"""

    @classmethod
    def read(cls, folder: Path) -> Status:
        """The last status written in a folder; an empty one before the first."""
        path = folder / STATUS_FILE
        return cls(**read_json(path)) if path.exists() else cls()


def serve_level(
    level: Level,
    socket: Path,
    results: Path,
    rules: Rules,
    *,
    seed: int | None = None,
    on_ready: Callable[[], object] = lambda: None,
) -> Status:
    """Serve one level to one agent and write the measurements; returns the last status.

    Ends early and in good order on SIGTERM and Ctrl-C, so it must be called in the main thread.

    Args:
        level: the level to serve.
        socket: the socket's directory; it is made.
        results: folder for `monitor.csv`, `log.csv`, `server.json` and movies; it is made.
        rules: budget, time-outs, recording.
        seed: seed of the sticky actions.
        on_ready: called once an agent can connect.

    Raises:
        UsageError: the level cannot be played, the folders cannot be used, or another server has
            the socket.
    """
    check_playable([level])
    for folder in (socket, results):
        make_folder(folder)
    for name in (MONITOR_FILE, STATUS_FILE):
        if (results / name).exists():
            raise UsageError(f"{results} holds the results of another run: choose another folder")
    for name in (SUMMARY_FILE, LOCK_FILE):
        if (results / name).exists():
            raise UsageError(f"{results} holds an evaluation: choose another folder")

    # Not at the top: the import loads the emulator, and `retro-contest evaluate` reads Status only.
    from retro_contest.emulator.make import make

    with _StopOnSignal() as stopper:
        movies = results if rules.record else None
        env = make(level, seed=seed, draw_all=rules.draw_all, record=movies)
        with contextlib.closing(env):
            monitor, server = _open(env, socket, results)
            with server:
                stopper.server = server
                on_ready()
                return _serve(server, monitor, results, rules)


def _open(env: gymnasium.Env, socket: Path, results: Path) -> tuple[Monitor, Server]:
    """From here on an agent can connect."""
    try:
        monitor = Monitor(env, results)
    except OSError as error:
        raise UsageError(f"cannot write to {results}: {error.strerror}") from error
    try:
        return monitor, Server(monitor, socket)
    except OSError as error:
        monitor.discard()
        why = str(error) if isinstance(error, SocketInUseError) else error.strerror
        raise UsageError(f"cannot serve in {socket}: {why}") from error


def _serve(server: Server, monitor: Monitor, results: Path, rules: Rules) -> Status:
    """Serve until the end and write the last status, even if the environment fails."""
    start = time.monotonic()
    connected = False

    def connect() -> None:
        nonlocal connected
        connected = True
        report()

    def report(ended: str | None = None, detail: str = "") -> Status:
        status = Status(
            timesteps=monitor.timesteps,
            episodes=monitor.episodes,
            score=monitor.score,
            seconds=round(time.monotonic() - start, 3),
            timesteps_per_second=_rate(monitor.timesteps, monitor.seconds),
            emulator_timesteps_per_second=_rate(monitor.steps, monitor.step_seconds),
            ended=ended,
            detail=detail,
            connected=connected,
        )
        write_json(results / STATUS_FILE, asdict(status), sync=False)
        return status

    report()
    monitor.report = report
    try:
        served = server.serve(
            timestep_limit=rules.timesteps,
            wallclock_limit=rules.wallclock,
            connect_timeout=rules.connect_timeout,
            request_timeout=rules.idle_timeout,
            on_connect=connect,
        )
    except Exception as error:
        monitor.finish()
        report(FAILED, f"{type(error).__name__}: {error}")
        raise
    monitor.finish()
    return report(served.reason, served.detail)


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if count and seconds > 0 else None


class _StopOnSignal:
    """SIGTERM and Ctrl-C stop the server in good order; before there is one, they interrupt."""

    def __init__(self) -> None:
        self.server: Server | None = None

    def __enter__(self) -> _StopOnSignal:
        signals = (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._stop) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        if self.server is None:
            raise KeyboardInterrupt
        self.server.stop()
