"""The figures of the score benchmark: from its stored runs to `summary.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.score import results as score_results
from benchmarks.score.arms import ScoreConfig, pretraining_timesteps
from retro_common.files import write_json
from retro_common.provenance import provenance
from retro_contest.board import statistics
from retro_contest.board.boards import BINS
from retro_contest.runs.verdicts import COMPLETED

Runs = list[score_results.StoredRun]
SUMMARY = "summary.json"
EARLY = 150_000
"""first timesteps, in which an agent that learns is compared with itself without learning"""
LENGTH_POINTS = 9000
"""points for a level's whole length; its end pays a bonus for the time"""
PARTS = 4
"""equal parts of the budget, or of its first EARLY timesteps, for that comparison"""


def summarise(results: Path, config: ScoreConfig) -> dict[str, Any]:
    """The summary of all stored runs of a folder, ready for JSON.

    Budgets are kept apart: `by_timesteps` has one entry for each, and arms are compared within one
    only. For convenience, `arms` holds each arm at the largest budget it was played with (its
    `timesteps`), and `comparisons` those at the largest budget two arms have in common. An arm
    whose runs are not of one and the same agent is left out and named in `mixed`.

    Raises:
        UsageError: a file of runs is damaged.
    """
    mixed: dict[str, str] = {}
    settings: dict[int, dict[str, Any]] = {}
    for timesteps, found in sorted(score_results.read_all(results).items(), reverse=True):
        arms = {}
        for name in sorted(found, key=lambda name: _place(name, config)):
            if why := score_results.mixture(found[name]):
                mixed[f"{timesteps}/{name}"] = why
            else:
                arms[name] = found[name]
        settings[timesteps] = {
            "arms": {name: entry(runs, timesteps) for name, runs in arms.items()},
            "comparisons": _comparisons(arms, timesteps, config),
            "while_learning": _while_learning(arms, timesteps, config),
        }
    arms, comparisons = {}, {}
    for setting in settings.values():  # the largest budget first
        for name, value in setting["arms"].items():
            arms.setdefault(name, value)
        for comparison in setting["comparisons"]:
            comparisons.setdefault(comparison["against"], comparison)
    names = sorted(arms, key=lambda name: _place(name, config))
    return {
        "reference": config.reference,
        "timesteps": max(settings, default=None),
        "arms": {name: arms[name] for name in names},
        "comparisons": [comparisons[name] for name in names if name in comparisons],
        "by_timesteps": {str(timesteps): setting for timesteps, setting in settings.items()},
        "tracks": {track: _track(settings, config, track) for track in ("strict", "open")},
        "mixed": mixed,
        "intervals": "95% stratified bootstrap, percentiles of "
        f"{statistics.RESAMPLES} resamples of the runs within each level",
    }


def write(summary: dict[str, Any], results: Path) -> None:
    """Write `summary.json`, with the commit and versions of the code that computed it."""
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / SUMMARY, {**summary, **provenance()})


def reference_entries(results: Path, config: ScoreConfig) -> list[dict[str, Any]]:
    """The arms with a label as reference rows of a board, see `retro_contest.board.references`."""
    entries = []
    for timesteps, found in sorted(score_results.read_all(results).items()):
        for name, arm in config.arms.items():
            if arm.label is None or name not in found or score_results.mixture(found[name]):
                continue
            runs = sorted(found[name], key=lambda run: (run["level"], run["seed"]))
            scores: dict[str, list[float]] = {}
            curves: dict[str, list[list[int]]] = {}
            for run in runs:
                level = f"{run['config']['game']}/{run['config']['state']}"
                of = run["episodes"]
                curve = statistics.learning_curve(of["reward"], of["end"], timesteps, BINS)
                scores.setdefault(level, []).append(round(run["score"] or 0.0, 1))
                curves.setdefault(level, []).append([round(value) for value in curve])
            commits = ", ".join(sorted({run["commit"] for run in runs}))
            entries.append(
                {
                    "name": arm.label,
                    "source": f"this kit's benchmark: arm {name}, commit {commits}",
                    "timesteps": timesteps,
                    "scores": scores,
                    "curves": curves,
                }
            )
    return entries


def entry(runs: Runs, timesteps: int) -> dict[str, Any]:
    """The figures of one arm at one budget."""
    scores = by_level(runs)
    arrays = list(scores.values())
    bundle = runs[0]["bundle"]
    counted = bundle["pretraining_timesteps"] if bundle else {}
    seconds = sum(run["seconds"] for run in runs)
    return {
        "mean": float(statistics.mean(arrays)),
        "ci95": statistics.interval(arrays),
        "iqm": float(statistics.interquartile_mean(arrays)),
        "iqm_ci95": statistics.interval(arrays, statistics.interquartile_mean),
        "per_level": {level: float(of.mean()) for level, of in scores.items()},
        "finish_share": finish_share(runs),
        "runs": len(runs),
        "pretrainings": _pretrainings(runs),
        "randomness": score_results.randomness(runs),
        "scores": {level: of.tolist() for level, of in scores.items()},
        "timesteps": timesteps,
        "timesteps_played": sum(run["timesteps"] for run in runs),
        "episodes": sum(len(run["episodes"]["reward"]) for run in runs),
        "hours": round(seconds / 3600, 3),
        "timesteps_per_second": round(sum(run["timesteps"] for run in runs) / seconds, 1)
        if seconds
        else None,
        "updates_per_run": _updates(runs),
        "pretraining_timesteps": pretraining_timesteps(counted),
        "pretraining_timesteps_of": counted,
        "failed": [
            f"{run['level']} seed {run['seed']}: {run['verdict']}: {run['reason']}"
            for run in runs
            if run["verdict"] != COMPLETED
        ],
        "bundle": bundle and {key: bundle[key] for key in ("path", "commit", "weights")},
        "commits": sorted({run["commit"] for run in runs}),
        "played": [min(run["started"] for run in runs), max(run["started"] for run in runs)],
        "codes": sorted({run["code"] for run in runs}),
    }


