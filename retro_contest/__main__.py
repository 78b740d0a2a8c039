"""The contest's command line: ``python -m retro_contest levels|serve|evaluate|leaderboard|clean``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

from retro_common.errors import UsageError

if TYPE_CHECKING:
    from retro_contest.runs.match import Runner

TIMESTEPS = 1_000_000
WALLCLOCK = 12 * 3600.0


@dataclass(frozen=True)
class Levels:
    """List the level sets, or the levels of one."""

    levels: Annotated[Positional[str], arg(metavar="LEVELS", help_behavior_hint="(optional)")] = ""
    """A level set, GAME/STATE, DIR/GAME or DIR/GAME/STATE; nothing for the list of sets."""


@dataclass(frozen=True)
class Serve:
    """Serve one level, once, to one agent.

    The agent connects with gym_remote.client.RemoteEnv("DIR"). Exits with 0 when the budget is used
    up or when the agent closes the connection, with 1 when it ended in another way.
    """

    game: Annotated[Positional[str], arg(metavar="GAME")]
    """Name of the game; or a level as GAME/STATE or DIR/GAME/STATE, without a state after it."""
    socket: Annotated[Path, arg(metavar="DIR")]
    """Directory of the socket, shared with the agent. It is made."""
    results: Annotated[Path, arg(metavar="DIR")]
    """Folder for monitor.csv, log.csv and server.json. It is made, and must hold no other run."""
    state: Annotated[Positional[str], arg(metavar="STATE", help_behavior_hint="(optional)")] = ""
    """Name of the save-state that the level starts from."""
    timesteps: Annotated[int, arg(metavar="N")] = TIMESTEPS
    """Budget in timesteps of 4 frames; resets count, too."""
    wallclock: Annotated[float, arg(metavar="S")] = WALLCLOCK
    """Budget in seconds."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Seed of the sticky actions; without it they differ from run to run."""
    integrations: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder with the integration folder of a game that stable-retro does not have."""
    record: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write one bk2 movie per episode into the results folder."""
    draw_all: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw skipped frames, too: slower, with the same results."""
    connect_timeout: Annotated[float, arg(metavar="S")] = 300.0
    """Seconds to wait for an agent."""
    idle_timeout: Annotated[float, arg(metavar="S")] = 600.0
    """Seconds to wait for each request of it."""


@dataclass(frozen=True)
class Evaluate:
    """Evaluate an agent on every level of a set, exactly as the contest would.

    Each level is played once per seed: a server and the agent, as two processes (--agent) or, for
    strangers' agents, as containers (--image). Running the same command again keeps finished runs
    and plays the others. The agent finds the socket through RETRO_CONTEST_SOCKET in its environment
    (python -m agent does by itself) or through the placeholders {socket} {out} {seed} {timesteps}
    {wallclock} in the command; in an image also as tmp/sock below its working directory. Exits with
    0 when all runs were played, with 1 when an agent failed or the evaluation was stopped.
    """

    levels: Annotated[str, arg(metavar="LEVELS")]
    """A level set, GAME/STATE, DIR/GAME, DIR/GAME/STATE, or several with commas between them."""
    results: Annotated[Path, arg(metavar="DIR")]
    """Results folder: summary.json, and GAME/STATE/seed-N with everything about each run."""
    agent: Annotated[str, arg(metavar="COMMAND")] = ""
    """Command that starts the agent, or a built-in agent: random, hold-right, jerk."""
    image: Annotated[str, arg(metavar="IMAGE")] = ""
    """Docker image of the agent, instead of a command."""
    timesteps: Annotated[int, arg(metavar="N")] = TIMESTEPS
    """Budget of each run in timesteps of 4 frames; resets count, too."""
    wallclock: Annotated[float, arg(metavar="S")] = WALLCLOCK
    """Budget of each run in seconds."""
    seeds: Annotated[int, arg(metavar="K")] = 1
    """Runs per level, with the seeds 0 to K - 1."""
    jobs: Annotated[int, arg(metavar="J")] = 1
    """Runs to play side by side."""
    name: Annotated[str | None, arg(metavar="NAME")] = None
    """Name on the leaderboard (default: the results folder's)."""
    fresh: tyro.conf.FlagCreatePairsOff[bool] = False
    """Play finished runs again."""
    record: tyro.conf.FlagCreatePairsOff[bool] = False
    """Keep one bk2 movie per episode."""
    draw_all: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw skipped frames, too: slower, with the same results."""
    connect_timeout: Annotated[float, arg(metavar="S")] = 300.0
    """Seconds an agent gets to connect."""
    idle_timeout: Annotated[float, arg(metavar="S")] = 600.0
    """Seconds without a request after which an agent counts as hung."""
    exit_timeout: Annotated[float, arg(metavar="S")] = 60.0
    """Seconds an agent gets to exit, and to save what it learnt, once the budget is used up."""
    environment_image: Annotated[str, arg(metavar="IMAGE")] = "retro-contest-environment"
    """With --image: the contest's side, built from retro_contest/Dockerfile."""
    cpus: Annotated[float | None, arg(metavar="N")] = None
    """With --image: processors of each agent (default: the machine's, divided by --jobs)."""
    memory: Annotated[str, arg(metavar="SIZE")] = "4g"
    """With --image: memory of each agent."""
    gpus: Annotated[str, arg(metavar="all|N|device=IDS")] = ""
    """With --image: GPUs of each agent."""
    image_user: tyro.conf.FlagCreatePairsOff[bool] = False
    """With --image: run it as the user it names, even as root (without any capability): for images
    of 2018. Otherwise an image that asks for root runs as user 10001."""


@dataclass(frozen=True)
class Leaderboard:
    """Rank evaluated submissions: a table, a page, pictures."""

    results: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="DIR", help_behavior_hint="(required)")
    ]
    """Results folders of evaluations, or folders that hold some."""
    html: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a page in one file."""
    pictures: Annotated[Path | None, arg(metavar="DIR")] = None
    """Write the page's pictures as PNG files."""


