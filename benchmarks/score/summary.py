"""From the result files of the score benchmark to `summary.json` and a Markdown table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.score import results as score_results
from benchmarks.score import statistics
from benchmarks.score.arms import ScoreConfig, pretraining_timesteps
from retro_common.files import write_atomically
from retro_common.provenance import git_commit
from retro_contest.runs.verdicts import COMPLETED

Runs = list[dict[str, Any]]
SUMMARY = "summary.json"
TABLE = "summary.md"
EARLY = 150_000
"""timesteps in which fine-tuning must not do worse than the agent did before"""
PARTS = 4
"""of the budget, or of its first EARLY timesteps, for which that is looked at"""


def summarise(results: Path, config: ScoreConfig) -> dict[str, Any]:
    """Write `summary.json` and `summary.md` from all result files; returns the summary.

    Budgets are kept apart: `by_timesteps` has one entry for each, and arms are compared within one
    only. For convenience, `arms` holds each arm at the largest budget it was played with (its
    `timesteps` says which), and `comparisons` those at the largest budget two arms have in common.
    An arm whose runs are not of one and the same agent is left out and named in `mixed`.
    """
    mixed: dict[str, str] = {}
    settings: dict[int, dict[str, Any]] = {}
    for timesteps, found in sorted(score_results.read_all(results).items(), reverse=True):
        arms = {}
        for name in sorted(found, key=lambda name: _place(name, config)):
            if told := score_results.mixture(found[name]):
                mixed[f"{timesteps}/{name}"] = told
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
    summary = {
        "reference": config.reference,
        "timesteps": max(settings, default=None),
        "arms": {name: arms[name] for name in names},
        "comparisons": [comparisons[name] for name in names if name in comparisons],
        "by_timesteps": {str(timesteps): setting for timesteps, setting in settings.items()},
        "mixed": mixed,
        "intervals": "95% stratified bootstrap, percentiles of "
        f"{statistics.RESAMPLES} resamples of the runs within each level",
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git_commit(),
    }
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(results / SUMMARY, (json.dumps(summary, indent=2) + "\n").encode())
    write_atomically(results / TABLE, markdown(summary).encode())
    return summary


def entry(runs: Runs, timesteps: int) -> dict[str, Any]:
    """What the summary says of an arm."""
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
        "runs": len(runs),
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
        "commits": sorted({run["commit"] for run in runs}),
        "codes": sorted({run["code"] for run in runs}),
    }


def by_level(runs: Iterable[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Level -> the scores of its runs by seed; a run without an episode counts as 0."""
    scores: dict[str, list[float]] = {}
    for run in sorted(runs, key=lambda run: (run["level"], run["seed"])):
        scores.setdefault(run["level"], []).append(run["score"] or 0.0)
    return {level: np.array(of) for level, of in scores.items()}


def _updates(runs: Runs) -> float | None:
    """Mean number of learning updates of a run, where the agent tells it."""
    told = [run["fine_tuned"]["updates"] for run in runs if run.get("fine_tuned")]
    return float(np.mean(told)) if told else None


def _comparisons(
    arms: Mapping[str, Runs], timesteps: int, config: ScoreConfig
) -> list[dict[str, Any]]:
    """The reference of each arm against it, on the levels that both have played."""
    comparisons = []
    for name, runs in arms.items():
        variant = name in config.arms and config.arms[name].variant_of
        reference = variant or config.reference
        if reference not in arms:
            continue
        mine, theirs = by_level(arms[reference]), by_level(runs)
        levels = sorted(mine.keys() & theirs.keys())
        if name == reference or not levels:
            continue
        ours, others = [mine[level] for level in levels], [theirs[level] for level in levels]
        intervals = [statistics.interval(ours), statistics.interval(others)]
        comparisons.append(
            {
                "arm": reference,
                "against": name,
                "timesteps": timesteps,
                "levels": levels,
                "ratio": statistics.ratio(ours, others),
                "ratio_ci95": statistics.ratio_interval(ours, others),
                "means": [float(statistics.mean(ours)), float(statistics.mean(others))],
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


def markdown(summary: dict[str, Any]) -> str:
    """Tables for the README: one per budget, what all of it means below."""
    parts = [
        _tables(int(timesteps), setting, summary["reference"])
        for timesteps, setting in summary["by_timesteps"].items()
    ]
    notes = [
        "Score: mean reward over all episodes of the budget; mean over levels. Intervals: "
        f"{summary['intervals']}.",
        *(f"Left out: {name}: its runs are of different agents ({why})." for name, why in
          summary["mixed"].items()),
    ]  # fmt: skip
    return "\n".join([*parts, *notes]) + "\n"


def _tables(timesteps: int, setting: dict[str, Any], reference: str) -> str:
    arms, against = setting["arms"], {of["against"]: of for of in setting["comparisons"]}
    if not arms:
        return ""
    levels = sorted({level for arm in arms.values() for level in arm["per_level"]})
    overall = [
        ["arm", "mean", "95% interval", "interquartile mean", f"{reference} ÷ it", "apart",
         "runs", "pretraining timesteps", "hours", "timesteps/s"]
    ]  # fmt: skip
    each = [["arm", *levels]]
    for name, arm in arms.items():
        comparison = against.get(name)
        ratio = apart = ""
        if comparison is not None:
            ratio = f"{_number(comparison['ratio'], 2)} {_range(comparison['ratio_ci95'], 2)}"
            apart = {True: "yes", False: "no", None: "–"}[comparison["intervals_apart"]]
            if comparison["arm"] != reference:
                ratio = f"{comparison['arm']} ÷ it: {ratio}"
            if len(comparison["levels"]) < len(levels):
                ratio += f" on {len(comparison['levels'])} of {len(levels)} levels"
        failed = f" ({len(arm['failed'])} failed)" if arm["failed"] else ""
        overall.append(
            [name, _number(arm["mean"]), _range(arm["ci95"]), _number(arm["iqm"]), ratio.strip(),
             apart, f"{arm['runs']}{failed}", f"{arm['pretraining_timesteps']:,}",
             f"{arm['hours']:.2f}", _number(arm["timesteps_per_second"])]
        )  # fmt: skip
        each.append([name, *(_number(arm["per_level"].get(level)) for level in levels)])
    title = f"### {timesteps:,} timesteps per run\n"
    parts = [title, _table(overall), "", "Per level:", "", _table(each), ""]
    if learning := setting["while_learning"]:
        rows = [[f"{reference} ÷ {learning['against']}", *_parts(learning)]]
        head = ["while it learns", *(f"to {until:,}" for until in learning["until_timestep"])]
        parts += ["Part by part of the budget:", "", _table([head, *rows]), ""]
    return "\n".join(parts)


def _parts(learning: Mapping[str, Any]) -> list[str]:
    intervals = learning["ratio_ci95"] or [None] * len(learning["ratio"])
    return [
        f"{ratio:.2f} {_range(interval, 2)}"
        for ratio, interval in zip(learning["ratio"], intervals, strict=True)
    ]


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _range(interval: tuple[float, float] | None, digits: int = 0) -> str:
    return "–" if interval is None else f"({interval[0]:,.{digits}f} to {interval[1]:,.{digits}f})"


def _place(name: str, config: ScoreConfig) -> tuple[int, str]:
    """Arms come in the order of the configuration; those it does not know come last."""
    names = list(config.arms)
    return (names.index(name) if name in names else len(names), name)
