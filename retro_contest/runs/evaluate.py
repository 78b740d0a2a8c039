"""An agent against every level of a set: many runs, some side by side, one summary.

Running the same evaluation again goes on where it stopped: a finished run is kept.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from gym_remote import __version__
from retro_common.errors import UsageError
from retro_common.files import read_json_object, remove_tree, write_json
from retro_common.provenance import git_commit, provenance
from retro_contest.levels import Level, check_playable
from retro_contest.rules import Rules
from retro_contest.runs import verdicts
from retro_contest.runs.match import POLL, Run, Runner, play, settings
from retro_contest.runs.randomness import Identity, check_secret, fingerprint
from retro_contest.runs.results import (
    ENTRY_KEYS,
    FILMS_FOLDER,
    LOCK_FILE,
    RESULT_FILE,
    SUMMARY_FILE,
    level_scores,
    make_folder,
    mean_score,
    run_checksum,
    runs_checksum,
)
from retro_contest.runs.serve import Status

MOST = 10_000  # runs per level, and runs side by side

PlayRun = Callable[[Run, Runner, threading.Event, Callable[[Status], None]], dict[str, Any] | None]
"""plays a run, writes its files and returns its result: `match.play`, or the same elsewhere; None
if it was interrupted before it began"""


@dataclass(frozen=True)
class Evaluation:
    """The levels of an evaluation, its rules, and where its results go."""

    name: str
    """name of the submission on the board"""
    level_set: str
    """the levels as the command line named them"""
    levels: list[Level]
    """the levels that this name means"""
    results: Path
    """the results folder"""
    rules: Rules
    """the rules of each run"""
    seeds: int = 1
    """runs per level, numbered 0, 1, ..."""
    jobs: int = 1
    """runs that are played side by side"""
    fresh: bool = False
    """whether to play finished runs again, with another secret"""
    replay_secret: str = ""
    """secret of an earlier evaluation, in hexadecimal, to play with its randomness again; without
    it a new evaluation draws one, and one that goes on keeps its own"""

    def runs(self, secret: str) -> list[Run]:
        """All runs: number by number, so that every level has a score as early as possible.

        Args:
            secret: of this evaluation, in hexadecimal.
        """
        return [
            Run(
                level=level,
                seed=seed,
                folder=self.results / level.game / level.state / f"seed-{seed}",
                rules=self.rules,
                secret=secret,
            )
            for seed in range(self.seeds)
            for level in self.levels
        ]


class Observer(Protocol):
    """Follows an evaluation, for example to show it. Several threads call its methods."""

    def begin(self, runs: list[Run], kept: dict[Run, dict[str, Any]]) -> None:
        """The evaluation begins with these runs; some are finished, with these results."""

    def update(self, run: Run, status: Status) -> None:
        """A run is being played; called several times a second."""

    def end(self, run: Run, result: dict[str, Any]) -> None:
        """A run ended with this result."""


class Observers:
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def begin(self, runs: list[Run], kept: dict[Run, dict[str, Any]]) -> None:
        for observer in self._observers:
            observer.begin(runs, kept)

    def update(self, run: Run, status: Status) -> None:
        for observer in self._observers:
            observer.update(run, status)

    def end(self, run: Run, result: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.end(run, result)


def evaluate(
    evaluation: Evaluation,
    runner: Runner,
    interrupted: threading.Event,
    observer: Observer,
    play_run: PlayRun = play,
) -> dict[str, Any]:
    """Play all runs that are not finished yet; returns the summary, which is also written.

    Where an agent exits in its run without connecting, and has not connected in any other run
    either, the remaining runs are not played: it would fail in the same way in all of them.

    Args:
        evaluation: levels, rules and results folder.
        runner: how to start the two sides of a run.
        interrupted: stops everything when it is set; the measurements so far are kept.
        observer: follows the runs.
        play_run: where the runs are played, if not on this machine.

    Raises:
        UsageError: before anything is played: a level cannot be played, or the results folder
            cannot be used or holds another evaluation.
    """
    _check(evaluation)
    with _locked(evaluation.results):
        identity = _identity(evaluation)
        runs = evaluation.runs(identity.secret)
        results: dict[Run, dict[str, Any]] = {}
        if not evaluation.fresh:
            results = {run: old for run in runs if (old := _finished(run, runner)) is not None}
        entries = {run: _entry(run, result) for run, result in results.items()}
        identity.write(evaluation.results)
        todo = [run for run in runs if run not in results]
        if todo:
            remove_tree(evaluation.results / FILMS_FOLDER)  # films of runs that are played again
        observer.begin(runs, results)
        summary = _write_summary(evaluation, runner, identity, runs, entries)
        connections = _Connections()
        for kept in results.values():
            connections.note(kept)

        def play_one(run: Run) -> tuple[Run, dict[str, Any] | None]:
            if interrupted.is_set() or connections.hopeless:
                return run, None

            def report(status: Status) -> None:
                connections.any |= status.connected
                observer.update(run, status)

            result = play_run(run, runner, interrupted, report)
            if result is not None:
                connections.note(result)
                observer.end(run, result)
            return run, result

        with ThreadPoolExecutor(max_workers=evaluation.jobs) as pool:
            pending = {pool.submit(play_one, run) for run in todo}
            try:
                while pending:
                    # Not without a time-out: a signal that another thread received is handled only
                    # when this one goes on.
                    done, pending = wait(pending, POLL, return_when=FIRST_COMPLETED)
                    for future in done:
                        run, result = future.result()
                        if result is not None:
                            entries[run] = _entry(run, result)
                            summary = _write_summary(evaluation, runner, identity, runs, entries)
            except BaseException:
                interrupted.set()  # for example a full disk: do not wait for the other runs
                raise
    return summary


class _Connections:
    """Whether the agent has connected in any run, or exited without having done so."""

    def __init__(self) -> None:
        self.any = False
        self._exited = False

    def note(self, result: Mapping[str, Any]) -> None:
        """Take a run's result into account."""
        if result["verdict"] == verdicts.NEVER_CONNECTED:
            self._exited |= result["agent_exit_code"] is not None
        elif result["verdict"] not in verdicts.NOT_THE_AGENT:
            self.any = True

    @property
    def hopeless(self) -> bool:
        """Whether the agent exits before it connects, as far as is known."""
        return self._exited and not self.any


