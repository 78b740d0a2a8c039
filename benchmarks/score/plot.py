"""The pictures of the score benchmark: bars with intervals, learning curves with bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no display needed

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.score import results as score_results
from benchmarks.score.arms import ScoreConfig
from retro_contest.board import statistics

BARS = "score.png"
CURVES = "learning-curves.png"
BINS = 20
LONG = 4500  # timesteps of the longest episode: narrower bins could hold no end of one

# Okabe and Ito's palette, which colour-blind people can tell apart; every arm keeps its colour.
COLOURS = {
    "world-model": "#D55E00",
    "world-model-open": "#E69F00",
    "world-model-strict": "#F0E442",
    "joint-ppo-pixels": "#0072B2",
    "ppo-scratch": "#56B4E9",
    "ppo-scratch-sb3": "#009E73",
    "jerk": "#CC79A7",
    "hold-right": "#7F7F7F",
    "random": "#B8B8B8",
}
VARIANT = "#E8A36B"  # a tint of the world model's
OTHER = "#444444"


def write(results: Path, summary: dict[str, Any], config: ScoreConfig, folder: Path) -> None:
    """Write `score.png` and `learning-curves.png`; neither if there are no runs.

    The bars are of all arms and budgets; the curves of the largest budget only, and without
    variants.
    """
    if not summary["arms"]:
        return
    folder.mkdir(parents=True, exist_ok=True)
    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        _bars(summary, config, folder / BARS)
        timesteps = summary["timesteps"]
        arms = summary["by_timesteps"][str(timesteps)]["arms"]
        found = score_results.read_all(results)[timesteps]
        shown = {name: found[name] for name in arms if not _is_variant(name, config)}
        if shown:
            _curves(shown, timesteps, folder / CURVES)


def _bars(summary: dict[str, Any], config: ScoreConfig, file: Path) -> None:
    """A panel per budget, the largest on top: scores of different budgets are not comparable."""
    budgets = summary["by_timesteps"]
    heights = [_rows(setting["arms"], config)[1][-1] + 1.2 for setting in budgets.values()]
    figure, panels = plt.subplots(
        len(budgets),
        figsize=(8, 0.8 + sum(0.4 + 0.42 * height for height in heights)),
        height_ratios=heights,  # bars are as thick in every panel
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    arms = [arm for setting in budgets.values() for arm in setting["arms"].values()]
    values = [value for arm in arms for value in arm["per_level"].values()]
    top = max(*values, 1)
    for axes, (timesteps, setting) in zip(panels[:, 0], budgets.items(), strict=True):
        _panel_of_bars(axes, setting["arms"], config, top)
        axes.set_title(f"{int(timesteps):,} timesteps per level", loc="left", fontsize=10)
    axes.set_xlim(min(0, *values), top * 1.12)
    intervals = any(arm["ci95"] for arm in arms)
    bar = "mean with 95% interval" if intervals else "mean (one seed: no interval)"
    levels = max(len(arm["per_level"]) for arm in arms)
    axes.set_xlabel(
        "score: mean reward over all episodes of the budget\n"
        f"bar: {bar}; dots: the {levels} held-out levels"
    )
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _panel_of_bars(
    axes: plt.Axes, entries: dict[str, dict[str, Any]], config: ScoreConfig, top: float
) -> None:
    """One bar per arm, the best on top, variants below; dots are the means of single levels."""
    arms, rows = _rows(entries, config)
    if config.reference in entries:
        reference = entries[config.reference]["mean"]
        axes.axvline(reference, color=_colour(config.reference, config), lw=1, ls=":", zorder=0)
    for row, (name, arm) in zip(rows, arms, strict=True):
        axes.barh(row, arm["mean"], color=_colour(name, config), height=0.7)
        values = list(arm["per_level"].values())
        axes.plot(values, [row] * len(values), "o", color="black", alpha=0.35, ms=4, mew=0)
        if arm["ci95"]:
            low, high = arm["ci95"]
            axes.plot([low, high], [row, row], color="black", lw=1.8, solid_capstyle="butt")
            for end in (low, high):
                axes.plot([end, end], [row - 0.18, row + 0.18], color="black", lw=1.8)
        axes.text(top * 1.03, row, f"{arm['mean']:,.0f}", va="center", ha="left")
    axes.set_yticks(rows, [name for name, _ in arms])
    axes.set_ylim(rows[-1] + 0.6, -0.6)  # the best on top


def _rows(
    entries: dict[str, dict[str, Any]], config: ScoreConfig
) -> tuple[list[tuple[str, dict[str, Any]]], list[float]]:
    """A panel's arms from top to bottom, and the height at which each is drawn."""
    arms = sorted(
        entries.items(), key=lambda item: (_is_variant(item[0], config), -item[1]["mean"])
    )
    # Variants stand a little apart from the others, where there are others.
    gap = 0.6 if len({_is_variant(name, config) for name, _ in arms}) > 1 else 0.0
    return arms, [row + gap * _is_variant(name, config) for row, (name, _) in enumerate(arms)]


