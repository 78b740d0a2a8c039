"""The leaderboard's pictures, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from retro_common.text import clean

MOST_BARS = 20
MOST_CURVES = 8
NAME = 40  # characters of a submission's name
FEW_POINTS = 12  # a curve of fewer points gets markers
INK = "#1f2933"
FAINT = "#d9dee4"
COLOURS = (
    "#2f6f9f",
    "#d1762b",
    "#3c8d5a",
    "#b5435a",
    "#7a5ea8",
    "#8a6d3b",
    "#3aa0a0",
    "#8892a0",
)


def score_bars(rows: Sequence[tuple[str, float, tuple[float, float] | None]]) -> bytes:
    """Scores as bars, the first on top, with intervals where there are some; a PNG.

    Args:
        rows: name, score, 95% interval or None.
    """
    rows = rows[:MOST_BARS]
    figure = Figure(figsize=(8, 0.8 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    scores = np.array([score for _, score, _ in rows])
    colours = [COLOURS[i % len(COLOURS)] for i in places]
    axes.barh(places, scores, color=colours, height=0.66)
    reach = scores.copy()
    for place, score, (_, _, interval) in zip(places, scores, rows, strict=True):
        if interval is not None:
            low, high = interval
            errors = [[score - low], [high - score]]
            axes.errorbar(score, place, xerr=errors, color=INK, capsize=4, linewidth=1.4)
            reach[place] = max(score, high)
        label = f"{score:,.0f}"
        axes.annotate(
            label, (reach[place], place), (7, 0), textcoords="offset points", va="center", color=INK
        )
    # Not as a formula, whatever a name has between dollar signs.
    axes.set_yticks(places, [clean(name, NAME) for name, _, _ in rows], parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("score: mean reward per episode, mean over levels")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _style(axes, "x")
    return _png(figure)


def learning_curves(curves: Sequence[tuple[str, np.ndarray, np.ndarray]], budget: int) -> bytes:
    """Mean episode reward over the budget, one line each; a PNG.

    Args:
        curves: name, timesteps of shape `(N,)`, rewards of shape `(N,)` with NaN for unknown.
        budget: timesteps of the budget: the end of the axis.
    """
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for i, (_, timesteps, rewards) in enumerate(curves[:MOST_CURVES]):
        marker = "o" if np.count_nonzero(~np.isnan(rewards)) < FEW_POINTS else None
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(timesteps, rewards, color=colour, linewidth=2, marker=marker)
    axes.set_xlim(0, budget)
    axes.set_xlabel("timesteps of the budget")
    axes.set_ylabel("episode reward")
    for axis in (axes.xaxis, axes.yaxis):
        # As many digits as the ticks need to differ, up to seven.
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7g}"))
    legend = axes.legend(
        axes.lines,
        [f"submission {i}" for i in range(len(axes.lines))],
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        labelcolor=INK,
    )
    # Set afterwards: a legend leaves out labels that begin with an underscore.
    for text, (name, *_) in zip(legend.get_texts(), curves, strict=False):
        text.set_parse_math(False)
        text.set_text(clean(name, NAME))
    _style(axes, "both")
    return _png(figure)


def _style(axes: Axes, grid: Literal["x", "both"]) -> None:
    axes.grid(axis=grid, color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()
