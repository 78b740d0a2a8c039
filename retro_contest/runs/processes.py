"""Starts the two sides of a run as processes of this machine.

The agent is a command. It runs in the evaluator's working directory, and learns where to connect in
either of two ways: from the environment variables `RETRO_CONTEST_SOCKET` (the socket's directory),
`RETRO_CONTEST_OUT` (a folder for its output), `RETRO_CONTEST_SEED`, `RETRO_CONTEST_TIMESTEPS` and
`RETRO_CONTEST_WALLCLOCK` (the budget), or from the placeholders `{socket}`, `{out}`, `{seed}`,
`{timesteps}` and `{wallclock}` in the command. The seed is the run's number, not that of the
environment. `python` in it is the Python that runs the evaluation, and this repository can be
imported.

A process is not isolated: it runs as the same user, so it can read the server's environment
variables and the evaluation's secret. Run agents that you do not trust in containers.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from retro_common.errors import UsageError
from retro_common.provenance import INSTALLED, ROOT
from retro_common.text import clean
from retro_contest.runs import supervisor
from retro_contest.runs.agent_files import agent_files
from retro_contest.runs.lease import TemporaryFolder, remove_temporary_folders
from retro_contest.runs.match import Run
from retro_contest.runs.randomness import SEED_VARIABLE

BUILT_IN = {
    "random": "python -m retro_contest.agents.random_agent",
    "hold-right": "python -m retro_contest.agents.hold_right",
    "jerk": "python -m retro_contest.agents.jerk",
}
LOG_LIMIT = 1 << 20  # bytes of each side's log that are kept
LINE_LIMIT = 300  # characters of a log's last line that are shown and kept in results
STOP_SECONDS = 10.0  # between asking a side to end and killing it
PLACEHOLDERS = ("socket", "out", "seed", "timesteps", "wallclock")


class ProcessRunner:
    """Runs a server and an agent command as two processes."""

    name = "process"

    def __init__(self, agent: str) -> None:
        """
        Args:
            agent: a command, or the name of a built-in agent.

        Raises:
            UsageError: the command is empty, is not quoted right, or its program does not exist.
        """
        self.agent = agent
        try:
            self._command = shlex.split(BUILT_IN.get(agent, agent))
        except ValueError as error:
            raise UsageError(f"agent command {agent!r}: {error}") from error
        if not self._command:
            raise UsageError("the agent command is empty")
        if shutil.which(self._command[0], path=_environment()["PATH"]) is None:
            raise UsageError(
                f"agent command: no program '{self._command[0]}' "
                f"(built-in agents: {', '.join(BUILT_IN)})"
            )
        remove_temporary_folders()
        # A built-in agent is a name of this kit, whose version the results hold.
        named = () if agent in BUILT_IN else self._command
        self.agent_files = agent_files(named, _import_folders())

    def start(self, run: Run) -> ProcessMatch:
        return ProcessMatch(run, self._command)


class ProcessMatch:
    """Both sides of a run as processes; they share a directory with a short name."""

    def __init__(self, run: Run, agent_command: list[str]) -> None:
        # The path of a socket is limited to 107 bytes: it cannot lie in the results folder.
        self._directory = TemporaryFolder()
        socket = self._directory.path / "sock"
        socket.mkdir()
        values = {
            "socket": str(socket),
            "out": str(run.out.resolve()),
            "seed": str(run.seed),
            "timesteps": str(run.rules.timesteps),
            "wallclock": f"{run.rules.wallclock:g}",
        }
        variables = {f"RETRO_CONTEST_{name.upper()}": value for name, value in values.items()}
        self.server = SupervisedProcess(
            serve_command(run, socket),
            run.folder / "server.log",
            _environment() | server_variables(run),
        )
        self.agent = SupervisedProcess(
            [_fill(word, values) for word in agent_command],
            run.folder / "agent.log",
            _environment() | variables,
        )

    def close(self) -> None:
        self.agent.stop()
        self.server.stop()
        self._directory.close()


class SupervisedProcess:
    """A command under `retro_contest.runs.supervisor`: its log is bounded, and it ends with us."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self._log = log
        limits = [str(log), str(LOG_LIMIT), str(STOP_SECONDS)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, *limits, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal goes to the evaluator alone
        )

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def last_line(self) -> str:
        return last_line(self._log)


def last_line(log: Path) -> str:
    """The last line of a log that is not blank, or an empty string.

    It is a stranger's text that goes to terminals and into results: `LINE_LIMIT` printable
    characters of it.
    """
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return clean(lines[-1], LINE_LIMIT) if lines else ""


def serve_command(run: Run, socket: Path) -> list[str]:
    """The command line of a run's server, this Python first; it needs `server_variables`, too."""
    command = [sys.executable, "-m", "retro_contest", "serve", run.level.game, run.level.state]
    command += ["--socket", str(socket), "--results", str(run.folder)]
    command += run.rules.words()
    if run.level.integrations is not None:
        command += ["--integrations", str(run.level.integrations)]
    return command


def server_variables(run: Run) -> dict[str, str]:
    """Environment variables for a run's server and for nobody else."""
    return {SEED_VARIABLE: str(run.environment_seed)}


def _environment() -> dict[str, str]:
    """The evaluator's environment, with its own Python first and these packages importable."""
    environment = dict(os.environ)
    environment.pop(SEED_VARIABLE, None)
    bin_folder = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([bin_folder, environment.get("PATH", os.defpath)])
    # Not where they are installed: PYTHONPATH comes before an agent's own libraries.
    paths = ["" if INSTALLED else str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["PYTHONUNBUFFERED"] = "1"  # so that the log of a killed agent is complete
    return environment


def _import_folders() -> list[Path]:
    """The folders that an agent started with `python -m` is looked for in."""
    paths = _environment()["PYTHONPATH"].split(os.pathsep)
    return [Path(), *(Path(path) for path in paths)]


def _fill(word: str, values: dict[str, str]) -> str:
    for name in PLACEHOLDERS:
        word = word.replace("{" + name + "}", values[name])
    return word
