"""The files of a results folder, and the definition of a score.

A results folder holds `summary.json`, `secret.json` and, for each run (one level with one number),
a folder `GAME/STATE/seed-N` with `result.json`, `monitor.csv`, `log.csv`, the logs of both sides
and the agent's output folder `out`. The summary stands in the results folder itself; a file of
that name anywhere else is not one. It has a random `id`, and SHA-256 checksums of its runs: of
each run over `result.json` and `monitor.csv`, and of the list of them.

**Scores.** The score of a run is the mean reward over all episodes that it played within its
budget, the one that the end of the budget cut off included: `monitor.csv` holds them all.
Timesteps of the budget that were not played count as if the agent had stood still for them: every
4,500 that were begun (the time limit of an episode) are one more episode of reward 0. So an agent
gains nothing by leaving, failing, or falling silent after a good episode that it could not have
gained by doing nothing, and one that plays nothing has the score 0. The rule is the same whatever
ended the run, the seconds of the budget included: otherwise an agent could sleep instead of
leaving. The score of a level is the mean over its runs, the score of a submission the mean over its
levels. Runs that failed through no fault of the agent (verdicts `interrupted` and `server failed`)
are left out of the means and make the summary incomplete.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_json, read_text
from retro_common.text import clean
from retro_contest.rules import TIME_LIMIT
from retro_contest.runs.monitor import MONITOR_FILE
from retro_contest.runs.verdicts import NOT_THE_AGENT

RESULT_FILE = "result.json"
ENTRY_KEYS = (
    "game",
    "state",
    "seed",
    "score",
    "episodes",
    "unplayed_episodes",
    "timesteps",
    "seconds",
    "timesteps_per_second",
    "verdict",
    "reason",
)
"""what the summary repeats of each run's result"""
SUMMARY_FILE = "summary.json"
FILMS_FOLDER = "films"
"""folder of the films (`retro_contest.films.replay`) inside a results folder"""
MONITOR_BYTES = 256 << 20  # a budget of 10 million timesteps has at most 5 million episodes
MOST = 1e12  # no sum of rewards, length or duration of an episode comes near
LOCK_FILE = ".lock"  # locked by the evaluation that writes to the results folder


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in.

    Raises:
        UsageError: it cannot be made; the message says why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        for path in (folder, *folder.parents):
            if path.exists() and not path.is_dir():
                raise UsageError(f"cannot make the folder {folder}: {path} is a file") from error
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error


class Episode(NamedTuple):
    """One row of `monitor.csv`: reward, length in agent steps, seconds since the first reset."""

    r: float
    l: int  # noqa: E741 - the contest's name for it
    t: float


def read_monitor(path: Path) -> list[Episode]:
    """The episodes of a `monitor.csv`; none if there is no such file.

    A last line without its line break is left out: its writer was killed in the middle of it.

    Raises:
        UsageError: the file is not a plain file, too big, or not a table of finite numbers.
    """
    try:
        text = read_text(path, MONITOR_BYTES)
    except UnreadableFile as error:
        if error.missing:
            return []
        raise
    whole = text[: text.rfind("\n") + 1]
    try:
        rows = csv.DictReader(whole.splitlines())
        episodes = [Episode(float(row["r"]), int(row["l"]), float(row["t"])) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UnreadableFile(path, f"not a table of episodes ({clean(error)})") from None
    for episode in episodes:
        if not (abs(episode.r) < MOST and 0 < episode.l < MOST and 0 <= episode.t < MOST):
            raise UnreadableFile(path, "a number of an episode is impossible")
    return episodes


def unplayed_episodes(verdict: str, timesteps: int, budget: int) -> int:
    """Number of episodes of reward 0 that stand for the timesteps that a run did not play.

    Args:
        verdict: how the run ended; nothing counts against the agent where it was not at fault.
        timesteps: timesteps that were played.
        budget: timesteps of the budget.
    """
    if verdict in NOT_THE_AGENT:
        return 0
    return -(-max(0, budget - timesteps) // TIME_LIMIT)


def run_score(episodes: Sequence[Episode], unplayed: int = 0) -> float | None:
    """Mean reward over all episodes and `unplayed` more of reward 0; None without any."""
    count = len(episodes) + unplayed
    return fsum(episode.r for episode in episodes) / count if count else None


# --- checksums ---


def run_checksum(folder: Path) -> str:
    """SHA-256 over the content of a run's `result.json` and `monitor.csv`, in hexadecimal.

    It is of their values, not of their bytes: line breaks and spaces do not count.

    Args:
        folder: the run's folder, `GAME/STATE/seed-N` in a results folder.

    Raises:
        UsageError: one of the files cannot be read.
    """
    return content_checksum(read_json(folder / RESULT_FILE), read_monitor(folder / MONITOR_FILE))


def content_checksum(result: Any, episodes: Sequence[Episode]) -> str:
    """`run_checksum` of the content of the two files."""
    content = [result, episodes]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def runs_checksum(runs: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the names and checksums of runs, the entries of a summary's `levels`."""
    lines = sorted(
        f"{run['game']}/{run['state']}/seed-{run['seed']} {run['sha256']}\n" for run in runs
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# --- means ---


def level_scores(runs: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """`GAME/STATE` -> the scores of its runs, without those that failed on the contest's side.

    Args:
        runs: contents of `result.json` files, or the entries of a summary's `levels`.
    """
    scores: dict[str, list[float]] = {}
    for run in runs:
        of_level = scores.setdefault(f"{run['game']}/{run['state']}", [])
        if run["verdict"] not in NOT_THE_AGENT:
            of_level.append(run["score"] or 0.0)
    return scores


def mean_score(scores: Mapping[str, list[float]]) -> float | None:
    """Mean over levels of the mean over each level's runs; None without any run."""
    means = [fmean(of_level) for of_level in scores.values() if of_level]
    return fmean(means) if means else None