def _pretrainings(runs: Runs) -> int:
    """How many pretrained bundles the runs played with."""
    configs = [run["config"] for run in runs if run["config"]["untrained"] is None]
    return len({config["bundle"] for config in configs if config["bundle"] is not None})


def finish_share(runs: Runs) -> float:
    """Share of the episodes that reached the level's end: they have all points of its length."""
    rewards = [reward for run in runs for reward in run["episodes"]["reward"]]
    return float(np.mean([reward >= LENGTH_POINTS for reward in rewards])) if rewards else 0.0


def _track(
    settings: Mapping[int, dict[str, Any]], config: ScoreConfig, track: str
) -> dict[str, dict[str, Any]]:
    """The arms of a track by budget, without the track in their names: `arm` has the whole name.

    Where two then have one name, the later one of the configuration counts.
    """
    taken = ("mean", "ci95", "finish_share", "per_level", "runs", "pretrainings")
    tables: dict[str, dict[str, Any]] = {}
    for timesteps, setting in settings.items():
        for name, value in setting["arms"].items():
            if name in config.arms and config.arms[name].track in (track, "both"):
                table = tables.setdefault(str(timesteps), {})
                row = {"arm": name} | {key: value[key] for key in taken}
                table[name.removesuffix(f"-{track}")] = row
    return tables


def by_level(runs: Iterable[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Level -> the scores of its runs by seed; a run without an episode counts as 0."""
    scores: dict[str, list[float]] = {}
    for run in sorted(runs, key=lambda run: (run["level"], run["seed"])):
        scores.setdefault(run["level"], []).append(run["score"] or 0.0)
    return {level: np.array(of) for level, of in scores.items()}


def _updates(runs: Runs) -> float | None:
    """Mean number of learning updates of a run; None where the agent does not report it."""
    counts = [run["fine_tuned"]["updates"] for run in runs if run.get("fine_tuned")]
    return float(np.mean(counts)) if counts else None


def _comparisons(
    arms: Mapping[str, Runs], timesteps: int, config: ScoreConfig
) -> list[dict[str, Any]]:
    """Each arm against its reference, on the levels that both have played."""
    comparisons = []
    for name, runs in arms.items():
        variant = name in config.arms and config.arms[name].variant_of
        reference = variant or config.reference
        if reference not in arms:
            continue
        of_reference, of_arm = by_level(arms[reference]), by_level(runs)
        levels = sorted(of_reference.keys() & of_arm.keys())
        if name == reference or not levels:
            continue
        dividend = [of_reference[level] for level in levels]
        divisor = [of_arm[level] for level in levels]
        intervals = [statistics.interval(dividend), statistics.interval(divisor)]
        comparisons.append(
            {
                "arm": reference,
                "against": name,
                "timesteps": timesteps,
                "levels": levels,
                "ratio": statistics.ratio(dividend, divisor),
                "ratio_ci95": statistics.ratio_interval(dividend, divisor),
                "means": [float(statistics.mean(dividend)), float(statistics.mean(divisor))],
                "ci95": intervals,
                "intervals_apart": statistics.apart(*intervals),
            }
        )
    return comparisons


def _while_learning(
    arms: Mapping[str, Runs], timesteps: int, config: ScoreConfig
) -> dict[str, Any] | None:
    """The reference while it learns against itself without learning; None without both arms."""
    if not {config.reference, config.pretrained} <= arms.keys():
        return None
    still = by_level(arms[config.pretrained])
    bins = PARTS * max(1, -(-timesteps // EARLY))
    curves: dict[str, list[np.ndarray]] = {}
    for run in arms[config.reference]:
        if run["level"] in still:
            episodes = run["episodes"]
            curve = statistics.learning_curve(episodes["reward"], episodes["end"], timesteps, bins)
            curves.setdefault(run["level"], []).append(curve[:PARTS])
    if not curves or statistics.mean([still[level] for level in curves]) <= 0:
        return None
    ratios, intervals = statistics.while_learning(
        [np.array(of) for of in curves.values()], [still[level] for level in curves]
    )
    return {
        "against": config.pretrained,
        "until_timestep": [round((part + 1) * timesteps / bins) for part in range(PARTS)],
        "ratio": ratios.tolist(),
        "ratio_ci95": None if np.isnan(intervals).any() else intervals.T.tolist(),
        "lowest": float(ratios.min()),
    }


def _place(name: str, config: ScoreConfig) -> tuple[int, str]:
    """The order of the configuration; arms that it does not have come last, by name."""
    names = list(config.arms)
    return (names.index(name) if name in names else len(names), name)
