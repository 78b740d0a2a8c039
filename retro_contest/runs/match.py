"""One run: a server and an agent are started, watched until they end, measured and judged.

How the two sides are started (as processes, or in containers) is the subject of a `Runner`; the
measurements and the verdict are the same for all runners. A runner's server side runs `python -m
retro_contest serve` with the run's folder as `--results`; everything known about a run comes from
the files it writes there, from exit codes and from logs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from gym_remote.server import Reason
from retro_common.files import remove_tree, write_json
from retro_common.provenance import provenance
from retro_contest.levels import Level, benchmark_of, rom_file, sha1
from retro_contest.rules import Rules
from retro_contest.runs.monitor import MONITOR_FILE
from retro_contest.runs.randomness import environment_seed, fingerprint, new_secret
from retro_contest.runs.results import RESULT_FILE, read_monitor, run_score, unplayed_episodes
from retro_contest.runs.serve import Status
from retro_contest.runs.verdicts import AGENT_GONE, INTERRUPT, OVERDUE, Ending, judge

POLL = 0.1  # seconds between two looks at the two sides
SETTLE = 2.0  # seconds in which a server notices by itself that its agent is gone
OVERTIME = 120.0  # seconds beyond all limits after which a server counts as broken

PLAYED = {
    Reason.TIMESTEP_LIMIT,
    Reason.WALLCLOCK_LIMIT,
    Reason.CLIENT_CLOSED,
    Reason.CLIENT_DIED,
}


@dataclass(frozen=True)
class Run:
    """One level, played once, and the rules that it is played by."""

    level: Level
    """the level to play"""
    seed: int
    """the run's number, 0, 1, ..., which the agent is given, to seed itself with"""
    folder: Path
    """folder for everything that this run leaves"""
    rules: Rules
    """budget, time-outs, recording"""
    secret: str = field(default_factory=new_secret, repr=False)
    """in hexadecimal; from it follows the seed of the environment, which no agent may learn"""

    @property
    def name(self) -> str:
        """`GAME/STATE/seed-N`: also its folder's place in a results folder."""
        return f"{self.level.name}/seed-{self.seed}"

    @property
    def environment_seed(self) -> int:
        """Seed of the sticky actions."""
        return environment_seed(self.secret, self.name)

    @property
    def out(self) -> Path:
        """The agent's output folder."""
        return self.folder / "out"


class Side(Protocol):
    """A server or an agent that was started."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def wait(self, seconds: float) -> int | None:
        """Its exit code once it has ended; None if it still runs after that time."""

    def stop(self) -> None:
        """End it: ask, then kill. Returns when it is gone, with all that it started."""

    def last_line(self) -> str:
        """The last line of its log that is not blank, or an empty string."""


class Match(Protocol):
    """Both sides of a run."""

    @property
    def server(self) -> Side:
        """The contest's side."""

    @property
    def agent(self) -> Side:
        """The submission's side."""

    def close(self) -> None:
        """Stop the sides that still run and remove everything they shared."""


class Runner(Protocol):
    """A way to start the two sides of a run."""

    name: str  # "process" or "container"
    agent: str  # a command, or an image
    agent_files: dict[str, str]  # path -> hash of each file or folder that the command names

    def start(self, run: Run) -> Match:
        """Start both sides. `run.folder` exists and holds only the empty folder `out`."""


def play(
    run: Run,
    runner: Runner,
    interrupted: threading.Event,
    report: Callable[[Status], None] = lambda status: None,
) -> dict[str, Any]:
    """Play one run and write its `result.json`; returns the content of that file.

    Args:
        run: the run to play. Its folder is emptied first.
        runner: how to start the two sides.
        interrupted: stops the run when it is set.
        report: called several times a second with the server's status.
    """
    remove_tree(run.folder)
    run.out.mkdir(parents=True)
    played_as = settings(run, runner)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    match = runner.start(run)
    try:
        stopped = _watch(run, match, interrupted, report)
        ending = _end(run, match, interrupted, stopped)
    finally:
        match.close()
    result = _result(run, ending, started, played_as)
    write_json(run.folder / RESULT_FILE, result)
    return result


