"""The mini-contest: several agents on held-out levels, with several seeds, and honest statistics.

Each run is played under contest rules over the contest's socket, exactly as `python -m retro_contest
evaluate` plays it, and leaves one small result file. Running the same command again keeps what is
finished and plays the rest; it may be killed at any moment. A run whose bundle or settings have
changed since is refused, or replayed with --redo, never mixed with others.

    python -m benchmarks.score --jobs 2
    python -m benchmarks.score --arms world-model,jerk --seeds 1 --timesteps 5000 --results DIR
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import tyro

from benchmarks.report import report
from benchmarks.score import results as score_results
from benchmarks.score.arms import Contestant, ScoreConfig, check, contestant, missing
from benchmarks.score.summary import summarise
from retro_common.config import load as load_config
from retro_common.errors import UsageError
from retro_contest import levels
from retro_contest.rules import Rules
from retro_contest.runs import verdicts
from retro_contest.runs.match import Run, play
from retro_contest.runs.processes import ProcessRunner
from retro_contest.runs.progress import duration, number

RESULTS = Path("benchmarks/results/score")


@dataclasses.dataclass
class Args:
    """Play the mini-contest, or go on with it, and write its summary, table and plots."""

    config: Path = Path("configs/score.yaml")
    """arms, levels and budget"""
    arms: str = ""
    """names with commas between them (default: all of the configuration)"""
    levels: str = ""
    """level set or levels with commas between them; a state of the configured set by its name"""
    seeds: int | None = None
    """runs per arm and level, with the seeds 0, 1, ..."""
    timesteps: int | None = None
    """budget of each run; results of different budgets lie in different folders"""
    wallclock: float | None = None
    """budget of each run in seconds"""
    jobs: int = 1
    """runs to play side by side; an agent whose learner has its own process uses two cores"""
    redo: bool = False
    """replay runs of another bundle or other settings, and those in which the agent failed"""
    report_only: bool = False
    """play nothing: write summary, table and plots anew"""
    results: Path = RESULTS
    """where result files, summary.json and summary.md go"""
    work: Path = Path("results/score")
    """where runs are played: logs, what agents save; may be deleted between runs"""
    plots: Path | None = None
    """where score.png and learning-curves.png go (default: docs for the default --results,
    otherwise the results folder)"""


@dataclasses.dataclass(frozen=True)
class Task:
    """A run of an arm, and its result file."""

    who: Contestant
    run: Run
    file: Path

    def __str__(self) -> str:
        return f"{self.who.arm} {self.run.level.state} seed {self.run.seed}"


def main() -> int:
    args = tyro.cli(Args, prog="python -m benchmarks.score", description=__doc__)
    interrupted = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: interrupted.set())
    return benchmark(args, interrupted)


def benchmark(args: Args, interrupted: threading.Event) -> int:
    """Play what is left to play and report; the exit code.

    Args:
        interrupted: stops it when it is set; finished runs are kept.

    Raises:
        UsageError: before anything is played.
    """
    config = load(args)
    failed = False
    if not args.report_only:
        with locked(args.work / str(config.timesteps), chosen(args, config)) as work:
            tasks = plan(args, config, work)
            failed = play_all(tasks, args.jobs, interrupted)
    return conclude(args, config) or int(failed)


def load(args: Args) -> ScoreConfig:
    """The configuration, with what the command line says instead.

    Raises:
        UsageError: something in it cannot be.
    """
    config = load_config(ScoreConfig, args.config)
    said = {key: getattr(args, key) for key in ("seeds", "timesteps", "wallclock")}
    changes = {key: value for key, value in said.items() if value is not None}
    if args.jobs < 1 or any(value <= 0 for value in changes.values()):
        raise UsageError("--seeds, --timesteps, --wallclock and --jobs must be > 0")
    config = dataclasses.replace(config, **changes)
    check(config)
    return config


def chosen(args: Args, config: ScoreConfig) -> list[str]:
    """Names of the arms to play: without those whose bundle is missing, which it prints."""
    names = [name.strip() for name in args.arms.split(",")] if args.arms else list(config.arms)
    for name in names:
        if name not in config.arms:
            raise UsageError(
                f"--arms: no arm '{name}' in {args.config} (it has: {', '.join(config.arms)})"
            )
    there = []
    for name in dict.fromkeys(names):
        if missing(config.arms[name]):
            print(f"skipped: {name}: no bundle in {config.arms[name].bundle}", flush=True)
        else:
            there.append(name)
    return there


@contextlib.contextmanager
def locked(work: Path, arms: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """Keep other processes from playing the same arms; others may be played meanwhile."""
    with contextlib.ExitStack() as stack:
        for name in arms:
            (work / name).mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((work / name / ".lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another benchmarks.score.__main__ is playing '{name}' in {work}: wait, or leave it out"
                ) from None
        yield work, arms


def plan(args: Args, config: ScoreConfig, work: tuple[Path, list[str]]) -> list[Task]:
    """The runs to play: seed by seed and level by level, so that arms can be compared early.

    Raises:
        UsageError: a finished run is of another bundle or other settings, and there is no --redo.
    """
    folder, arms = work
    played_on = chosen_levels(args.levels, config)
    levels.check_playable(played_on)
    known: dict[tuple[str, int], Contestant] = {}
    todo, kept = [], 0
    for seed in range(config.seeds):
        for level in played_on:
            for name in arms:
                arm = config.arms[name]
                key = name, seed if arm.untrained is not None else 0
                if key not in known:
                    known[key] = contestant(name, arm, seed, folder)
                place = folder / name / f"{level.state}-{seed}"
                run = Run(level, seed, place, Rules(config.timesteps, config.wallclock))
                file = score_results.path_of(args.results, name, run)
                task = Task(known[key], run, file)
                if not file.exists():
                    todo.append(task)
                elif why := stale(task, args.redo):
                    print(f"to be replayed: {task}: {why}", flush=True)
                    todo.append(task)
                else:
                    kept += 1
    for task in todo:  # after all checks: old runs must not stay beside new ones if this is killed
        task.file.unlink(missing_ok=True)
    print(f"{len(todo)} runs to play, {kept} finished before", flush=True)
    return todo


def stale(task: Task, redo: bool) -> str | None:
    """Why a finished run must be replayed; None if it need not.

    Raises:
        UsageError: it must, and that was not asked for.
    """
    result = score_results.read(task.file)
    wanted = score_results.config_of(task.who, task.run)
    if told := score_results.difference(result["config"], wanted):
        if redo:
            return told
        raise UsageError(
            f"{task.file} is of another run ({told}): --redo replays such runs, "
            "another --results keeps them"
        )
    failed = result["verdict"] != verdicts.COMPLETED
    return f"{result['verdict']}: {result['reason']}" if redo and failed else None


def chosen_levels(text: str, config: ScoreConfig) -> list[levels.Level]:
    """The levels that --levels means.

    Raises:
        UsageError: there is no such level, or two of them would share a result file.
    """
    of_set = {level.state: level for level in levels.find(config.levels)}
    found: list[levels.Level] = []
    for part in (part.strip() for part in (text or config.levels).split(",")):
        found += [of_set[part]] if part in of_set else levels.find(part)
    found = list(dict.fromkeys(found))
    states = [level.state for level in found]
    for state in states:
        if states.count(state) > 1:
            raise UsageError(f"levels: two games have a state '{state}'")
    return found


def play_all(tasks: list[Task], jobs: int, interrupted: threading.Event) -> bool:
    """Play the runs; whether one of them did not end as it should."""
    failed, done, began = False, 0, time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(play_one, task, jobs, interrupted) for task in tasks]
        try:
            for future in as_completed(futures):
                task, result = future.result()
                if result is None:
                    failed = True
                    continue
                done += 1
                failed |= result["verdict"] != verdicts.COMPLETED
                left = (time.monotonic() - began) / done * (len(tasks) - done)
                print(
                    f"{done}/{len(tasks)} {task}: score {number(result['score'])}, "
                    f"{len(result['episodes']['reward'])} episodes, "
                    f"{number(result['timesteps_per_second'])} timesteps/s, {result['verdict']} "
                    f"({result['reason']}); about {duration(left)} left",
                    flush=True,
                )
        except BaseException:
            interrupted.set()  # for example a full disk: do not wait for the other runs
            raise
    if interrupted.is_set():
        print("stopped: the same command goes on from here", file=sys.stderr)
    return failed


def play_one(
    task: Task, jobs: int, interrupted: threading.Event
) -> tuple[Task, dict[str, object] | None]:
    """Play a run and write its result file; None if it says nothing of the agent."""
    if interrupted.is_set():
        return task, None
    source = score_results.origin(jobs)
    played = play(task.run, ProcessRunner(task.who.command), interrupted)
    if played["verdict"] in verdicts.NOT_THE_AGENT:
        if played["verdict"] != verdicts.INTERRUPTED:
            print(f"{task}: {played['verdict']}: {played['reason']}", file=sys.stderr, flush=True)
        return task, None
    return task, score_results.write(task.file, task.who, task.run, played, source)


def conclude(args: Args, config: ScoreConfig) -> int:
    """Write summary, table and plots, and print them; 1 if something in them is not sound."""
    from benchmarks.score import plot as score_plot  # matplotlib takes a second to load

    summary = summarise(args.results, config)
    plots = args.plots or (Path("docs") if args.results == RESULTS else args.results)
    score_plot.write(args.results, summary, config, plots)
    rows = [["arm", "mean", "95%", "iqm", "runs", "per s"]]
    problems = [f"{name}: left out: {why}" for name, why in summary["mixed"].items()]
    for name, arm in summary["arms"].items():
        of_another = arm["timesteps"] != summary["timesteps"]
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
    reference = summary["reference"]
    ratios = {of["against"]: of["ratio"] for of in summary["comparisons"] if of["arm"] == reference}
    figures = {"means": {name: arm["mean"] for name, arm in summary["arms"].items()}}
    title = f"mini-contest, {summary['timesteps'] or 0:,} timesteps per run"
    report(title, rows, figures | {f"{reference} ratio to": ratios})
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
