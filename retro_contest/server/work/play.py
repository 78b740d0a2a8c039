"""Plays one job: the image, the evaluation, its films, and how it ends."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.board.submissions import write_record
from retro_contest.runs import match, verdicts
from retro_contest.runs.evaluate import Evaluation, Observer, PlayRun, evaluate
from retro_contest.runs.match import OVERTIME, Runner
from retro_contest.runs.processes import ProcessRunner, SupervisedProcess
from retro_contest.runs.progress import failures
from retro_contest.server.contest import Contest
from retro_contest.server.images import LocalAgents
from retro_contest.server.jobs import CANCELLED, FAILED, FINISHED, Job

TRIES = 3  # of runs in which the contest's side failed
SLACK = 3600.0  # seconds for pulling an image and making films
FILM_SECONDS = 1800.0


class HostFailed(Exception):
    """The contest's side could not play a job; the job is tried again."""


@dataclass(frozen=True)
class Outcome:
    """How a job ends."""

    state: str
    """`finished`, `failed` or `cancelled`"""
    score: float | None = None
    """of a finished one"""
    reason: str = ""
    """for its owner, one line"""
    charged: bool = True
    """whether it counts against its owner's limit"""


def seconds_allowed(contest: Contest, job: Job) -> float:
    """Seconds that a job may be played, all its runs at their longest."""
    rules = contest.settings.phase(job.phase).rules
    of_run = rules.wallclock + rules.exit_timeout + rules.connect_timeout + OVERTIME
    runs = max(1, len(contest.jobs.runs(job)))
    return SLACK + of_run * -(-runs // contest.settings.runs)


def play(
    contest: Contest,
    job: Job,
    interrupted: threading.Event,
    observer: Observer,
    log: Callable[[str], None],
) -> Outcome | None:
    """Play what is not yet played of a job; None if it was interrupted.

    Args:
        contest: the contest.
        job: the job.
        interrupted: ends everything when it is set; what is finished is kept.
        observer: follows the runs.
        log: is given lines for the host.

    Raises:
        HostFailed: it could not be played, through no fault of its owner.
    """
    try:
        evaluation = _evaluation(contest, job)
        with (
            _runner(contest, job, evaluation.results) as runner,
            _place(contest, job, runner) as play_run,
        ):
            for _ in range(TRIES):
                summary = evaluate(evaluation, runner, interrupted, observer, play_run)
                if interrupted.is_set():
                    return None
                if summary["complete"] or not _failed_runs(summary):
                    break
    except (UsageError, OSError) as error:
        raise HostFailed(clean(error, 1000)) from error
    outcome = _outcome(summary)
    if outcome.state == FINISHED:
        write_record(evaluation.results, image=job.tag, commit="unknown", digest=job.digest)
        if evaluation.rules.record:
            _film(evaluation.results, interrupted, log)
    return outcome


def _evaluation(contest: Contest, job: Job) -> Evaluation:
    phase = contest.settings.phase(job.phase)
    words, levels = contest.phases.levels(job.phase)
    return Evaluation(
        name=job.username,
        level_set=words,
        levels=levels,
        results=contest.places.results(job.phase, job.id),
        rules=phase.rules,
        seeds=phase.seeds,
        jobs=contest.settings.runs,
        replay_secret=contest.phases.randomness(job),
    )


@contextmanager
def _runner(contest: Contest, job: Job, results: Path) -> Iterator[Runner]:
    """A runner of the job's image; the image is removed from this machine at the end.

    Raises:
        HostFailed: the image cannot be pulled.
        UsageError: no engine answers, or a limit is impossible.
    """
    registry, settings = contest.registry, contest.settings
    if isinstance(registry, LocalAgents):
        if registry.resolve(contest.accounts.get(job.account), job.tag) != job.digest:
            raise HostFailed(f"the agent of {job.tag} is another one than when it was submitted")
        yield ProcessRunner(registry.command(job.tag))
        return

    # Not at the top: a trial contest needs no client of Docker.
    from docker.errors import DockerException, ImageNotFound

    from retro_contest.containers import engine
    from retro_contest.containers.runner import ContainerRunner

    source = registry.source(contest.accounts.get(job.account), job.tag, job.digest)
    client = engine.connect()
    try:
        try:
            client.images.get(source.reference)
        except ImageNotFound:
            login = {"username": source.username, "password": source.password}
            client.images.pull(source.reference, auth_config=login if source.username else None)
        yield ContainerRunner(
            source.reference,
            results,
            jobs=settings.runs,
            cpus=1.0 if settings.cluster and settings.cpus is None else settings.cpus,
            memory=settings.memory,
            gpus=settings.gpus,
        )
    except DockerException as error:
        raise HostFailed(f"the Docker engine: {clean(error, 500)}") from error
    with contextlib.suppress(DockerException):
        client.images.remove(source.reference)


@contextmanager
def _place(contest: Contest, job: Job, runner: Runner) -> Iterator[PlayRun]:
    """Where the runs of a job are played: here, or on the cluster of the settings.

    Raises:
        UsageError: the cluster cannot be used.
    """
    settings, registry = contest.settings, contest.registry
    if not settings.cluster:
        yield match.play
        return
    # Not at the top: only hosts with a cluster have Ray.
    from retro_contest.runs.cluster import Cluster
    from retro_contest.runs.nodes import whole_gpus

    gpus = whole_gpus(settings.gpus)
    make_runner: Callable[[], Runner]
    if isinstance(registry, LocalAgents):
        make_runner = partial(ProcessRunner, registry.command(job.tag))
    else:
        from retro_contest.containers.remote import RemoteContainers
        from retro_contest.containers.runner import ContainerRunner

        if not settings.address:
            raise UsageError("cluster: nodes pull images from the server's address: set it")
        assert isinstance(runner, ContainerRunner)
        source = registry.source(contest.accounts.get(job.account), job.tag, job.digest)
        _, _, path = source.reference.partition("/")
        containers = RemoteContainers.of(runner, gpus=gpus, image_user=False)
        references = {**containers.references, containers.image: f"{settings.address}/{path}"}
        login = {"username": source.username, "password": source.password}
        make_runner = replace(containers, references=references, login=login)

    cluster = Cluster(settings.cluster, make_runner, cpus=settings.cpus or 1.0, gpus=gpus)
    with contextlib.closing(cluster):
        yield cluster.play


def _failed_runs(summary: dict[str, Any]) -> bool:
    return any(run["verdict"] == verdicts.SERVER_FAILED for run in summary["levels"])


def _outcome(summary: dict[str, Any]) -> Outcome:
    lines = failures(summary)
    if {run["verdict"] for run in summary["levels"]} <= {verdicts.NEVER_CONNECTED}:
        # The other runs were not played: it would fail in the same way in all of them.
        why = lines[0] if lines else "no run has a score"
        return Outcome(FAILED, reason=f"the agent never connected: {why}")
    if not summary["complete"]:
        return Outcome(FAILED, reason="the contest's side failed: ask the host", charged=False)
    more = f" (and {len(lines) - 1} more runs)" if len(lines) > 1 else ""
    return Outcome(FINISHED, summary["score"], f"{lines[0]}{more}" if lines else "")


def cancelled(job: Job) -> Outcome:
    """The outcome of a job that was asked to end."""
    return Outcome(CANCELLED, reason=job.reason)


def _film(results: Path, interrupted: threading.Event, log: Callable[[str], None]) -> None:
    """Film the best episode of each level, in a process of its own: one holds one emulator."""
    command = [sys.executable, "-m", "retro_contest", "film", str(results)]
    process = SupervisedProcess(command, results / "films.log", dict(os.environ))
    deadline = time.monotonic() + FILM_SECONDS
    code = None
    while code is None and time.monotonic() < deadline and not interrupted.is_set():
        code = process.wait(0.5)
    process.stop()
    if code:
        log(f"films of {results}: {process.last_line()}")
