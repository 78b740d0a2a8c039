"""Charts as SVG inside of a page: sharp at any size, in the page's own colours, light or dark.

Lines and bands take their colours from CSS classes (`c0`, `c1`, ...; `ref`), texts the page's font.
All text is escaped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
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
    kinds = _kinds(lines)
    drawn = [_line(frame, line, x, kind) for line, kind in zip(lines, kinds, strict=True)]
    svg = _svg([frame.rows(), frame.columns(unit), *reversed(drawn)], title)
    return Markup(f"<figure>{svg}{_legend([line.name for line in lines], kinds)}</figure>")


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
    steps = []
    for i, level in enumerate(best):
        steps += [(frame.x(i), frame.y(level)), (frame.x(i + 1), frame.y(level))]
    parts = [frame.rows(), f'<polyline class="ref" points="{_points(steps)}"/>']
    for i, (label, score, interval) in enumerate(points):
        x = f"{frame.x(i + 0.5):.1f}"
        if interval is not None:
            low, high = (f"{frame.y(end):.1f}" for end in interval)
            parts.append(f'<line class="c0" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>')
        text = escape(f"{label}: {score:,.1f}")
        parts.append(
            f'<circle class="c0" cx="{x}" cy="{frame.y(score):.1f}" r="5">'
            f"<title>{text}</title></circle>"
        )
        if len(points) <= 8 or i in (0, len(points) - 1):
            parts.append(_text(frame.x(i + 0.5), HEIGHT - BOTTOM + 20, "middle", label))
    return Markup(f"<figure>{_svg(parts, title)}</figure>")


def interval_bar(score: float | None, interval: Interval | None, top: float) -> Markup:
    """A small bar of a score with its interval, as wide as its place in a table.

    Args:
        top: the score at the right end.
    """
    if score is None or top <= 0:
        return Markup("")
    ends = ""
    if interval is not None:
        low, high = (_percent(end, top) for end in interval)
        ends = f'<rect class="ends" x="{low:.1f}" y="3.5" width="{high - low:.1f}" height="3"/>'
    bar = f'<rect class="score" width="{_percent(score, top):.1f}" height="10"/>'
    # No style attribute: a server's pages forbid them.
    box = 'viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"'
    return Markup(f'<svg class="bar" {box}>{bar}{ends}</svg>')


class _Frame:
    """The place of a chart's values on the canvas."""

    def __init__(self, x: Interval, y: Interval) -> None:
        self._x, self._y = x, y

    def x(self, value: float) -> float:
        low, high = self._x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def rows(self) -> str:
        """Grid lines of the y axis and their numbers."""
        parts = []
        for value in ticks(*self._y, 5):
            y = self.y(value)
            ends = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(f'<line class="grid" {ends}/>')
            parts.append(_text(LEFT - 8, y + 4, "end", f"{value:,.0f}"))
        return "".join(parts)

    def columns(self, unit: str) -> str:
        """Numbers of the x axis and their unit."""
        parts = [_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", unit)]
        for value in ticks(*self._x, 5):
            anchor = "end" if self.x(value) > WIDTH - RIGHT - 20 else "middle"
            parts.append(_text(self.x(value), HEIGHT - BOTTOM + 18, anchor, f"{value:,.0f}"))
        return "".join(parts)


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


def _line(frame: _Frame, line: Line, x: Sequence[float], kind: str) -> str:
    known = np.flatnonzero(~np.isnan(line.y)).tolist()
    places = [(frame.x(x[i]), frame.y(line.y[i])) for i in known]
    band = ""
    if line.band is not None and len(places) > 1:
        low, high = line.band
        around = [(frame.x(x[i]), frame.y(high[i])) for i in known]
        around += [(frame.x(x[i]), frame.y(low[i])) for i in reversed(known)]
        band = f'<polygon class="band {kind}" points="{_points(around)}"/>'
    dot = ""
    if len(places) == 1:
        ((cx, cy),) = places
        dot = f'<circle class="{kind}" cx="{cx:.1f}" cy="{cy:.1f}" r="4"/>'
    points = f'<polyline class="{kind}" points="{_points(places)}">'
    return f"{band}{points}<title>{escape(line.name)}</title></polyline>{dot}"


def _kinds(lines: Sequence[Line]) -> list[str]:
    """The class of each line: a colour of its own, or for a reference a way to be dashed."""
    colours, dashes = itertools.count(), itertools.count()
    return [
        f"ref r{next(dashes)}" if line.reference else f"c{min(next(colours), COLOURS - 1)}"
        for line in lines
    ]


def _legend(names: Sequence[str], kinds: Sequence[str]) -> str:
    items = "".join(
        '<li><svg viewBox="0 0 32 10" aria-hidden="true">'
        f'<line class="{kind}" x1="0" x2="32" y1="5" y2="5"/></svg>{escape(name)}</li>'
        for name, kind in zip(names, kinds, strict=True)
    )
    return f'<ul class="legend">{items}</ul>'


def _svg(parts: Sequence[str], title: str) -> str:
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg role="img" {box} aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _text(x: float, y: float, anchor: str, text: str) -> str:
    place = f'text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}"'
    return f'<text class="tick" {place}>{escape(text)}</text>'


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _percent(value: float, top: float) -> float:
    return 100 * max(0.0, min(1.0, value / top))
