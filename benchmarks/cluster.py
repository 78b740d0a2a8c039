"""The cost of a Ray cluster: the same runs by this machine's own pool and by a cluster on it.

The agent is `hold-right`, which costs next to nothing, so that emulator, wire and cluster are
measured. Pool and cluster take turns, so that other work on the machine disturbs both.
`ratio_to_local` is the median over turns of how many times as long the cluster takes: 1.1 is an
overhead of 10%. The start of a cluster and of its worker processes is measured apart
(`start_seconds`). Then clusters of 1, 2 and 4 nodes, each with one processor, play as many runs
side by side; all of them share this machine's cores. Needs Ray (requirements-dev.txt).

    python -m benchmarks.cluster [--quick] [--json FILE]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro
from ray.cluster_utils import Cluster as Nodes

from benchmarks.command import run
from benchmarks.report import report
from benchmarks.timing import median_ratio
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs.cluster import Cluster
from retro_contest.runs.evaluate import Evaluation, Observers, PlayRun, clean, evaluate
from retro_contest.runs.match import play
from retro_contest.runs.nodes import disconnect
from retro_contest.runs.processes import ProcessRunner

LEVEL = "FernHollow.Act1"
AGENT = "hold-right"
JOBS = 2
NODES = (1, 2, 4)
STORE_BYTES = 100 << 20


@dataclass
class Config:
    quick: bool = False
    """fewer and shorter measurements"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


def seconds(play_run: PlayRun, timesteps: int, seeds: int, jobs: int) -> float:
    """Wall seconds of an evaluation of so many runs, so many side by side."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Rules(timesteps, 3600.0)
        evaluation = Evaluation(
            "benchmark", LEVEL, find(LEVEL), Path(folder), rules, seeds=seeds, jobs=jobs
        )
        start = time.monotonic()
        summary = evaluate(
            evaluation, ProcessRunner(AGENT), threading.Event(), Observers(), play_run
        )
        if not clean(summary):
            sys.exit(f"a run ended as {[entry['verdict'] for entry in summary['levels']]}")
        return time.monotonic() - start


@contextmanager
def cluster(processors: list[int]) -> Iterator[Cluster]:
    """A cluster on this machine with a node for each of these numbers of processors."""
    options = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    nodes = Nodes(True, head_node_args={"num_cpus": processors[0], **options})
    try:
        for number in processors[1:]:
            nodes.add_node(num_cpus=number, object_store_memory=STORE_BYTES)
        with closing(Cluster(nodes.address, partial(ProcessRunner, AGENT))) as connected:
            yield connected
    finally:
        disconnect()
        nodes.shutdown()


def main() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    config = tyro.cli(Config, prog="python -m benchmarks.cluster", description=__doc__)
    timesteps, seeds, turns = (4000, 2, 1) if config.quick else (20_000, 4, 3)
    load = round(os.getloadavg()[0], 2)
    local, remote = [], []
    start = time.monotonic()
    with cluster([JOBS]) as nodes:
        seconds(nodes.play, 100, JOBS, JOBS)
        started = time.monotonic() - start
        for _ in range(turns):
            local.append(seconds(play, timesteps, seeds, JOBS))
            remote.append(seconds(nodes.play, timesteps, seeds, JOBS))
    rates = {}
    for number in NODES:
        with cluster([1] * number) as nodes:
            seconds(nodes.play, 100, number, number)
            took = seconds(nodes.play, timesteps, number, number)
            rates[f"nodes_{number}"] = round(number * timesteps / took)

    more = statistics.median(remote) - statistics.median(local)
    figures = {
        "timesteps": timesteps,
        "runs": seeds,
        "side_by_side": JOBS,
        "turns": turns,
        "cores": os.cpu_count(),
        "load_before": load,
        "local_seconds": round(statistics.median(local), 2),
        "cluster_seconds": round(statistics.median(remote), 2),
        "ratio_to_local": median_ratio(remote, local),
        "overhead_per_run_seconds": round(more * JOBS / seeds, 3),
        "start_seconds": round(started, 2),
        **rates,
    }
    rows = [
        ["", "seconds", "timesteps/s"],
        *(
            [name, f"{took:.2f}", f"{seeds * timesteps / took:,.0f}"]
            for name, took in (
                ("pool of this machine", figures["local_seconds"]),
                ("cluster on this machine", figures["cluster_seconds"]),
            )
        ),
        ["ratio to local", f"{figures['ratio_to_local']:.3f}", ""],
        *([f"{n} nodes of one processor", "", f"{rates[f'nodes_{n}']:,}"] for n in NODES),
    ]
    title = f"{AGENT} on {LEVEL}: {seeds} runs of {timesteps:,} timesteps, {JOBS} side by side"
    report(title, rows, figures, config.json)


if __name__ == "__main__":
    run(main)