def clean(summary: dict[str, Any]) -> bool:
    """Whether all runs were played, each until its budget was used up or nearly so."""
    return summary["complete"] and all(
        verdicts.ended_well(run["verdict"], run["timesteps"], summary["timesteps"])
        for run in summary["levels"]
    )


def _check(evaluation: Evaluation) -> None:
    if min(evaluation.seeds, evaluation.jobs) < 1:
        raise UsageError("--seeds and --jobs must be at least 1")
    if max(evaluation.seeds, evaluation.jobs) > MOST:
        raise UsageError(f"--seeds and --jobs must be at most {MOST:,}")
    if evaluation.replay_secret:
        check_secret(evaluation.replay_secret)
    names = [level.name for level in evaluation.levels]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"{sorted(twice)[0]} of two integration folders: results would collide")
    check_playable(evaluation.levels)


@contextmanager
def _locked(results: Path) -> Iterator[None]:
    """Make the results folder and keep other evaluations out of it."""
    make_folder(results)
    try:
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


def _identity(evaluation: Evaluation) -> Identity:
    """Identity and secret of the evaluation: those of the results folder, or new ones."""
    wanted = evaluation.replay_secret.lower()
    known = None if evaluation.fresh else Identity.read(evaluation.results)
    if known is None:
        return Identity.new(wanted)
    if wanted and wanted != known.secret:
        raise UsageError(
            f"{evaluation.results} holds an evaluation with another secret: "
            "use --fresh to replace it, or another --results"
        )
    return known


def _finished(run: Run, runner: Runner) -> dict[str, Any] | None:
    """The result of a run that need not be played again."""
    path = run.folder / RESULT_FILE
    if not os.path.lexists(path):
        return None
    result = read_json_object(path)
    wanted = settings(run, runner)
    known = {"agent_files": {}} | result.get("settings", {})
    if change := _change(known, wanted):
        raise UsageError(
            f"{path} is of another evaluation ({change}): "
            "use --fresh to replace it, or another --results"
        )
    return result if result["verdict"] not in verdicts.NOT_THE_AGENT else None


def _change(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first difference between a finished run's settings and those now, in words."""
    for key in wanted:
        if key == "agent_files" and known["agent"] == wanted["agent"]:
            for name in {**wanted[key], **known[key]}:
                if known[key].get(name) != wanted[key].get(name):
                    return f"'{name}' in the agent's command is not the one that played"
        elif key == "secret_sha256" and known.get(key) != wanted[key]:
            return "its sticky actions follow from another secret, or from a seed that is known"
        elif known.get(key) != wanted[key]:
            return f"{key} was {known.get(key)!r}, now {wanted[key]!r}"
    return None


def _entry(run: Run, result: Mapping[str, Any]) -> dict[str, Any]:
    """A finished run as the summary has it."""
    entry = {key: result[key] for key in ENTRY_KEYS}
    if "machine" in result:  # of a cluster
        entry["machine"] = result["machine"]
    return {**entry, "sha256": run_checksum(run.folder)}


def _write_summary(
    evaluation: Evaluation,
    runner: Runner,
    identity: Identity,
    runs: list[Run],
    entries: dict[Run, dict[str, Any]],
) -> dict[str, Any]:
    """Write `summary.json` from the results so far."""
    levels = [entries[run] for run in runs if run in entries]
    scores = level_scores(levels)
    measured = [run for run in levels if run["verdict"] not in verdicts.NOT_THE_AGENT]
    summary = {
        "id": identity.id,
        "written_by": {"program": "retro-contest", "version": __version__, "commit": git_commit()},
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
        "timesteps": evaluation.rules.timesteps,
        "wallclock": evaluation.rules.wallclock,
        "seeds": evaluation.seeds,
        "secret_sha256": fingerprint(identity.secret),
        "runs_sha256": runs_checksum(levels),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
    }
    write_json(evaluation.results / SUMMARY_FILE, summary)
    return summary
