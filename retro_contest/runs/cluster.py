"""Runs of an evaluation on a Ray cluster, one task per run.

A task plays a run as `retro_contest.runs.match` does, both sides on one node, because they share a
socket. Its files come back to the *head*, the machine of the evaluation, which writes them as if it
had played the run itself. A run whose node is lost is played again; one that has a verdict never.
`retro_contest.runs.slurm` does the same with jobs of SLURM.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from retro_common.errors import UsageError
from retro_common.files import remove_tree, write_json
from retro_common.provenance import ROOT
from retro_common.text import clean
from retro_contest.runs.lease import TemporaryFolder
from retro_contest.runs.match import Run, Runner, play, settings
from retro_contest.runs.nodes import (
    Needs,
    connect,
    fetch,
    local_level,
    portable,
    portable_level,
    processors,
)
from retro_contest.runs.results import RESULT_FILE
from retro_contest.runs.serve import Status

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

LOST = 5
"""nodes that one run may lose before the evaluation gives up"""
REPORT_SECONDS = 1.0
"""between two reports of a run to the head"""
UNEVEN = 1.1
"""ratio of the speeds of two nodes from which on they count as different"""

log = logging.getLogger(__name__)

Played = tuple[dict[str, Any], dict[str, bytes]]
"""the result of a run that a node played, and the content of its other files by their names"""


class _Desk:
    """Takes the reports of the runs that are played, and tells them to stop; an actor."""

    def __init__(self) -> None:
        self._statuses: dict[str, Status] = {}
        self._stopping = False

    def report(self, name: str, status: Status) -> bool:
        """Take a run's status; returns whether it is to stop."""
        self._statuses[name] = status
        return self._stopping

    def status(self, name: str) -> Status | None:
        """The last status of a run; None if it has not begun."""
        return self._statuses.get(name)

    def stop(self) -> None:
        """Let all runs stop."""
        self._stopping = True


@dataclass(frozen=True)
class Order:
    """A run as a node is told it."""

    run: Run
    """with a portable level"""
    make_runner: Callable[[], Runner]
    """makes the node's own runner"""
    settings: dict[str, Any]
    """those of the run on the head"""
    needs: Needs
    """what must be the same there"""
    directory: Path
    """the head's working directory, portable: commands name files relative to it"""

    @classmethod
    def of(cls, run: Run, runner: Runner, make_runner: Callable[[], Runner]) -> Order:
        """A run of this machine; its folder here is emptied."""
        wanted, needs = settings(run, runner), Needs.of([run.level])
        remove_tree(run.folder)
        run.out.mkdir(parents=True)
        sent = replace(run, level=portable_level(run.level), folder=Path())
        return cls(sent, make_runner, wanted, needs, portable(Path()))

    def play(self, node: str, report: Callable[[Status], bool]) -> Played:
        """Play the run on this node.

        Args:
            node: its name in the result.
            report: is told the status about once a second; returns whether the run is to stop.

        Raises:
            UsageError: this node is not as the head.
        """
        self.needs.check()
        where = f"node {platform.node()}"
        try:
            os.chdir(ROOT / self.directory)
        except OSError as error:
            raise UsageError(f"{where}: {ROOT / self.directory}: {error.strerror}") from None
        interrupted, reported = threading.Event(), 0.0

        def tell(status: Status) -> None:
            nonlocal reported
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                if report(status):
                    interrupted.set()

        runner = self.make_runner()
        temporary = TemporaryFolder()
        try:
            level, folder = local_level(self.run.level), temporary.path / "run"
            run = replace(self.run, level=level, folder=folder)
            here = settings(run, runner)
            for name, wanted in self.settings.items():
                if here[name] != wanted:
                    raise UsageError(
                        f"{where}: {name} is {here[name]!r} there, {wanted!r} on the head"
                    )
            result = play(run, runner, interrupted, tell)
            paths = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
            files = [path for path in paths if path.is_file() and not path.is_symlink()]
            content = {str(path.relative_to(folder)): path.read_bytes() for path in files}
        finally:
            temporary.close()
        content.pop(RESULT_FILE)
        return {**result, "machine": {"node": node, **machine()}}, content


def _play_here(order: Order, desk: ActorHandle) -> Played:
    """The task."""
    import ray

    def report(status: Status) -> bool:
        return bool(ray.get(desk.report.remote(order.run.name, status)))

    return order.play(ray.get_runtime_context().get_node_id()[:8], report)


