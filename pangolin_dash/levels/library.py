"""The library of sections that levels are put together from.

A section starts and ends on level ground, draws itself at the canvas's cursor, and can be passed by
construction: every jump in it is well inside what the pangolin can do (it jumps 5 blocks high, 11
wide from a standstill and 20 wide at full speed, climbs 9 rows of steep slope with a full run-up).
`hard` runs from 0 (the first act) to 1 (the last).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pangolin_dash.levels.canvas import WALKER, Canvas

Rng = np.random.Generator
Draw = Callable[[Canvas, Rng, float], None]


@dataclass(frozen=True)
class Section:
    """A section of a level.

    Attributes:
        name: the drawing function's name.
        kind: `rest` is easy going, `obstacle` needs a jump, a wait or a run, `back` stops for
            good who only holds right, `ways` has an upper and a lower route.
        hard: 0 to 1.
        sky, deep: rows it needs above and below the row it starts on.
        draw: puts it on a canvas.
    """

    name: str
    kind: str
    hard: float
    sky: int
    deep: int
    draw: Draw


WIDEST = 44  # columns, of any section


LIBRARY: dict[str, Section] = {}


def section(kind: str, hard: float, *, sky: int = 6, deep: int = 2) -> Callable[[Draw], Draw]:
    """Enter a drawing function into the library under its own name."""

    def enter(draw: Draw) -> Draw:
        LIBRARY[draw.__name__] = Section(draw.__name__, kind, hard, sky, deep, draw)
        return draw

    return enter


def between(rng: Rng, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(rng.integers(low, high + 1))


def walker(c: Canvas, x: float, beat: int, hard: float) -> None:
    """A walking enemy that keeps within `beat` columns of x."""
    c.put(WALKER, x, c.row, param=beat * 16, a=1 if hard > 0.35 else 0)
