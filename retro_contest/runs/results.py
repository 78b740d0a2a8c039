"""The files of a results folder, and what a score is.

A results folder holds ``summary.json`` and, for each run (one level with one seed), a folder
``GAME/STATE/seed-N`` with ``result.json``, ``monitor.csv``, ``log.csv``, the logs of both sides and
the agent's output folder ``out``.

**Scores.** The score of a run is the mean reward over all episodes that it played within its
budget, the one that the end of the budget cut off included: ``monitor.csv`` holds them all. A run
without an episode has no score (``null``) and counts as 0 in every mean: an agent that fails on a
level gains nothing by failing early. The score of a level is the mean over its seeds, the score of
a submission the mean over its levels. Runs that failed through no fault of the agent (verdicts
``interrupted`` and ``server failed``) are left out of the means and make the summary incomplete.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from retro_contest.runs.verdicts import NOT_THE_AGENT

RESULT_FILE = "result.json"
SUMMARY_FILE = "summary.json"


class Episode(NamedTuple):
    """One row of ``monitor.csv``: reward, length in agent steps, seconds since the first reset."""

    r: float
    l: int  # noqa: E741 - the contest's name for it
    t: float


def read_monitor(path: Path) -> list[Episode]:
    """The episodes of a ``monitor.csv``; none if there is no such file.

    A last line without its line break is left out: its writer was killed in the middle of it.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(whole.splitlines())
    return [Episode(float(row["r"]), int(row["l"]), float(row["t"])) for row in rows]


def run_score(episodes: Iterable[Episode]) -> float | None:
    """Mean reward over all episodes; None without any."""
    rewards = [episode.r for episode in episodes]
    return fmean(rewards) if rewards else None


def level_scores(runs: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """``GAME/STATE`` -> the scores of its runs, without those that say nothing of the agent.

    Args:
        runs: contents of ``result.json`` files, or the entries of a summary's ``levels``.
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