def play_until_kept(
    run: Run,
    interrupted: threading.Event,
    attempt: Callable[[], Played],
    lost: type[Exception],
) -> dict[str, Any] | None:
    """Play a run somewhere, again where its node is lost, and write its files; its result.

    Args:
        attempt: plays the run once.
        lost: what `attempt` raises where the node was lost, or the run was called off.

    Returns:
        None if it was interrupted before it began.

    Raises:
        UsageError: the run lost `LOST` nodes.
    """
    for _ in range(LOST):
        try:
            return _keep(run, *attempt())
        except lost as error:
            if interrupted.is_set():
                return None
            why = clean(error)
            log.warning("%s: its node was lost (%s): it is played again", run.name, why)
    raise UsageError(f"{run.name}: lost with its node {LOST} times, the last time: {why}")


def machine() -> dict[str, Any]:
    """This machine: its `host` name, its `processor`, the number of its `cores`."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"host": platform.node(), "processor": clean(name), "cores": os.cpu_count()}


class Cluster:
    """Plays the runs of an evaluation on the nodes of a cluster; `play` is `match.play` there."""

    def __init__(
        self, address: str, make_runner: Callable[[], Runner], *, cpus: float = 1.0, gpus: int = 0
    ) -> None:
        """
        Args:
            address: see `connect`.
            make_runner: makes a runner on a node; it is pickled.
            cpus: processors that each run reserves on its node.
            gpus: GPUs that each run reserves on its node.

        Raises:
            UsageError: the cluster cannot be used, or no node has so many processors.
        """
        connect(address)
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not 0 < cpus < float("inf"):
            raise UsageError(f"--cpus must be more than 0, not {cpus:g}")
        if cpus > (most := max(processors(), default=0.0)):
            raise UsageError(f"--cpus {cpus:g}: no node of the cluster has more than {most:g}")
        self._make_runner = make_runner
        # A run is played again here, not by Ray: then it is said.
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}
        self._task = ray.remote(_play_here).options(**options)
        # Here, not on any node: it must not go with one.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._desk: Any = ray.remote(_Desk).options(num_cpus=0, scheduling_strategy=here).remote()

    def close(self) -> None:
        """End what belongs to this evaluation; the connection stays."""
        import ray

        ray.kill(self._desk)

    def play(
        self,
        run: Run,
        runner: Runner,
        interrupted: threading.Event,
        report: Callable[[Status], None] = lambda status: None,
    ) -> dict[str, Any] | None:
        """`match.play` on some node; None if it was interrupted before it began.

        Raises:
            UsageError: a node is not as the head, an object store is full, or the run lost `LOST`
                nodes.
        """
        from ray.exceptions import RayError  # what a task itself raises is none

        order = Order.of(run, runner, self._make_runner)

        def attempt() -> Played:
            reference = self._task.remote(order, self._desk)
            self._wait(run, reference, interrupted, report)
            return fetch(reference)

        return play_until_kept(run, interrupted, attempt, RayError)

    def _wait(
        self,
        run: Run,
        reference: ObjectRef,
        interrupted: threading.Event,
        report: Callable[[Status], None],
    ) -> None:
        """Report a run until it has ended; stop it when it is interrupted."""
        import ray

        while not ray.wait([reference], timeout=REPORT_SECONDS / 2)[0]:
            status: Status | None = ray.get(self._desk.status.remote(run.name))
            if interrupted.is_set():
                self._desk.stop.remote()
                if status is None:
                    ray.cancel(reference)
            if status is not None:
                report(status)


def _keep(run: Run, result: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
    """Write the files of a run as `match.play` leaves them: the result last."""
    for name, content in files.items():
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_json(run.folder / RESULT_FILE, result)
    return result


def speeds(summary: dict[str, Any]) -> list[str]:
    """A line for each node that played, and a warning where they differ in speed.

    The seconds of a budget are part of the rules: on a slower node an agent plays less in them.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for entry in summary["levels"]:
        if "machine" in entry and entry["timesteps_per_second"]:
            runs.setdefault(entry["machine"]["node"], []).append(entry)
    rates = {
        node: median(entry["timesteps_per_second"] for entry in of) for node, of in runs.items()
    }
    lines = [
        f"{of[0]['machine']['host']} ({node}; {of[0]['machine']['processor']}, "
        f"{of[0]['machine']['cores']} cores): {len(of)} runs, median {rates[node]:,.0f} timesteps/s"
        for node, of in runs.items()
    ]
    if rates and max(rates.values()) > UNEVEN * min(rates.values()):
        lines.append(
            f"warning: the fastest node is {max(rates.values()) / min(rates.values()):.2f} times "
            "as fast as the slowest: the budget in seconds is not the same for all runs"
        )
    return lines