@dataclass(frozen=True)
class Clean:
    """Remove the containers and volumes that evaluations left behind which were killed.

    Those of evaluations that are still running are left alone.
    """


Command = (
    Annotated[Levels, subcommand(name="levels")]
    | Annotated[Serve, subcommand(name="serve")]
    | Annotated[Evaluate, subcommand(name="evaluate")]
    | Annotated[Leaderboard, subcommand(name="leaderboard")]
    | Annotated[Clean, subcommand(name="clean")]
)


def main() -> int:
    command = tyro.cli(
        OmitArgPrefixes[Command],
        prog="python -m retro_contest",
        description="The contest on your own machine: serve levels, evaluate agents, rank them.",
    )
    actions = {
        Levels: levels_command,
        Serve: serve_command,
        Evaluate: evaluate_command,
        Leaderboard: leaderboard_command,
        Clean: clean_command,
    }
    try:
        return actions[type(command)](command)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # What a machine does to us: a full disk, a file that somebody took away.
        print(f"error: {error}", file=sys.stderr)
        return 1


def levels_command(command: Levels) -> int:
    from retro_contest.levels import find, load_sets, rom_file

    console = Console()
    if not command.levels:
        table = Table("level set", "split", "levels", "ROMs", "what it is")
        table.columns[0].no_wrap = True
        table.columns[2].justify = "right"
        for levels in load_sets().values():
            missing = {level.game for level in levels.levels if rom_file(level) is None}
            roms = f"{len(missing)} missing" if missing else "there"
            row = levels.name, levels.split, str(len(levels.levels)), roms, levels.description
            table.add_row(*row)
        console.print(table)
        return 0
    table = Table("game", "state", "ROM", title=command.levels, title_justify="left")
    for level in find(command.levels):
        table.add_row(level.game, level.state, "there" if rom_file(level) else "missing")
    console.print(table)
    return 0


