"""`retro-contest evaluate`"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, arg

from retro_common.errors import UsageError
from retro_contest.levels import find
from retro_contest.rules import Rules

if TYPE_CHECKING:
    from retro_contest.runs.evaluate import PlayRun
    from retro_contest.runs.match import Runner
    from retro_contest.runs.scalars import Scalars


@dataclass(frozen=True)
class Evaluate:
    """Evaluate an agent on every level of a set, exactly as the contest would.

    Each level is played K times (--seeds): a server and the agent, as two processes (--agent) or,
    for agents that you do not trust, as containers (--image). Running the same command again keeps
    finished runs and plays the others. The agent finds the socket through RETRO_CONTEST_SOCKET in
    its environment (python -m agent does by itself) or through the placeholders {socket} {out}
    {seed} {timesteps} {wallclock} in the command; in an image also as tmp/sock below its working
    directory.

    The score of a run is the mean reward over its episodes. Timesteps of the budget that were not
    played count: every 4,500 that were begun are one more episode of reward 0, whatever ended the
    run.

    Sticky actions follow from a secret that each evaluation draws and keeps in DIR/secret.json. The
    agent is not given it: its {seed} is the number of the run.

    Exits with 0 when all runs were played and used up their budget, with 1 when an agent failed,
    left before 99% of its timesteps or played nothing, or the evaluation was stopped, with 2 when
    something asked for is impossible: then nothing was played.
    """

    levels: Annotated[str, arg(metavar="LEVELS")]
    """A level set, GAME/STATE, STATE, DIR/GAME, DIR/GAME/STATE, FILE.yaml with level sets of your
    own, or several with commas."""
    results: Annotated[Path, arg(metavar="DIR")]
    """Results folder: summary.json, and GAME/STATE/seed-N with everything about each run."""
    rules: FlagCreatePairsOff[Rules]
    agent: Annotated[str, arg(metavar="COMMAND")] = ""
    """Command that starts the agent, or a built-in agent: random, hold-right, jerk."""
    image: Annotated[str, arg(metavar="IMAGE")] = ""
    """Docker image of the agent, instead of a command."""
    seeds: Annotated[int, arg(metavar="K")] = 1
    """Runs per level, numbered 0 to K - 1. The agent is given the number as its seed."""
    jobs: Annotated[int, arg(metavar="J")] = 1
    """Runs to play side by side; with --cluster, on all nodes together."""
    cluster: Annotated[str, arg(metavar="HOST:PORT|local|slurm")] = ""
    """Play the runs on a Ray cluster: its address, or local for one of this machine alone. Or as
    jobs of SLURM."""
    name: Annotated[str | None, arg(metavar="NAME")] = None
    """Name on the board (default: the results folder's)."""
    fresh: FlagCreatePairsOff[bool] = False
    """Play finished runs again, with another secret."""
    film: FlagCreatePairsOff[bool] = False
    """Record every episode (--record), and film the best one of each level."""
    track: Annotated[str, arg(metavar="wandb|mlflow|trackio")] = ""
    """Experiment tracker that gets the scalars, beside TensorBoard's event files."""
    replay_secret: Annotated[str, arg(metavar="HEX")] = ""
    """Secret of an earlier evaluation, from its secret.json, to play with its randomness again.
    For the host: other users of the machine can read it off the command line."""
    environment_image: Annotated[str, arg(metavar="IMAGE")] = "retro-contest-environment"
    """With --image: image of the server, which retro-contest environment builds."""
    cpus: Annotated[float | None, arg(metavar="N")] = None
    """With --image: processors of each agent (default: the machine's, divided by --jobs). With
    --cluster: processors that each run reserves on its node (default: 1)."""
    memory: Annotated[str, arg(metavar="SIZE")] = "4g"
    """With --image: memory of each agent."""
    gpus: Annotated[str, arg(metavar="all|N|device=IDS")] = ""
    """With --image: GPUs of each agent. With --cluster: the number that each run reserves."""
    image_user: FlagCreatePairsOff[bool] = False
    """With --image: run it as the user it names, even as root (without any capability)."""

    def run(self) -> int:
        from retro_contest.containers import limits
        from retro_contest.runs.evaluate import Evaluation, Observers, clean, evaluate
        from retro_contest.runs.progress import Progress, failures, summary_table, unfinished

        limits.check(self.cpus, self.memory)
        if self.film:
            from retro_contest.films.writer import check_encoder

            check_encoder()
        evaluation = Evaluation(
            name=self.name or self.results.resolve().name,
            level_set=self.levels,
            levels=find(self.levels),
            results=self.results,
            rules=replace(self.rules, record=self.rules.record or self.film),
            seeds=self.seeds,
            jobs=self.jobs,
            fresh=self.fresh,
            replay_secret=self.replay_secret,
        )
        console = Console()
        runner = self._runner(console)
        with ExitStack() as stack:
            # Before the signals: Ray has a handler of its own for one of them.
            play_run = self._play_run(stack, runner)
            interrupted = stack.enter_context(_stop_on_signal())
            with (
                closing(self._scalars(evaluation.name)) as scalars,
                Progress(console, processes=not self.image) as progress,
            ):
                observers = Observers(progress, scalars)
                summary = evaluate(evaluation, runner, interrupted, observers, play_run)
            console.print(summary_table(summary))
            for failure in failures(summary):
                print(failure, file=sys.stderr)
            if line := unfinished(summary):
                print(line, file=sys.stderr)
            if self.cluster:
                from retro_contest.runs.cluster import speeds

                for line in speeds(summary):
                    print(line)
        filmed = not self.film or self._films()
        return 0 if clean(summary) and filmed else 1

    def _scalars(self, name: str) -> Scalars:
        """Where the scalars go."""
        from retro_common import tracking
        from retro_contest.runs.scalars import Scalars

        trackers: list[tracking.Tracker] = []
        if self.track:
            settings = {"levels": self.levels, "timesteps": self.rules.timesteps}
            settings |= {"agent": self.agent or self.image}
            trackers.append(tracking.open_tracker(self.track, self.results, name, settings))
        if tracking.TensorBoard.installed():
            trackers.append(tracking.TensorBoard(self.results))
        return Scalars(trackers)

    def _films(self) -> bool:
        """Film the best episode of each level; whether all recordings were right."""
        from retro_contest.cli.film import Film

        try:
            return Film((self.results,)).run() == 0
        except UsageError as error:  # nothing was played, for example
            print(f"no film: {error}", file=sys.stderr)
            return False

    def _runner(self, console: Console) -> Runner:
        if bool(self.agent) == bool(self.image):
            raise UsageError("give the agent as either --agent COMMAND or --image IMAGE")
        if self.agent:
            from retro_contest.runs.processes import ProcessRunner

            return ProcessRunner(self.agent)
        if self.jobs < 1:
            raise UsageError("--jobs must be at least 1")

        # Not at the top: an evaluation of processes needs no client of Docker.
        from retro_contest.containers.runner import ContainerRunner

        runner = ContainerRunner(
            self.image,
            self.results,
            jobs=self.jobs,
            environment=self.environment_image,
            cpus=1.0 if self.cluster and self.cpus is None else self.cpus,
            memory=self.memory,
            gpus=self.gpus,
            image_user=self.image_user,
        )
        console.print(runner.rules, markup=False, highlight=False, soft_wrap=True)
        return runner

    def _play_run(self, stack: ExitStack, runner: Runner) -> PlayRun:
        """Where runs are played: here, or on a cluster, which is left at the stack's end."""
        if not self.cluster:
            from retro_contest.runs.match import play

            return play
        from retro_contest.runs.nodes import disconnect, whole_gpus

        gpus = whole_gpus(self.gpus)
        make_runner: Callable[[], Runner]
        if self.agent:
            from retro_contest.runs.processes import ProcessRunner

            make_runner = partial(ProcessRunner, self.agent)
        else:
            from retro_contest.containers.remote import RemoteContainers
            from retro_contest.containers.runner import ContainerRunner

            assert isinstance(runner, ContainerRunner)
            make_runner = RemoteContainers.of(runner, gpus=gpus, image_user=self.image_user)

        if self.cluster == "slurm":
            from retro_contest.runs.slurm import Slurm, open_executor

            open_executor(self.results)  # before anything is written
            return Slurm(make_runner, self.cpus or 1.0, gpus).play

        from retro_contest.runs.cluster import Cluster

        nodes = Cluster(self.cluster, make_runner, cpus=self.cpus or 1.0, gpus=gpus)
        stack.callback(disconnect)
        stack.callback(nodes.close)
        return nodes.play


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    interrupted = threading.Event()
    stopping = False

    def stop(number: int, frame: object) -> None:
        # A second signal may arrive inside of this call, and Event.set() is not reentrant.
        nonlocal stopping
        if stopping:
            return
        stopping = True
        os.write(2, b"stopping: the measurements so far are being written\n")
        interrupted.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
