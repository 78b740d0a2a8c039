"""The score benchmark: several agents on held-out levels, with several seeds and intervals.

Each run is played under contest rules over the contest's socket, exactly as `python -m
retro_contest evaluate` plays it, and is stored as one line of a file per arm. The same command
keeps finished runs and plays the others; it may be killed at any moment. A run whose bundle or
settings have changed since is refused, or replayed with --redo; different agents are never mixed in
one figure.

    python -m benchmarks.score --jobs 2
    python -m benchmarks.score --arms world-model,jerk --seeds 1 --timesteps 5000

Runs go to results/score, which git ignores. The committed results are an explicit choice; for them
docs/results.md, its figures and the table in README.md are written, too:

    python -m benchmarks.score --report-only --results benchmarks/results/score
"""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import tyro

from benchmarks.command import run
from benchmarks.report import report
from benchmarks.score import pages, summary
from benchmarks.score.arms import ScoreConfig, check
from benchmarks.score.schedule import chosen_arms, chosen_levels, locked, plan, play_all
from retro_common.config import load as load_config
from retro_common.errors import UsageError
from retro_common.files import read_json
from retro_common.provenance import ROOT
from retro_contest.board.references import write_references
from retro_contest.runs.progress import number

COMMITTED = Path("benchmarks/results/score")
"""the results of the repository"""
WORLD_MODEL = "world-model.json"
"""the world model's report; beside the results folder"""
JOINT = "joint.json"
"""the benchmark of the joint stage, the same"""


@dataclasses.dataclass
class Args:
    """Play the score benchmark, or go on with it, and report."""

    config: Path = Path("configs/score.yaml")
    """arms, levels and budget"""
    arms: str = ""
    """names with commas between them (default: all of the configuration)"""
    levels: str = ""
    """level set or levels with commas between them; a state of the configured set by its name"""
    seeds: int | None = None
    """runs per arm and level, numbered 0, 1, ...; each draws a secret for its environment"""
    timesteps: int | None = None
    """budget of each run; runs of different budgets are stored in different folders"""
    wallclock: float | None = None
    """budget of each run in seconds"""
    jobs: int = 1
    """runs to play side by side; an agent whose learner has its own process uses two cores"""
    redo: bool = False
    """replay runs of another bundle or other settings, and those in which the agent failed"""
    report_only: bool = False
    """play nothing: write summary.json, and the pages of --docs, anew"""
    results: Path = Path("results/score")
    """where runs and summary.json are stored; the committed ones are in benchmarks/results/score"""
    work: Path = Path("results/score/work")
    """where runs are played: logs, bundles that agents save; may be deleted between runs"""
    docs: Path | None = None
    """where results.md, score.png and learning-curves.png are written; the README.md beside that
    folder gets its table rewritten if it has the markers (default: docs for
    --results benchmarks/results/score, otherwise nowhere)"""


def main() -> int:
    args = tyro.cli(Args, prog="python -m benchmarks.score", description=__doc__)
    interrupted = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: interrupted.set())
    return benchmark(args, interrupted)


def benchmark(args: Args, interrupted: threading.Event) -> int:
    """Play the runs that are left and report; the exit code.

    Args:
        interrupted: stops it when it is set; finished runs are kept.

    Raises:
        UsageError: before anything is played.
    """
    config = load(args)
    failed = False
    if not args.report_only:
        arms, work = chosen_arms(args.arms, config), args.work / str(config.timesteps)
        with locked(work, arms):
            played_on = chosen_levels(args.levels, config)
            tasks = plan(config, arms, played_on, args.results, work, args.redo)
            failed = play_all(tasks, args.jobs, interrupted)
    return conclude(args, config) or int(failed)


def load(args: Args) -> ScoreConfig:
    """The configuration, with the values of the command line in place of its own.

    Raises:
        UsageError: a value is invalid.
    """
    config = load_config(ScoreConfig, args.config)
    given = {key: getattr(args, key) for key in ("seeds", "timesteps", "wallclock")}
    changes = {key: value for key, value in given.items() if value is not None}
    if args.jobs < 1 or any(value <= 0 for value in changes.values()):
        raise UsageError("--seeds, --timesteps, --wallclock and --jobs must be > 0")
    config = dataclasses.replace(config, **changes)
    check(config)
    return config


def conclude(args: Args, config: ScoreConfig) -> int:
    """Write summary and pages, and print the table; 1 if a figure is not sound."""
    figures = summary.summarise(args.results, config)
    summary.write(figures, args.results)
    write_docs(args, config, figures)
    rows = [["arm", "mean", "95%", "iqm", "runs", "per s"]]
    problems = [f"{name}: left out: {why}" for name, why in figures["mixed"].items()]
    for name, arm in figures["arms"].items():
        of_another = arm["timesteps"] != figures["timesteps"]
        rows.append(
            [
                f"{name} ({arm['timesteps']:,})" if of_another else name,
                f"{arm['mean']:,.0f}",
                " to ".join(f"{value:,.0f}" for value in arm["ci95"] or ()) or "–",
                f"{arm['iqm']:,.0f}",
                str(arm["runs"]),
                number(arm["timesteps_per_second"]),
            ]
        )
        problems += [f"{name}: {failure}" for failure in arm["failed"]]
        if len(arm["codes"]) > 1:
            print(f"note: the runs of {name} are of {len(arm['codes'])} versions of the code")
    for problem in problems:
        print(problem, file=sys.stderr)
    reference = figures["reference"]
    ratios = {of["against"]: of["ratio"] for of in figures["comparisons"] if of["arm"] == reference}
    means = {name: arm["mean"] for name, arm in figures["arms"].items()}
    title = f"score, {figures['timesteps'] or 0:,} timesteps per run"
    report(title, rows, {"means": means, f"{reference} ratio to": ratios})
    return 1 if problems else 0


def write_docs(args: Args, config: ScoreConfig, figures: dict[str, Any]) -> None:
    """Write page, README table and figures, if these results have a place for them.

    The committed results are the reference rows of every board, too.
    """
    committed = args.results.resolve() == (ROOT / COMMITTED).resolve()
    docs = args.docs or (ROOT / "docs" if committed else None)
    if docs is None:
        return
    from benchmarks.score import plot  # matplotlib takes a second to load

    beside = [args.results.parent / name for name in (WORLD_MODEL, JOINT)]
    world_model, joint = (read_json(path) if path.exists() else None for path in beside)
    pages.write(figures, config, world_model, joint, docs)
    plot.write(args.results, figures, config, docs)
    if committed:
        write_references(summary.reference_entries(args.results, config))


if __name__ == "__main__":
    run(main)
