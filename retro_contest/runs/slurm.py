"""Runs and shards as jobs of SLURM, by submitit (https://github.com/facebookincubator/submitit).

The head and the nodes share a file system. Partition, account and the like come from the variables
of sbatch (SBATCH_PARTITION, SBATCH_ACCOUNT, ...).
"""

from __future__ import annotations

import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retro_common.errors import UsageError
from retro_common.files import remove_tree, write_json
from retro_common.text import clean
from retro_contest.runs.cluster import REPORT_SECONDS, Order, Played, play_until_kept
from retro_contest.runs.match import OVERTIME, Run, Runner
from retro_contest.runs.serve import STATUS_FILE, Status

if TYPE_CHECKING:
    from submitit import Executor, Job

SCHEDULER = "slurm"  # submitit's name
MARGIN = 600.0  # seconds of a run's job beyond the longest run: imports, images, files


class Lost(Exception):
    """A job ended without a result: its node was lost, or SLURM ended it."""


def open_executor(folder: Path) -> Executor:
    """Submits jobs; raises a UsageError where there is no SLURM, or no submitit."""
    try:
        import submitit

        return submitit.AutoExecutor(folder.resolve(), cluster=SCHEDULER)
    except ImportError:
        why = "needs submitit: pip install 'retro-contest-kit[slurm]'"
    except RuntimeError as error:
        why = clean(error)
    raise UsageError(f"--cluster slurm: {why}")


def submit(
    folder: Path, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], **options: Any
) -> list[Job[Any]]:
    """Submit a job for each of these arguments of a function; `folder` holds what they exchange."""
    executor = open_executor(folder)
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor.update_parameters(name="retro-contest", **options)  # those that are None do not count
    try:
        with executor.batch():
            return [executor.submit(function, *call) for call in calls]
    except (FailedJobError, FailedSubmissionError) as error:
        raise UsageError(f"--cluster slurm: {clean(error)}") from None


def result(job: Job[Any]) -> Any:
    """What a job returned; raises `Lost`, or a UsageError with the job's own error."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return job.result()
    except FailedJobError as error:
        line = str(error).rpartition("\n-----")[0].splitlines()[-1]  # the last one of its traceback
        raise UsageError(clean(line.removeprefix("retro_common.errors.UsageError: "))) from None
    except UncompletedJobError:
        raise Lost(f"job {job.job_id}, {job.state}") from None


def _play_here(order: Order, folder: Path) -> Played:
    for number in (signal.SIGTERM, signal.SIGUSR2):
        # SLURM ends the job, and tells its agent, too: the job must not judge the agent for that.
        signal.signal(number, lambda *_: os._exit(1))

    def report(status: Status) -> bool:
        try:
            write_json(folder / STATUS_FILE, asdict(status), sync=False)
        except FileNotFoundError:  # the head removed the folder, or another head begins
            return True
        return False

    return order.play(platform.node(), report)


@dataclass(frozen=True)
class Slurm:
    """Plays the runs of an evaluation in jobs of SLURM; `play` is `match.play` there."""

    make_runner: Callable[[], Runner]
    cpus: float
    gpus: int

    def play(
        self,
        run: Run,
        runner: Runner,
        interrupted: threading.Event,
        report: Callable[[Status], None] = lambda status: None,
    ) -> dict[str, Any] | None:
        order = Order.of(run, runner, self.make_runner)
        seconds = run.rules.wallclock + OVERTIME + run.rules.exit_timeout + MARGIN
        options = {"timeout_min": math.ceil(seconds / 60), "cpus_per_task": math.ceil(self.cpus)}
        options |= {"gpus_per_node": self.gpus} if self.gpus else {}
        folder = (run.folder / "job").resolve()

        def attempt() -> Played:
            status = folder / "status"
            folder.mkdir(mode=0o700)  # what is exchanged names the secret
            status.mkdir()
            try:
                (job,) = submit(folder, _play_here, [(order, status)], **options)
                while not job.done():
                    if (status / STATUS_FILE).exists():
                        report(Status.read(status))
                    if interrupted.is_set():
                        remove_tree(status)
                        job.done(force_check=True)  # so that its state is that of now
                        if job.state != "RUNNING":  # one that waits would notice much later
                            job.cancel(check=False)
                    time.sleep(REPORT_SECONDS)
                return result(job)
            finally:
                remove_tree(folder)

        return play_until_kept(run, interrupted, attempt, Lost)
