"""The files of a results folder, and the definition of a score.

A results folder holds `summary.json` and, for each run (one level with one seed), a folder
`GAME/STATE/seed-N` with `result.json`, `monitor.csv`, `log.csv`, the logs of both sides and
the agent's output folder `out`.

**Scores.** The score of a run is the mean reward over all episodes that it played within its
budget, the one that the end of the budget cut off included: `monitor.csv` holds them all. A run
without an episode has no score (`null`) and counts as 0 in every mean: an agent that fails on a
level gains nothing by failing early. The score of a level is the mean over its seeds, the score of
a submission the mean over its levels. Runs that failed through no fault of the agent (verdicts
`interrupted` and `server failed`) are left out of the means and make the summary incomplete.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from retro_common.errors import UsageError, cut
from retro_common.files import UnreadableFile, read_text
from retro_contest.runs.verdicts import NOT_THE_AGENT

RESULT_FILE = "result.json"
SUMMARY_FILE = "summary.json"
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
        raise UnreadableFile(path, f"not a table of episodes ({cut(error)})") from None
    for episode in episodes:
        if not (abs(episode.r) < MOST and 0 < episode.l < MOST and 0 <= episode.t < MOST):
            raise UnreadableFile(path, "a number of an episode is impossible")
    return episodes


def run_score(episodes: Iterable[Episode]) -> float | None:
    """Mean reward over all episodes; None without any."""
    rewards = [episode.r for episode in episodes]
    return fmean(rewards) if rewards else None


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
