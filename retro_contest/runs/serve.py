"""Serves one level once: the contest's environment, measured, behind a gym-remote socket."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium

from gym_remote.exceptions import SocketInUseError
from gym_remote.server import Reason, Server
from retro_common.errors import UsageError
from retro_common.files import read_json, write_json
from retro_contest.levels import Level, check_playable
from retro_contest.runs.monitor import MONITOR_FILE, Monitor

STATUS_FILE = "server.json"
FAILED = "failed"  # `ended` of a server that broke; the other values are those of Reason


@dataclass(frozen=True)
class Status:
    """What a server says of itself in ``server.json``, about once a second while it serves.

    Attributes:
        timesteps: resets and steps answered.
        episodes: episodes played, the running one included.
        score: mean reward over those.
        seconds: since the server began to wait for an agent.
        timesteps_per_second: since the first reset.
        emulator_timesteps_per_second: agent steps per second spent in the environment.
        ended: why it stopped serving (a value of Reason, or ``failed``); None while it serves.
        detail: more about that.
    """

    timesteps: int = 0
    episodes: int = 0
    score: float | None = None
    seconds: float = 0.0
    timesteps_per_second: float | None = None
    emulator_timesteps_per_second: float | None = None
    ended: str | None = None
    detail: str = ""

    @property
    def connected(self) -> bool:
        """Whether an agent is known to have connected."""
        without_agent = (None, FAILED, Reason.NO_CLIENT, Reason.STOPPED)
        return self.timesteps > 0 or self.ended not in without_agent

    @classmethod
    def read(cls, folder: Path) -> Status:
        """The last status written in a folder; an empty one before the first."""
        path = folder / STATUS_FILE
        return cls(**read_json(path)) if path.exists() else cls()


def serve_level(
    level: Level,
    socket: Path,
    results: Path,
    *,
    timesteps: int,
    wallclock: float,
    seed: int | None = None,
    record: bool = False,
    draw_all: bool = False,
    connect_timeout: float = 300.0,
    idle_timeout: float = 600.0,
) -> Status:
    """Serve one level to one agent and write what is measured; returns the last status.

    Ends early and in good order on SIGTERM and Ctrl-C, so it must be called in the main thread.

    Args:
        level: what to serve.
        socket: the socket's directory; it is made.
        results: folder for ``monitor.csv``, ``log.csv``, ``server.json`` and movies; it is made.
        timesteps: budget; resets count, too.
        wallclock: budget in seconds, from the moment an agent can connect.
        seed: of the sticky actions.
        record: whether to write one bk2 movie per episode.
        draw_all: whether to draw skipped frames, too.
        connect_timeout: seconds to wait for an agent.
        idle_timeout: seconds to wait for each request of it.

    Raises:
        UsageError: the level cannot be played, the folders cannot be used, or another server has
            the socket.
    """
    if min(timesteps, wallclock, connect_timeout, idle_timeout) <= 0:
        raise UsageError("--timesteps, --wallclock and the timeouts must be more than 0")
    check_playable([level])
    for folder in (socket, results):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error

    if (results / MONITOR_FILE).exists():
        raise UsageError(f"{results} holds the results of another run: choose another folder")

    # Not at the top: the import loads the emulator, and `contest evaluate` reads Status only.
    from retro_contest.emulator import environment

    with _StopOnSignal() as stopper:
        env = environment.make(
            level, seed=seed, draw_all=draw_all, record=results if record else None
        )
        with contextlib.closing(env):
            monitor, server = _open(env, socket, results)
            with server:
                stopper.server = server
                return _serve(
                    server,
                    monitor,
                    results,
                    timestep_limit=timesteps,
                    wallclock_limit=wallclock,
                    connect_timeout=connect_timeout,
                    request_timeout=idle_timeout,
                )


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


def _serve(server: Server, monitor: Monitor, results: Path, **limits: float) -> Status:
    """Serve until the end and write the last status, come what may."""
    start = time.monotonic()

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
        )
        write_json(results / STATUS_FILE, asdict(status), sync=False)
        return status

    report()
    monitor.report = report
    try:
        served = server.serve(**limits)
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
