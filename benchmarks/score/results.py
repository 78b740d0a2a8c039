"""The stored runs of the score benchmark: one JSONL file per budget and arm.

`<results>/<timesteps>/<arm>.jsonl` has one line per finished run, sorted by level and seed. A line
holds the settings that were played (`config`), the score, every episode, and where the run comes
from. A run gets its line when it has ended, in one step: a reader, or a kill at any moment, finds
whole runs only.

Each run draws a secret, from which the seed of its environment follows, and its line has it
(`secret`). Lines without one are of runs whose environment had the run's number as its seed, which
the agent was given, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from agent import bundle
from benchmarks.score.arms import Contestant
from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_common.provenance import ROOT, git_commit
from retro_contest.levels import rom_file, sha1
from retro_contest.runs.match import Run
from retro_contest.runs.monitor import MONITOR_FILE
from retro_contest.runs.results import read_monitor

CODE = ("agent", "benchmarks/agents", "gym_remote", "retro_common", "retro_contest")
KEYS = {"arm", "level", "seed", "score", "episodes", "verdict", "config"}
"""keys without which a line is not a run of this benchmark"""

StoredRun = dict[str, Any]
"""one line of a file; `describe` makes it"""
Key = tuple[str, int]
"""level and seed: at most one run of a file has it"""


# --- files ---


def path_of(results: Path, timesteps: int, arm: str) -> Path:
    """The file with the runs of an arm at a budget."""
    return results / str(timesteps) / f"{arm}.jsonl"


def key_of(run: StoredRun) -> Key:
    return run["level"], run["seed"]


def read(path: Path) -> list[StoredRun]:
    """All runs of a file, in its order; none if there is no such file.

    Raises:
        UsageError: a line is damaged or not a run of this benchmark, or two are of the same level
            and seed.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    runs: dict[Key, StoredRun] = {}
    for number, line in enumerate(lines, 1):
        try:
            run = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}, line {number}: cannot be read: {error}") from None
        if not isinstance(run, dict) or not run.keys() >= KEYS:
            raise UsageError(f"{path}, line {number}: not a run of the score benchmark")
        if key_of(run) in runs:
            raise UsageError(f"{path}, line {number}: {run['level']} seed {run['seed']} twice")
        runs[key_of(run)] = run
    return list(runs.values())


def write(path: Path, runs: Iterable[StoredRun]) -> None:
    """Replace a file by these runs, sorted, in one step; without any run the file is removed.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    lines = [json.dumps(run) + "\n" for run in sorted(runs, key=key_of)]
    if not lines:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "".join(lines))


def add(path: Path, run: StoredRun) -> None:
    """Put a run into a file, in place of the one of the same level and seed if there is one.

    Threads and processes may add to the same file at the same time.
    """
    with _locked(path.parent):
        write(path, [*(old for old in read(path) if key_of(old) != key_of(run)), run])


def discard(path: Path, keys: Collection[Key]) -> None:
    """Remove the runs of these levels and seeds from a file."""
    with _locked(path.parent):
        write(path, [run for run in read(path) if key_of(run) not in keys])


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else changes a file of the folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # releases the lock


def read_all(results: Path) -> dict[int, dict[str, list[StoredRun]]]:
    """All runs of a results folder: budget in timesteps -> arm -> its runs."""
    found: dict[int, dict[str, list[StoredRun]]] = {}
    for path in sorted(results.glob("*/*.jsonl")):
        if path.parent.name.isdecimal():
            found.setdefault(int(path.parent.name), {})[path.stem] = read(path)
    return found


# --- a run's content ---


def config_of(contestant: Contestant, run: Run) -> dict[str, Any]:
    """All that makes two runs the same run: a finished one is kept if this has not changed."""
    rom = rom_file(run.level)
    return {
        **contestant.settings,
        "game": run.level.game,
        "state": run.level.state,
        "rom_sha1": sha1(rom) if rom else None,
        "state_sha1": sha1(run.level.folder / f"{run.level.state}.state"),
        "seed": run.seed,
        "timesteps": run.rules.timesteps,
        "wallclock": run.rules.wallclock,
    }


def difference(known: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """The first key in which two `config` differ, in words; None where they are the same."""
    for key in wanted:
        if known.get(key) != wanted[key]:
            return f"{key} was {_short(known.get(key))}, now {_short(wanted[key])}"
    return None


def randomness(runs: Iterable[StoredRun]) -> str:
    """Where the sticky actions of some runs come from: `secret`, `fixed seeds` or `both`."""
    kinds = {"secret" if run.get("secret") else "fixed seeds" for run in runs}
    return kinds.pop() if len(kinds) == 1 else "both"


def mixture(runs: Iterable[StoredRun]) -> str | None:
    """Why the runs of an arm are not of one and the same agent; None where they are."""
    first: dict[str, Any] | None = None
    bundles: dict[int, str] = {}
    for run in runs:
        config = dict(run["config"])
        if (pretrainings := config.get("pretrainings", 1)) > 1:
            number, bundle_played = config["seed"] % pretrainings, config.pop("bundle")
            if bundles.setdefault(number, bundle_played) != bundle_played:
                return f"pretraining {number} was {bundles[number][:12]}, now {bundle_played[:12]}"
        for key in ("game", "rom_sha1", "state", "state_sha1", "seed"):
            config.pop(key)
        if config["untrained"] is not None:
            config.pop("bundle")  # its weights are drawn from the seed
        first = first or config
        if why := difference(first, config):
            return why
    return None


def origin(jobs: int) -> dict[str, Any]:
    """Where a run comes from; taken when it starts."""
    return {
        "commit": git_commit(),
        "code": code_hash(),
        "cpus": os.cpu_count(),
        "jobs": jobs,
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def code_hash() -> str:
    """Hash of the code that plays: a commit does not say which files were changed since."""
    digest = hashlib.sha256()
    for folder in CODE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def describe(
    contestant: Contestant, run: Run, played: dict[str, Any], source: dict[str, Any]
) -> StoredRun:
    """The line of a finished run, whose folder is still there.

    Args:
        played: the result of `retro_contest.runs.match.play`.
        source: `origin` at the run's start.
    """
    episodes = read_monitor(run.folder / MONITOR_FILE)
    taken = ("score", "timesteps", "seconds", "timesteps_per_second", "verdict", "reason")
    return {
        "arm": contestant.arm,
        "level": run.level.state,
        "seed": run.seed,
        **{key: played[key] for key in taken},
        "episodes": {
            "reward": [round(episode.r, 3) for episode in episodes],
            "length": [episode.l for episode in episodes],
            # A reset counts as a timestep of the budget.
            "end": list(accumulate(episode.l + 1 for episode in episodes)),
        },
        "config": config_of(contestant, run),
        "secret": run.secret,
        "bundle": contestant.bundle,
        "fine_tuned": fine_tuned(run.out),
        "agent_exit_code": played["agent_exit_code"],
        "started": played["started"],
        "versions": played["versions"],
        **source,
    }


def fine_tuned(out: Path) -> dict[str, Any] | None:
    """The counts of updates and timesteps that our agent wrote into the bundle it saved, if any.

    A learner that has its own process makes fewer updates on a busy machine: this shows it.
    """
    if not (out / bundle.CONFIG).exists():
        return None
    return bundle.read_manifest(out).origin.get("fine_tuned")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