def serve_command(command: Serve) -> int:
    from gym_remote.server import Reason
    from retro_contest.levels import Level, find
    from retro_contest.runs.serve import serve_level

    if command.state:
        given = [Level(command.game, command.state, command.integrations)]
        if command.integrations is None:
            given = find(f"{command.game}/{command.state}")
    else:
        given = find(command.game)
    if len(given) != 1:
        raise UsageError(f"'{command.game}' means {len(given)} levels: name one to serve")
    status = serve_level(
        given[0],
        command.socket,
        command.results,
        timesteps=command.timesteps,
        wallclock=command.wallclock,
        seed=command.seed,
        record=command.record,
        draw_all=command.draw_all,
        connect_timeout=command.connect_timeout,
        idle_timeout=command.idle_timeout,
    )
    score = "none" if status.score is None else f"{status.score:.1f}"
    why = f"{status.ended}: {status.detail}" if status.detail else status.ended
    print(f"{why}; {status.timesteps:,} timesteps, {status.episodes} episodes, score {score}")
    clean = (Reason.TIMESTEP_LIMIT, Reason.WALLCLOCK_LIMIT, Reason.CLIENT_CLOSED)
    return 0 if status.ended in clean else 1


def evaluate_command(command: Evaluate) -> int:
    from retro_contest.levels import find
    from retro_contest.runs.evaluate import Evaluation, clean, evaluate
    from retro_contest.runs.progress import Progress, failures, summary_table

    evaluation = Evaluation(
        name=command.name or command.results.resolve().name,
        level_set=command.levels,
        levels=find(command.levels),
        results=command.results,
        timesteps=command.timesteps,
        wallclock=command.wallclock,
        seeds=command.seeds,
        jobs=command.jobs,
        record=command.record,
        draw_all=command.draw_all,
        fresh=command.fresh,
        connect_timeout=command.connect_timeout,
        idle_timeout=command.idle_timeout,
        exit_timeout=command.exit_timeout,
    )
    console = Console()
    runner = _runner(command, console)
    interrupted = threading.Event()

    def stop(number: int, frame: object) -> None:
        os.write(2, b"stopping: what was measured is being written\n")
        interrupted.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with Progress(console) as progress:
        summary = evaluate(evaluation, runner, interrupted, progress)
    console.print(summary_table(summary))
    for failure in failures(summary):
        print(failure, file=sys.stderr)
    if not summary["complete"]:
        played = sum(run["verdict"] != "interrupted" for run in summary["levels"])
        print(
            f"incomplete: {played} of {summary['runs']} runs are done; "
            "the same command goes on from here",
            file=sys.stderr,
        )
    return 0 if clean(summary) else 1


def _runner(command: Evaluate, console: Console) -> Runner:
    if bool(command.agent) == bool(command.image):
        raise UsageError("give the agent as either --agent COMMAND or --image IMAGE")
    if command.agent:
        from retro_contest.runs.processes import ProcessRunner

        return ProcessRunner(command.agent)
    if command.jobs < 1:
        raise UsageError("--jobs must be at least 1")

    # Not at the top: an evaluation of processes needs no client of Docker.
    from retro_contest.runs.containers import ContainerRunner

    runner = ContainerRunner(
        command.image,
        command.results,
        jobs=command.jobs,
        environment=command.environment_image,
        cpus=command.cpus,
        memory=command.memory,
        gpus=command.gpus,
        image_user=command.image_user,
    )
    console.print(runner.rules, markup=False, highlight=False, soft_wrap=True)
    return runner


def clean_command(command: Clean) -> int:
    from retro_contest.runs.engine import clean, connect

    cleaned = clean(connect())
    print(f"removed {cleaned.containers} containers and {cleaned.volumes} volumes")
    if cleaned.in_use:
        print(f"left alone: {cleaned.in_use} of evaluations that are running")
    return 0


def leaderboard_command(command: Leaderboard) -> int:
    from retro_contest.board.leaderboard import load_boards, rank_tables, write_page, write_pictures

    boards = load_boards(command.results)
    Console().print(rank_tables(boards))
    if command.html is not None:
        write_page(boards, command.html)
        print(f"wrote {command.html}")
    if command.pictures is not None:
        for picture in write_pictures(boards, command.pictures):
            print(f"wrote {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
