"""Which runs of the score benchmark are left to play, and playing them."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from benchmarks.score import results as score_results
from benchmarks.score.arms import Contestant, ScoreConfig, contestant, missing
from benchmarks.score.results import StoredRun
from retro_common.errors import UsageError
from retro_contest import levels
from retro_contest.rules import Rules
from retro_contest.runs import verdicts
from retro_contest.runs.match import Run, play
from retro_contest.runs.processes import ProcessRunner
from retro_contest.runs.progress import duration, number


@dataclass(frozen=True)
class Task:
    """A run of an arm, and the file that it will be stored in."""

    who: Contestant
    run: Run
    file: Path

    def __str__(self) -> str:
        return f"{self.who.arm} {self.run.level.state} seed {self.run.seed}"

    @property
    def key(self) -> score_results.Key:
        """The run's place in the file."""
        return self.run.level.state, self.run.seed


def chosen_arms(names: str, config: ScoreConfig) -> list[str]:
    """The arms to play; those whose bundle is missing are left out, with a printed line.

    Args:
        names: separated by commas; empty for all of the configuration.

    Raises:
        UsageError: the configuration has no such arm.
    """
    wanted = [name.strip() for name in names.split(",")] if names else list(config.arms)
    for name in wanted:
        if name not in config.arms:
            raise UsageError(
                f"--arms: no arm '{name}' in the configuration (it has: {', '.join(config.arms)})"
            )
    playable = []
    for name in dict.fromkeys(wanted):
        if path := missing(config.arms[name]):
            print(f"skipped: {name}: no bundle in {path}", flush=True)
        else:
            playable.append(name)
    return playable


def chosen_levels(text: str, config: ScoreConfig) -> list[levels.Level]:
    """The levels of --levels.

    Args:
        text: as for `levels.find`, or states of the configured level set; empty for all of that.

    Raises:
        UsageError: there is no such level, or two of them have the same state.
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


@contextlib.contextmanager
def locked(work: Path, arms: Sequence[str]) -> Iterator[None]:
    """Keep other processes from playing these arms in `work`; they may play others meanwhile.

    Raises:
        UsageError: another process is playing one of them.
    """
    with contextlib.ExitStack() as stack:
        for name in arms:
            (work / name).mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((work / name / ".lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another benchmarks.score is playing '{name}' in {work}: wait, or leave it out"
                ) from None
        yield


def plan(
    config: ScoreConfig,
    arms: Sequence[str],
    played_on: Sequence[levels.Level],
    results: Path,
    work: Path,
    redo: bool,
) -> list[Task]:
    """The runs to play: seed by seed and level by level, so that arms can be compared early.

    Runs that are to be replayed are removed from their files, all at once and after all checks: old
    runs must not stay beside new ones if the benchmark is killed.

    Raises:
        UsageError: a finished run is of another bundle or other settings, and `redo` is False.
    """
    levels.check_playable(played_on)
    stored = {name: _stored(results, config.timesteps, name) for name in arms}
    known: dict[tuple[str, int], Contestant] = {}
    todo, kept = [], 0
    for seed in range(config.seeds):
        for level in played_on:
            for name in arms:
                arm = config.arms[name]
                key = name, seed if arm.untrained is not None else seed % arm.pretrainings
                if key not in known:
                    known[key] = contestant(name, arm, seed, work)
                place = work / name / f"{level.state}-{seed}"
                rules = Rules(config.timesteps, config.wallclock)
                run = Run(level, seed, place, rules)
                file = score_results.path_of(results, config.timesteps, name)
                task = Task(known[key], run, file)
                old = stored[name].get(task.key)
                if old is None:
                    todo.append(task)
                elif why := stale(task, old, redo):
                    print(f"to be replayed: {task}: {why}", flush=True)
                    todo.append(task)
                else:
                    kept += 1
    for name in arms:
        again = {task.key for task in todo if task.who.arm == name} & stored[name].keys()
        if again:
            score_results.discard(score_results.path_of(results, config.timesteps, name), again)
    print(f"{len(todo)} runs to play, {kept} finished before", flush=True)
    return todo


def _stored(results: Path, timesteps: int, name: str) -> dict[score_results.Key, StoredRun]:
    runs = score_results.read(score_results.path_of(results, timesteps, name))
    return {score_results.key_of(run): run for run in runs}


def stale(task: Task, stored: StoredRun, redo: bool) -> str | None:
    """Why a finished run must be replayed; None if it need not.

    Raises:
        UsageError: it must be replayed, and `redo` is False.
    """
    wanted = score_results.config_of(task.who, task.run)
    if why := score_results.difference(stored["config"], wanted):
        if redo:
            return why
        raise UsageError(
            f"{task.file}: {task} is of another run ({why}): --redo replays such runs, "
            "another --results keeps them"
        )
    failed = stored["verdict"] != verdicts.COMPLETED
    return f"{stored['verdict']}: {stored['reason']}" if redo and failed else None


def play_all(tasks: Sequence[Task], jobs: int, interrupted: threading.Event) -> bool:
    """Play the runs, `jobs` at a time; whether one of them did not end as it should."""
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


def play_one(task: Task, jobs: int, interrupted: threading.Event) -> tuple[Task, StoredRun | None]:
    """Play a run and store it; None in its place if it ended through no fault of the agent."""
    if interrupted.is_set():
        return task, None
    source = score_results.origin(jobs)
    played = play(task.run, ProcessRunner(task.who.command), interrupted)
    if played["verdict"] in verdicts.NOT_THE_AGENT:
        if played["verdict"] != verdicts.INTERRUPTED:
            print(f"{task}: {played['verdict']}: {played['reason']}", file=sys.stderr, flush=True)
        return task, None
    result = score_results.describe(task.who, task.run, played, source)
    score_results.add(task.file, result)
    return task, result
