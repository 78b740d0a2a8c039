"""Charts as SVG inside of a page: sharp at any size, in the page's own colours, light or dark.

Lines and bands take their colours from CSS classes (`c0`, `c1`, ...; `ref`), texts the page's font.
All text is escaped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from retro_contest.board.statistics import Interval

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 44
COLOURS = 8
"""classes `c0` to `c7`; more lines than that are not told apart"""


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    name: str
    """for the legend"""
    y: np.ndarray
    """`(N,)`, NaN where nothing is known"""
    band: np.ndarray | None = None
    """`(2, N)`: lower and upper end of an interval at each point"""
    reference: bool = False
    """whether it is drawn thin and grey, behind the others"""


def line_chart(lines: Sequence[Line], x: Sequence[float], title: str, unit: str) -> Markup:
    """Lines over a common x axis that begins at 0.

    Args:
        lines: the first is drawn on top.
        x: `(N,)`, ascending.
        title: for those who cannot see it.
        unit: what the x axis counts.
    """
    known = [line.y for line in lines]
    known += [line.band for line in lines if line.band is not None]
    values = np.concatenate([np.ravel(of) for of in known])
    frame = _Frame((0.0, float(x[-1])), _span(values))
    parts = [frame.axes(unit, lambda value: f"{value:,.0f}")]
    kinds = _kinds(lines)
    parts += reversed(
        [_line(frame, line, x, kind) for line, kind in zip(lines, kinds, strict=True)]
    )
    legend = _legend([line.name for line in lines], kinds)
    return Markup("<figure>") + _svg(parts, title) + legend + Markup("</figure>")


def history_chart(
    points: Sequence[tuple[str, float, Interval | None]], best: Sequence[float], title: str
) -> Markup:
    """Scores one after the other with their intervals, and a step line of the best so far.

    Args:
        points: label, score and 95% interval, the oldest first.
        best: the highest score until then.
        title: for those who cannot see it.
    """
    ends = [end for _, _, interval in points for end in interval or ()]
    values = np.array([*(score for _, score, _ in points), *ends])
    frame = _Frame((0.0, float(len(points))), _span(values))
    parts = [frame.axes("", None)]
    steps = []
    for i, level in enumerate(best):
        steps += [(frame.x(i), frame.y(level)), (frame.x(i + 1), frame.y(level))]
    parts.append(Markup('<polyline class="ref" points="{}"/>').format(_points(steps)))
    for i, (label, score, interval) in enumerate(points):
        x = frame.x(i + 0.5)
        if interval is not None:
            low, high = (frame.y(end) for end in interval)
            parts.append(
                Markup(
                    '<line class="c0" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>'
                ).format(x, low, high)
            )
        parts.append(
            Markup(
                '<circle class="c0" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}</title></circle>'
            ).format(x, frame.y(score), f"{label}: {score:,.1f}")
        )
        if len(points) <= 8 or i in (0, len(points) - 1):
            parts.append(
                Markup(
                    '<text class="tick" text-anchor="middle" x="{:.1f}" y="{}">{}</text>'
                ).format(x, HEIGHT - BOTTOM + 20, label)
            )
    return Markup("<figure>") + _svg(parts, title) + Markup("</figure>")


def interval_bar(score: float | None, interval: Interval | None, top: float) -> Markup:
    """A small bar of a score with its interval, as wide as its place in a table.

    Args:
        top: the score at the right end.
    """
    if score is None or top <= 0:
        return Markup("")
    width = _percent(score, top)
    bar = Markup('<span class="bar"><i style="width:{:.1f}%"></i>').format(width)
    if interval is not None:
        low, high = (_percent(end, top) for end in interval)
        bar += Markup('<b style="left:{:.1f}%;width:{:.1f}%"></b>').format(low, high - low)
    return bar + Markup("</span>")


class _Frame:
    """The place of a chart's values on the canvas."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def x(self, value: float) -> float:
        low, high = self._x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def axes(self, unit: str, of_x: Callable[[float], str] | None) -> Markup:
        """Grid lines and their numbers; the x axis only with a way to write its numbers."""
        parts = []
        for value in ticks(*self._y, 5):
            y = self.y(value)
            parts.append(
                Markup(
                    '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
                    '<text class="tick" text-anchor="end" x="{}" y="{:.1f}">{}</text>'
                ).format(LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, f"{value:,.0f}")
            )
        if of_x is not None:
            numbers = ticks(*self._x, 5)
            for value in numbers:
                anchor = "end" if self.x(value) > WIDTH - RIGHT - 20 else "middle"
                parts.append(
                    Markup(
                        '<text class="tick" text-anchor="{}" x="{:.1f}" y="{}">{}</text>'
                    ).format(anchor, self.x(value), HEIGHT - BOTTOM + 18, of_x(value))
                )
            parts.append(
                Markup(
                    '<text class="tick" text-anchor="middle" x="{:.1f}" y="{}">{}</text>'
                ).format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, unit)
            )
        return Markup("").join(parts)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`, about as many as asked for."""
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= about)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _span(values: np.ndarray) -> tuple[float, float]:
    """An axis for some values: 0 belongs to it, and it is never empty."""
    values = values[~np.isnan(values)]
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    return (low, high + 0.05 * (high - low)) if high > low else (0.0, 1.0)


def _line(frame: _Frame, line: Line, x: Sequence[float], kind: str) -> Markup:
    known = np.flatnonzero(~np.isnan(line.y)).tolist()
    places = [(frame.x(x[i]), frame.y(line.y[i])) for i in known]
    drawn = Markup("")
    if line.band is not None and len(places) > 1:
        low, high = line.band
        around = [(frame.x(x[i]), frame.y(high[i])) for i in known]
        around += [(frame.x(x[i]), frame.y(low[i])) for i in reversed(known)]
        drawn += Markup('<polygon class="band {}" points="{}"/>').format(kind, _points(around))
    drawn += Markup('<polyline class="{}" points="{}"><title>{}</title></polyline>').format(
        kind, _points(places), line.name
    )
    if len(places) == 1:
        ((cx, cy),) = places
        drawn += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(kind, cx, cy)
    return drawn


def _kinds(lines: Sequence[Line]) -> list[str]:
    """The class of each line: a colour of its own, or for a reference a way to be dashed."""
    colours, dashes = itertools.count(), itertools.count()
    return [
        f"ref r{next(dashes)}" if line.reference else f"c{min(next(colours), COLOURS - 1)}"
        for line in lines
    ]


def _legend(names: Sequence[str], kinds: Sequence[str]) -> Markup:
    key = Markup(
        '<li><svg viewBox="0 0 32 10" aria-hidden="true">'
        '<line class="{}" x1="0" x2="32" y1="5" y2="5"/></svg>{}</li>'
    )
    items = [key.format(kind, name) for name, kind in zip(names, kinds, strict=True)]
    return Markup('<ul class="legend">') + Markup("").join(items) + Markup("</ul>")


def _svg(parts: Sequence[Markup], title: str) -> Markup:
    head = Markup('<svg role="img" viewBox="0 0 {} {}" aria-label="{}">').format(
        WIDTH, HEIGHT, escape(title)
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _percent(value: float, top: float) -> float:
    return 100 * max(0.0, min(1.0, value / top))
