"""An agent against every level of a set: many runs, some side by side, one summary.

Running the same evaluation again goes on where it stopped: a finished run is kept.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from retro_common.errors import UsageError
from retro_common.files import read_json, write_json
from retro_common.provenance import provenance
from retro_contest.levels import Level, check_playable
from retro_contest.runs import verdicts
from retro_contest.runs.match import Run, Runner, play, settings
from retro_contest.runs.progress import Progress
from retro_contest.runs.results import RESULT_FILE, SUMMARY_FILE, level_scores, mean_score

LOCK_FILE = ".lock"


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, on what, by which rules.

    Attributes:
        name: of the submission, for the leaderboard.
        level_set: the levels as they were named.
        levels: what that name means.
        results: the results folder.
        timesteps: budget of each run, resets included.
        wallclock: budget of each run in seconds.
        seeds: runs per level, with the seeds 0, 1, ...
        jobs: runs that are played side by side.
        record: whether to keep bk2 movies.
        draw_all: whether to draw skipped frames, too.
        fresh: whether to play finished runs again.
        connect_timeout, idle_timeout, exit_timeout: see :class:`Run`.
    """

    name: str
    level_set: str
    levels: list[Level]
    results: Path
    timesteps: int
    wallclock: float
    seeds: int = 1
    jobs: int = 1
    record: bool = False
    draw_all: bool = False
    fresh: bool = False
    connect_timeout: float = 300.0
    idle_timeout: float = 600.0
    exit_timeout: float = 60.0

    def runs(self) -> list[Run]:
        """All runs: seed by seed, so that every level has a score as early as possible."""
        return [
            Run(
                level=level,
                seed=seed,
                folder=self.results / level.game / level.state / f"seed-{seed}",
                timesteps=self.timesteps,
                wallclock=self.wallclock,
                connect_timeout=self.connect_timeout,
                idle_timeout=self.idle_timeout,
                exit_timeout=self.exit_timeout,
                record=self.record,
                draw_all=self.draw_all,
            )
            for seed in range(self.seeds)
            for level in self.levels
        ]


def evaluate(
    evaluation: Evaluation, runner: Runner, interrupted: threading.Event, progress: Progress
) -> dict[str, Any]:
    """Play all runs that are not finished yet; returns the summary, which is also written.

    Args:
        evaluation: what to do.
        runner: how to start the two sides of a run.
        interrupted: stops everything when it is set; what was measured is kept.
        progress: is told what happens.

    Raises:
        UsageError: before anything is played: a level cannot be played, or the results folder
            cannot be used or holds another evaluation.
    """
    _check(evaluation)
    with _locked(evaluation.results):
        runs = evaluation.runs()
        results: dict[Run, dict[str, Any]] = {}
        if not evaluation.fresh:
            results = {run: kept for run in runs if (kept := _finished(run, runner)) is not None}
        todo = [run for run in runs if run not in results]
        progress.begin(runs, results)
        summary = _write_summary(evaluation, runner, runs, results)

        with ThreadPoolExecutor(max_workers=evaluation.jobs) as pool:
            futures = [pool.submit(_play, run, runner, interrupted, progress) for run in todo]
            try:
                for future in as_completed(futures):
                    run, result = future.result()
                    if result is not None:
                        results[run] = result
                        summary = _write_summary(evaluation, runner, runs, results)
            except BaseException:
                interrupted.set()  # for example a full disk: do not wait for the other runs
                raise
    return summary


def clean(summary: dict[str, Any]) -> bool:
    """Whether all runs were played and no agent failed in one."""
    return summary["complete"] and all(
        run["verdict"] in verdicts.CLEAN for run in summary["levels"]
    )


def _play(
    run: Run, runner: Runner, interrupted: threading.Event, progress: Progress
) -> tuple[Run, dict[str, Any] | None]:
    if interrupted.is_set():
        return run, None
    result = play(run, runner, interrupted, lambda status: progress.update(run, status))
    progress.end(run, result)
    return run, result


def _check(evaluation: Evaluation) -> None:
    if min(evaluation.timesteps, evaluation.seeds, evaluation.jobs) < 1:
        raise UsageError("--timesteps, --seeds and --jobs must be at least 1")
    if evaluation.wallclock <= 0:
        raise UsageError("--wallclock must be more than 0 seconds")
    names = [level.name for level in evaluation.levels]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"{sorted(twice)[0]} of two integration folders: results would collide")
    check_playable(evaluation.levels)


@contextmanager
def _locked(results: Path) -> Iterator[None]:
    """Make the results folder and keep other evaluations out of it."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(results / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot write to {results}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"another evaluation is writing to {results}") from None
    finally:
        os.close(descriptor)


def _finished(run: Run, runner: Runner) -> dict[str, Any] | None:
    """The result of a run that need not be played again."""
    path = run.folder / RESULT_FILE
    if not path.exists():
        return None
    result = read_json(path)
    wanted = settings(run, runner)
    known = result.get("settings", {})
    for key in wanted:
        if known.get(key) != wanted[key]:
            raise UsageError(
                f"{path} is of another evaluation ({key} was {known.get(key)!r}, now "
                f"{wanted[key]!r}): use --fresh to replace it, or another --results"
            )
    return result if result["verdict"] not in verdicts.NOT_THE_AGENT else None


def _write_summary(
    evaluation: Evaluation, runner: Runner, runs: list[Run], results: dict[Run, dict[str, Any]]
) -> dict[str, Any]:
    """Write ``summary.json`` from the results so far."""
    keys = ("game", "state", "seed", "score", "episodes", "timesteps", "seconds")
    keys += ("timesteps_per_second", "verdict", "reason")
    levels = [{key: results[run][key] for key in keys} for run in runs if run in results]
    scores = level_scores(levels)
    measured = [run for run in levels if run["verdict"] not in verdicts.NOT_THE_AGENT]
    summary = {
        "name": evaluation.name,
        "score": mean_score(scores),
        "complete": len(measured) == len(runs),
        "level_scores": {name: fmean(of) if of else None for name, of in scores.items()},
        "levels": levels,
        "level_names": [level.name for level in evaluation.levels],
        "runs": len(runs),
        "mode": runner.name,
        "agent": runner.agent,
        "level_set": evaluation.level_set,
        "timesteps": evaluation.timesteps,
        "wallclock": evaluation.wallclock,
        "seeds": evaluation.seeds,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
    }
    write_json(evaluation.results / SUMMARY_FILE, summary)
    return summary