def _watch(
    run: Run,
    match: Match,
    interrupted: threading.Event,
    report: Callable[[Status], None],
) -> str | None:
    """Wait until the server ends, or until there is a reason to stop the run; that reason.

    The server enforces the limits on the agent: it is the side that the agent talks to.
    """
    start = time.monotonic()
    overdue = start + run.rules.wallclock + OVERTIME
    agent_gone: float | None = None
    while match.server.poll() is None:
        report(Status.read(run.folder))
        now = time.monotonic()
        if interrupted.is_set():
            return INTERRUPT
        if now > overdue:
            return OVERDUE
        if agent_gone is None and match.agent.poll() is not None:
            agent_gone = now
        if agent_gone is not None and now - agent_gone > SETTLE:
            return AGENT_GONE
        time.sleep(POLL)
    return None


def _end(run: Run, match: Match, interrupted: threading.Event, stopped: str | None) -> Ending:
    """End both sides and collect everything known about how they ended."""
    if stopped is not None:
        match.server.stop()
    agent_code = match.agent.poll()
    status = Status.read(run.folder)
    if agent_code is None and stopped is None:
        # An agent that played may have something to save; a hung one has not.
        seconds = run.rules.exit_timeout if status.ended in PLAYED else SETTLE
        agent_code = _wait_for_exit(match.agent, seconds, interrupted)
    if agent_code is None:
        match.agent.stop()
    return Ending(
        stopped=stopped,
        server_ended=status.ended,
        server_detail=status.detail,
        server_code=match.server.poll(),
        server_line=match.server.last_line(),
        connected=status.connected,
        timesteps=status.timesteps,
        budget=run.rules.timesteps,
        agent_code=agent_code,
        agent_line=match.agent.last_line(),
    )


def _wait_for_exit(agent: Side, seconds: float, interrupted: threading.Event) -> int | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not interrupted.is_set():
        code = agent.wait(POLL)
        if code is not None:
            return code
    return agent.poll()


def settings(run: Run, runner: Runner) -> dict[str, Any]:
    """The settings that identify a run: a finished run is kept only if they have not changed."""
    rom = rom_file(run.level)
    return {
        "mode": runner.name,
        "agent": runner.agent,
        "agent_files": runner.agent_files,
        "game": run.level.game,
        "state": run.level.state,
        "rom_sha1": sha1(rom) if rom else None,
        "state_sha1": sha1(run.level.folder / f"{run.level.state}.state"),
        "seed": run.seed,
        "secret_sha256": fingerprint(run.secret),
        "timesteps": run.rules.timesteps,
        "wallclock": run.rules.wallclock,
        "record": run.rules.record,
    }


def _result(run: Run, ending: Ending, started: str, played_as: dict[str, Any]) -> dict[str, Any]:
    status = Status.read(run.folder)
    episodes = read_monitor(run.folder / MONITOR_FILE)
    verdict = judge(ending)
    # A server that was killed has written each finished episode, but no last status.
    timesteps = max(status.timesteps, sum(episode.l + 1 for episode in episodes))
    unplayed = unplayed_episodes(verdict.word, timesteps, run.rules.timesteps)
    return {
        "game": run.level.game,
        "state": run.level.state,
        "seed": run.seed,
        "score": run_score(episodes, unplayed),
        "episodes": len(episodes),
        "unplayed_episodes": unplayed,
        "timesteps": timesteps,
        "seconds": status.seconds,
        "verdict": verdict.word,
        "reason": verdict.reason,
        "timesteps_per_second": status.timesteps_per_second,
        "emulator_timesteps_per_second": status.emulator_timesteps_per_second,
        "agent": played_as["agent"],
        "agent_exit_code": ending.agent_code,
        "started": started,
        "benchmark": benchmark_of(run.level),
        "settings": played_as,
        **provenance(),
    }
