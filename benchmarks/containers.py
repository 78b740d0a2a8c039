"""What containers cost: timesteps per second of the same agent as processes and as containers.

The agent is `hold-right`, which costs next to nothing, so that emulator, wire and container are
measured. Both take turns, so that other work on the machine disturbs both, and the medians are
reported. Needs a Docker engine and the environment image
(retro_contest/Dockerfile).

    python -m benchmarks.containers [--quick] [--json FILE]
"""

import io
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.command import run
from benchmarks.report import report
from retro_contest.containers.engine import connect, find_image
from retro_contest.containers.runner import ENVIRONMENT_IMAGE, ContainerRunner
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs.match import Run, play
from retro_contest.runs.processes import ProcessRunner

LEVEL = "airstriker"
DOCKERFILE = f'FROM {ENVIRONMENT_IMAGE}\nCMD ["python", "-m", "retro_contest.agents.hold_right"]\n'


@dataclass
class Config:
    quick: bool = False
    """fewer and shorter measurements"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


def main() -> None:
    config = tyro.cli(Config, prog="python -m benchmarks.containers", description=__doc__)
    timesteps, turns = (2000, 3) if config.quick else (5000, 5)
    client = connect()
    hint = f"docker build -t {ENVIRONMENT_IMAGE} -f retro_contest/Dockerfile ."
    find_image(client, ENVIRONMENT_IMAGE, hint)
    image, _ = client.images.build(fileobj=io.BytesIO(DOCKERFILE.encode()), rm=True)
    rates: dict[str, list[float]] = {"process": [], "container": []}
    around: dict[str, list[float]] = {"process": [], "container": []}
    try:
        with tempfile.TemporaryDirectory() as folder:
            runners = [ProcessRunner("hold-right"), ContainerRunner(image.id, Path(folder))]
            for turn in range(turns):
                for runner in runners:
                    rules = Rules(timesteps, 3600.0)
                    contest = Run(find(LEVEL)[0], turn, Path(folder) / "run", rules)
                    start = time.monotonic()
                    result = play(contest, runner, threading.Event())
                    seconds = time.monotonic() - start
                    if result["verdict"] != "completed":
                        sys.exit(f"{runner.name}: {result['verdict']}: {result['reason']}")
                    rate = result["timesteps_per_second"]
                    rates[runner.name].append(rate)
                    around[runner.name].append(seconds - timesteps / rate)
    finally:
        client.images.remove(image.id, force=True)

    figures: dict = {"timesteps": timesteps, "turns": turns}
    rows = [["", "timesteps/s", "seconds to start and stop"]]
    for name in rates:
        figures[name] = statistics.median(rates[name])
        figures[f"{name}_around_seconds"] = round(statistics.median(around[name]), 2)
        around_seconds = f"{figures[f'{name}_around_seconds']:.2f}"
        rows.append([name, f"{figures[name]:,.0f}", around_seconds])
    figures["ratio"] = round(figures["container"] / figures["process"], 3)
    rows.append(["container / process", f"{figures['ratio']:.3f}", ""])
    title = f"hold-right on {LEVEL}, {timesteps:,} timesteps, median of {turns}"
    report(title, rows, figures, config.json)


if __name__ == "__main__":
    run(main)