def _curves(arms: dict[str, list[dict[str, Any]]], timesteps: int, file: Path) -> None:
    """The mean over levels in a large panel, each level in a small one."""
    bins = max(1, min(BINS, timesteps // LONG)) if timesteps >= LONG else 5
    middles = (np.arange(bins) + 0.5) * timesteps / bins
    curves = {name: _by_level(runs, timesteps, bins) for name, runs in arms.items()}
    levels = sorted({level for of_arm in curves.values() for level in of_arm})
    rows = max(1, -(-len(levels) // 2))
    figure = plt.figure(figsize=(12, 1.0 + 2.1 * max(2, rows)), layout="constrained")
    grid = figure.add_gridspec(rows, 4)
    main = figure.add_subplot(grid[:, :2])
    panels = [figure.add_subplot(grid[i // 2, 2 + i % 2]) for i in range(len(levels))]
    bands = False
    for name, of_arm in curves.items():
        colour = COLOURS.get(name, OTHER)
        if len(of_arm) == len(levels):  # a mean over fewer levels would be of something else
            centre, band = statistics.curve_with_band(list(of_arm.values()))
            main.plot(middles, centre, color=colour, lw=2, label=name)
            if band is not None:
                bands = True
                main.fill_between(middles, *band, color=colour, alpha=0.18, lw=0)
        for panel, level in zip(panels, levels, strict=True):
            if level in of_arm:
                centre, band = statistics.curve_with_band([of_arm[level]])
                panel.plot(middles, centre, color=colour, lw=1.3)
                if band is not None:
                    panel.fill_between(middles, *band, color=colour, alpha=0.15, lw=0)
    note = "with 95% bands" if bands else "one seed: no bands"
    main.set_title(f"mean over {len(levels)} held-out levels, {note}", loc="left")
    main.set_xlabel("timestep")
    main.set_ylabel("mean reward of the episodes that end there")
    if main.lines:
        figure.legend(loc="outside lower center", ncols=len(main.lines), frameon=False)
    for panel, level in zip(panels, levels, strict=True):
        panel.set_title(level, loc="left", fontsize=9)
        panel.tick_params(labelsize=8)
    for axes in [main, *panels]:
        axes.set_xlim(0, timesteps)
        axes.xaxis.set_major_locator(plt.MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x else "0")
        axes.grid(axis="y", color="#E5E5E5", lw=0.7)
        axes.set_axisbelow(True)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _by_level(runs: list[dict[str, Any]], timesteps: int, bins: int) -> dict[str, np.ndarray]:
    """Level -> learning curves (runs, bins)."""
    curves: dict[str, list[np.ndarray]] = {}
    for run in runs:
        episodes = run["episodes"]
        curve = statistics.learning_curve(episodes["reward"], episodes["end"], timesteps, bins)
        curves.setdefault(run["level"], []).append(curve)
    return {level: np.stack(of) for level, of in curves.items()}


def _is_variant(name: str, config: ScoreConfig) -> bool:
    return name in config.arms and config.arms[name].variant_of is not None


def _colour(name: str, config: ScoreConfig) -> str:
    return VARIANT if _is_variant(name, config) else COLOURS.get(name, OTHER)
