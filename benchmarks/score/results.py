"""The result files of the score benchmark: one small JSON per run.

``<results>/<timesteps>/<arm>/<level>-<seed>.json`` holds what was played (``config``), the score,
every episode, and where it came from. A file is there once its run is finished, never before.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
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


def path_of(results: Path, arm: str, run: Run) -> Path:
    """The result file of a run."""
    return results / str(run.rules.timesteps) / arm / f"{run.level.state}-{run.seed}.json"


def config_of(contestant: Contestant, run: Run) -> dict[str, Any]:
    """What makes two runs the same run: a finished one is kept if this has not changed."""
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
    """The first thing in which two `config` differ, in words; None where they do not."""
    for key in wanted:
        if known.get(key) != wanted[key]:
            return f"{key} was {_short(known.get(key))}, now {_short(wanted[key])}"
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
    """Hash of the code that plays: a commit does not say what was changed since."""
    digest = hashlib.sha256()
    for folder in CODE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def write(
    path: Path,
    contestant: Contestant,
    run: Run,
    played: dict[str, Any],
    source: dict[str, Any],
) -> dict[str, Any]:
    """Write the result file of a finished run; returns its content.

    Args:
        played: what `retro_contest.runs.match.play` returned; the run's folder is still there.
        source: `origin` at its start.
    """
    episodes = read_monitor(run.folder / MONITOR_FILE)
    taken = ("score", "timesteps", "seconds", "timesteps_per_second", "verdict", "reason")
    result = {
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
        "bundle": contestant.bundle,
        "fine_tuned": fine_tuned(run.out),
        "agent_exit_code": played["agent_exit_code"],
        "started": played["started"],
        "versions": played["versions"],
        **source,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result) + "\n").encode())
    return result


def fine_tuned(out: Path) -> dict[str, Any] | None:
    """What an agent of ours says of its learning (updates, timesteps), in the bundle it saved.

    A learner that has its own process makes fewer updates on a busy machine: this shows it.
    """
    if not (out / bundle.CONFIG).exists():
        return None
    return bundle.read_manifest(out).origin.get("fine_tuned")


def read(path: Path) -> dict[str, Any]:
    """Content of a result file.

    Raises:
        UsageError: it is damaged, or not a result of this benchmark.
    """
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    if not isinstance(result, dict) or not {"config", "episodes", "verdict"} <= result.keys():
        raise UsageError(f"{path}: not a result of the score benchmark")
    return result


def read_all(results: Path) -> dict[int, dict[str, list[dict[str, Any]]]]:
    """All results of a folder: budget in timesteps -> arm -> its runs."""
    found: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for path in sorted(results.glob("*/*/*-*.json")):
        if path.parts[-3].isdecimal():
            arms = found.setdefault(int(path.parts[-3]), {})
            arms.setdefault(path.parts[-2], []).append(read(path))
    return found


def mixture(runs: Iterable[dict[str, Any]]) -> str | None:
    """Why the runs of an arm are not of one and the same agent; None where they are."""
    first: dict[str, Any] | None = None
    for run in runs:
        config = dict(run["config"])
        for key in ("game", "rom_sha1", "state", "state_sha1", "seed"):
            config.pop(key)
        if config["untrained"] is not None:
            config.pop("bundle")  # its weights are drawn from the seed
        first = first or config
        if told := difference(first, config):
            return told
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
