"""The library of sections: levels are put together from them.

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
    """A section of a level."""

    name: str
    """the drawing function's name"""
    kind: str
    """`rest` is easy, `obstacle` needs a jump, a wait or a run, `back` cannot be passed by holding
    right only, `routes` has an upper and a lower route"""
    hard: float
    """difficulty, 0 to 1"""
    sky: int
    """rows it needs above the row it starts on"""
    deep: int
    """rows it needs below the row it starts on"""
    draw: Draw
    """puts it on a canvas"""


WIDEST = 44  # columns, of any section
LIBRARY: dict[str, Section] = {}


def section(kind: str, hard: float, *, sky: int = 6, deep: int = 2) -> Callable[[Draw], Draw]:
    """Enter a drawing function into the library under its own name."""

    def enter(draw: Draw) -> Draw:
        LIBRARY[draw.__name__] = Section(draw.__name__, kind, hard, sky, deep, draw)
        return draw

    return enter


def between(rng: Rng, low: int, high: int) -> int:
    """A random whole number from low to high, both included."""
    return int(rng.integers(low, high + 1))


def walker(c: Canvas, x: float, beat: int, hard: float) -> None:
    """A walking enemy that keeps within `beat` columns of x."""
    c.put(WALKER, x, c.row, param=beat * 16, a=1 if hard > 0.35 else 0)
