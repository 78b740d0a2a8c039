"""The library of sections that levels are put together from.

A section starts and ends on level ground, draws itself at the canvas's cursor, and can be passed by
construction: every jump in it is well inside what the pangolin can do (it jumps 5 blocks high, 11
wide from a standstill and 20 wide at full speed, climbs 9 rows of steep slope with a full run-up).
``hard`` runs from 0 (the first act) to 1 (the last).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from game.levels.canvas import (
    CRUMBLE,
    FLYER,
    LEVER,
    PLATFORM,
    ROWS,
    SPIKES,
    SPRING_SIDE,
    SPRING_UP,
    WALKER,
    Canvas,
)

Rng = np.random.Generator
Draw = Callable[[Canvas, Rng, float], None]


@dataclass(frozen=True)
class Section:
    """A section of a level.

    Attributes:
        name: the drawing function's name.
        kind: ``rest`` is easy going, ``obstacle`` needs a jump, a wait or a run, ``back`` stops for
            good who only holds right, ``ways`` has an upper and a lower route.
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
    """A walking enemy that keeps within ``beat`` columns of x."""
    c.put(WALKER, x, c.row, param=beat * 16, a=1 if hard > 0.35 else 0)


# ---- open ground ------------------------------------------------------------------------------


@section("rest", 0.0)
def meadow(c: Canvas, rng: Rng, hard: float) -> None:
    """Level ground with rings and perhaps somebody walking."""
    n = between(rng, 8, 13)
    x = c.flat(n)
    c.ring_line(x + 2, c.row - 1.0, between(rng, 2, 4))
    if rng.random() < 0.3 + hard * 0.5:
        walker(c, x + n - 4, 2, hard)


@section("rest", 0.0)
def hills(c: Canvas, rng: Rng, hard: float) -> None:
    """A gentle rise, a crest with rings, a gentle fall."""
    rows = between(rng, 2, 4)
    c.up22(rows)
    x = c.flat(between(rng, 3, 6))
    c.ring_line(x + 0.5, c.row - 1.0, 3)
    c.down22(rows)
    c.flat(3)


@section("rest", 0.1)
def steep_hill(c: Canvas, rng: Rng, hard: float) -> None:
    """A steep climb that a run makes easy, and a long fast way down."""
    c.flat(between(rng, 8, 10))
    rows = between(rng, 3, 5)
    c.up45(rows)
    c.flat(3)
    x = c.x
    c.down22(rows)
    c.ring_line(x + 1, c.row - rows + 0.2, 3, 2)
    c.flat(4)


@section("rest", 0.25, sky=4, deep=5)
def rolling_valley(c: Canvas, rng: Rng, hard: float) -> None:
    """Down a steep side, up a steep side: rolling carries the speed across."""
    rows = between(rng, 4, 5)
    c.flat(4)
    c.down45(rows)
    x = c.flat(between(rng, 4, 7))
    c.ring_line(x, c.row - 1.0, 4)
    c.up45(rows)
    c.flat(5)


@section("rest", 0.2)
def patrol(c: Canvas, rng: Rng, hard: float) -> None:
    """Two walkers and a flyer on level ground: curl up or jump on them."""
    n = between(rng, 16, 20)
    x = c.flat(n)
    walker(c, x + 5, 2, hard)
    if hard > 0.3:
        walker(c, x + 11, 2, hard)
    c.put(FLYER, x + 9, c.row - 3, param=40, a=8, b=between(rng, 0, 255))
    c.ring_line(x + 3, c.row - 4.5, 3)


# ---- pits and platforms -----------------------------------------------------------------------


@section("obstacle", 0.05)
def pit(c: Canvas, rng: Rng, hard: float) -> None:
    """A hole to jump."""
    c.flat(5)
    n = between(rng, 3, 4 + round(2 * hard))
    x = c.gap(n, liquid=rng.random() < 0.6)
    c.ring_arc(x - 1, x + n + 1, c.row - 1.5, 2.5, 4)
    c.flat(6)


@section("obstacle", 0.3)
def two_pits(c: Canvas, rng: Rng, hard: float) -> None:
    """A hole, an island, a hole."""
    c.flat(5)
    c.gap(between(rng, 3, 5), liquid=True)
    x = c.flat(between(rng, 3, 5))
    c.ring_line(x + 0.5, c.row - 1.0, 2)
    if hard > 0.5:
        c.put(FLYER, x + 2, c.row - 4, param=24, a=10, b=between(rng, 0, 255))
    c.gap(between(rng, 3, 5), liquid=True)
    c.flat(5)


@section("obstacle", 0.3)
def stepping_stones(c: Canvas, rng: Rng, hard: float) -> None:
    """A wide hole with ledges across it."""
    c.flat(4)
    x = c.x
    row = c.row
    n = between(rng, 2, 4)
    for i in range(n):
        at = x + 3 + i * 6
        row = c.row - between(rng, 0, 2)
        c.ledge(at, row, 3)
        c.ring_line(at + 0.7, row - 1.0, 2, 1.5)
    c.gap(3 + n * 6, liquid=rng.random() < 0.5)
    c.flat(5)


@section("obstacle", 0.35)
def crumbling_bridge(c: Canvas, rng: Rng, hard: float) -> None:
    """A bridge that falls once stepped on: run, do not wait."""
    c.flat(4)
    n = between(rng, 4, 6)
    x = c.gap(1 + n * 3, liquid=rng.random() < 0.5)
    for i in range(n):
        c.put(CRUMBLE, x + 2 + i * 3, c.row + 1)
    c.ring_line(x + 2, c.row - 1.2, n, 3)
    c.flat(5)


@section("obstacle", 0.4)
def moving_platform(c: Canvas, rng: Rng, hard: float) -> None:
    """Too wide to jump from a walk: wait for the platform."""
    c.flat(5)
    n = between(rng, 11, 13)
    x = c.gap(n, liquid=rng.random() < 0.5)
    c.put(PLATFORM, x + n / 2, c.row + 1, param=0, a=(n / 2 - 2) * 16, b=between(rng, 0, 255))
    c.ring_line(x + n / 2 - 1.5, c.row - 2.0, 3)
    c.flat(6)


@section("obstacle", 0.6)
def two_moving_platforms(c: Canvas, rng: Rng, hard: float) -> None:
    """Two platforms that pass each other above the deep."""
    c.flat(5)
    n = between(rng, 20, 23)
    x = c.gap(n, liquid=True)
    phase = between(rng, 0, 255)
    c.put(PLATFORM, x + n / 4, c.row + 1, param=0, a=(n / 4 - 1.5) * 16, b=phase)
    c.put(PLATFORM, x + 3 * n / 4, c.row + 1, param=0, a=(n / 4 - 1.5) * 16, b=phase + 128)
    c.flat(6)


@section("obstacle", 0.45, sky=12, deep=0)
def lift(c: Canvas, rng: Rng, hard: float) -> None:
    """A cliff of 9 rows; a platform goes up and down beside it."""
    c.flat(5)
    rows = min(9, c.row - 6)
    x = c.gap(4)
    c.put(PLATFORM, x + 2, c.row + 1 - rows / 2, param=1, a=(rows / 2) * 16, b=between(rng, 0, 255))
    c.step(rows)
    c.flat(6)


# ---- walls ------------------------------------------------------------------------------------


@section("obstacle", 0.05)
def wall(c: Canvas, rng: Rng, hard: float) -> None:
    """A wall to jump on and down from."""
    c.flat(5)
    rows = between(rng, 2, 3 + (hard > 0.4))
    x = c.x
    c.step(rows)
    c.flat(between(rng, 3, 6))
    c.ring_line(x + 0.7, c.row - 1.0, 2)
    c.step(-rows)
    c.flat(4)


@section("obstacle", 0.2, sky=12, deep=0)
def stairs(c: Canvas, rng: Rng, hard: float) -> None:
    """Steps up, each a jump high; the way down is a long slope."""
    c.flat(4)
    n = between(rng, 2, 3)
    for _ in range(n):
        c.step(3)
        x = c.flat(between(rng, 3, 4))
        c.ring_line(x + 1, c.row - 1.0, 1)
    c.flat(2)
    c.down22(min(n * 3, 26 - c.row))
    c.flat(4)


@section("rest", 0.1, sky=12, deep=0)
def spring_cliff(c: Canvas, rng: Rng, hard: float) -> None:
    """A cliff nobody can jump, with a spring at its foot."""
    c.flat(7)
    c.put(SPRING_UP, c.x - 2, c.row, param=9)
    x = c.x
    c.ring_line(x - 2, c.row - 7, 1)
    c.ring_line(x - 2, c.row - 5, 1)
    c.step(min(8, c.row - 7))
    c.flat(8)


@section("back", 0.35, sky=14, deep=3)
def hidden_spring(c: Canvas, rng: Rng, hard: float) -> None:
    """A cliff whose spring lies behind: who runs off the edge flies over it and must go back."""
    c.flat(6)
    c.step(-3)
    x = c.flat(between(rng, 11, 13))
    c.put(SPRING_UP, x + 1.2, c.row, param=11)
    c.ring_line(x + 1.2, c.row - 6.0, 1)
    c.ring_line(x + 1.2, c.row - 8.0, 1)
    # From above the spring a row of ledges leads over the cliff.
    top = c.row - 10
    c.ledge(x + 3, top, c.x - x - 3)
    c.ring_line(x + 4, top - 1.0, 4)
    c.fill(c.x, c.x + 3, top, ROWS, "wall")
    c.x += 3
    c.flat(7)


@section("back", 0.3, sky=14, deep=0)
def lever_door(c: Canvas, rng: Rng, hard: float) -> None:
    """A shut door; its lever waits on a ledge further back."""
    n = between(rng, 13, 17)
    x = c.flat(n)
    up = x + between(rng, 2, 4)
    c.ledge(up, c.row - 4, 4)
    c.ledge(up - 1, c.row - 8, 3)
    c.put(LEVER, up + 0.5, c.row - 8, a=c.x)
    c.ring_line(up + 1, c.row - 5.0, 2)
    c.fill(c.x, c.x + 1, c.row, ROWS)
    c.fill(c.x, c.x + 1, c.row - 14, c.row - 3, "wall")
    c.fill(c.x, c.x + 1, c.row - 3, c.row, "door")
    c.x += 1
    c.flat(6)


@section("back", 0.2, sky=13, deep=0)
def breakable_wall(c: Canvas, rng: Rng, hard: float) -> None:
    """A wall that only a curled pangolin with some speed breaks."""
    c.flat(10)
    n = between(rng, 1, 2)
    c.fill(c.x, c.x + n, c.row, ROWS)
    c.fill(c.x, c.x + n, c.row - 13, c.row - 3, "wall")
    c.fill(c.x, c.x + n, c.row - 3, c.row, "breakable")
    c.x += n
    x = c.flat(6)
    c.ring_line(x + 1, c.row - 1.0, 3)


@section("back", 0.4, sky=12, deep=7)
def dead_end(c: Canvas, rng: Rng, hard: float) -> None:
    """The way on is under the floor: a hole that runners fly across, then a wall. Go back."""
    row = c.row
    c.flat(10)
    hole = c.x
    c.x += 2
    end = between(rng, 6, 8)
    # the floor after the hole is a roof over the tunnel
    c.fill(c.x, c.x + end, row, row + 2)
    c.fill(c.x + end, c.x + end + 3, row - 12, row + 2, "wall")
    c.fill(hole - 1, c.x + end + 3, row + 6, ROWS)
    c.ring_line(c.x + 1, row - 1.0, 3)
    c.ring_line(c.x + 1, row + 4.8, 4, 2)
    c.x += end + 3
    c.row = row + 6
    c.flat(3)
    c.step(3)
    c.flat(3)
    c.step(3)
    c.flat(4)


# ---- spikes, springs, ramps -------------------------------------------------------------------


@section("rest", 0.2)
def spike_row(c: Canvas, rng: Rng, hard: float) -> None:
    """Spikes on the floor, once or twice."""
    c.flat(6)
    for _ in range(1 + (hard > 0.3)):
        n = between(rng, 1, 1 + round(hard))
        x = c.flat(2 * n)
        for i in range(n):
            c.put(SPIKES, x + 1 + 2 * i, c.row)
        c.ring_arc(x - 1, c.x + 1, c.row - 1.5, 2.0, 3)
        c.flat(6)


@section("obstacle", 0.5, sky=4, deep=3)
def spike_pit(c: Canvas, rng: Rng, hard: float) -> None:
    """A hollow full of spikes under a ledge."""
    c.flat(5)
    c.step(-3)
    n = between(rng, 3, 4)
    x = c.flat(2 * n)
    for i in range(n):
        c.put(SPIKES, x + 1 + 2 * i, c.row)
    c.step(3)
    c.ledge(x + n - 1, c.row - 3, 3)
    c.ring_line(x + n - 0.3, c.row - 4.0, 2)
    c.flat(5)


@section("rest", 0.3, sky=12, deep=0)
def side_spring_ramp(c: Canvas, rng: Rng, hard: float) -> None:
    """A side spring throws the pangolin up a steep hill that is too high to walk up."""
    x = c.flat(8)
    c.put(SPRING_SIDE, x + 5, c.row, param=9)
    rows = min(8, c.row - 8)
    c.up45(rows)
    c.ring_line(c.x - 5, c.row + 3.5, 1)
    c.ring_line(c.x - 3, c.row + 1.5, 1)
    c.flat(8)


@section("back", 0.5, sky=16, deep=0)
def run_up(c: Canvas, rng: Rng, hard: float) -> None:
    """A steep tunnel right behind a post: go back, take a run, hop over the post at full speed.

    The roof is too low for jumping up the slope.
    """
    c.flat(16)
    c.fill(c.x, c.x + 1, c.row - 1, ROWS)
    c.x += 1
    c.flat(6)
    top = c.row - 15
    c.fill(c.x - 1, c.x, top, c.row - 4)
    for _ in range(8):
        c.fill(c.x, c.x + 1, top, c.row - 5)
        c.up45(1)
    x = c.flat(6)
    c.ring_line(x + 1, c.row - 1.0, 3)


@section("obstacle", 0.3, sky=4, deep=4)
def ski_jump(c: Canvas, rng: Rng, hard: float) -> None:
    """Downhill, then a short ramp that throws a fast pangolin across the hole."""
    c.flat(4)
    c.down45(4)
    c.flat(3)
    c.up22(2)
    n = between(rng, 4, 6)
    x = c.gap(n, liquid=True)
    c.ring_arc(x, x + n, c.row - 1.5, 2.0, 4)
    c.flat(7)


@section("rest", 0.15, sky=13, deep=0)
def cavern(c: Canvas, rng: Rng, hard: float) -> None:
    """A low passage through rock."""
    c.flat(3)
    n = between(rng, 12, 18)
    x = c.flat(n)
    roof = c.row - between(rng, 5, 6)
    c.fill(x, x + n, roof - between(rng, 4, 6), roof)
    c.ring_line(x + 2, c.row - 1.0, 4, 2.5)
    walker(c, x + n - 5, 3, hard)
    c.flat(3)


# ---- two ways ---------------------------------------------------------------------------------


@section("ways", 0.1, sky=11, deep=0)
def high_road(c: Canvas, rng: Rng, hard: float) -> None:
    """A spring leads to ledges full of rings; below wait spikes and walkers."""
    x = c.flat(between(rng, 26, 32))
    n = c.x - x
    c.put(SPRING_UP, x + 3, c.row, param=10)
    top = c.row - 8
    at = x + 5
    while at < x + n - 5:
        m = between(rng, 3, 5)
        c.ledge(at, top, m)
        c.ring_line(at + 0.7, top - 1.0, m - 1)
        at += m + 3
        top += between(rng, -1, 1)
    c.put(SPIKES, x + 11, c.row)
    walker(c, x + 17, 2, hard)
    if n > 28:
        c.put(SPIKES, x + 23, c.row)


@section("ways", 0.35, sky=2, deep=6)
def fork(c: Canvas, rng: Rng, hard: float) -> None:
    """Above, ledges over a pool; below, a tunnel with enemies that ends in a climb."""
    c.flat(6)
    row = c.row
    n = between(rng, 20, 26)
    x = c.x
    # lower road
    c.row = row + 6
    c.flat(n)
    walker(c, x + n // 2, 3, hard)
    c.put(SPIKES, x + n // 2 + 6, c.row)
    c.ledge(c.x - 4, row + 3, 3)
    c.ring_line(x + 6, c.row - 1.0, 4, 2)
    # upper road
    at = x + 3
    while at < x + n - 8:
        c.ledge(at, row, 4)
        c.ring_line(at + 1, row - 1.0, 2)
        at += 7
    c.row = row
    c.flat(6)


@section("obstacle", 0.35, sky=12, deep=0)
def tower(c: Canvas, rng: Rng, hard: float) -> None:
    """A cliff climbed by ledges that go right, left, right."""
    x = c.flat(13)
    rows = min(9, c.row - 6)
    c.ledge(x + 8, c.row - 3, 3)
    c.ledge(x + 4, c.row - 6, 3)
    c.ring_line(x + 8.7, c.row - 4.0, 2)
    c.ring_line(x + 4.7, c.row - 7.0, 2)
    if rows > 8:
        c.ledge(x + 8, c.row - 8, 3)
    c.step(rows)
    c.flat(7)


@section("rest", 0.15, sky=2, deep=8)
def drop(c: Canvas, rng: Rng, hard: float) -> None:
    """A way down in high steps."""
    c.flat(4)
    for _ in range(between(rng, 1, 3)):
        if c.row >= 24:
            break
        c.step(-between(rng, 2, 4))
        x = c.flat(between(rng, 4, 6))
        c.ring_line(x + 1, c.row - 1.0, 2)
    c.flat(3)


@section("ways", 0.2, sky=13, deep=0)
def sky_islands(c: Canvas, rng: Rng, hard: float) -> None:
    """Stairs of ledges lead to islands in the sky; on the ground it goes up and down."""
    x = c.flat(6)
    top = c.row
    for i in range(3):
        c.ledge(x + 2 + 3 * i, top - 3 - 3 * i, 3)
    at, sky = x + 13, top - 10
    c.up22(2)
    c.flat(between(rng, 5, 7))
    c.put(SPIKES, c.x - 3, c.row)
    c.down22(2)
    y = c.flat(between(rng, 8, 10))
    walker(c, y + 4, 2, hard)
    while at < c.x - 3:
        n = between(rng, 3, 4)
        c.fill(at, at + n, sky, sky + 2)
        c.ring_line(at + 0.7, sky - 1.0, n - 1)
        at += n + between(rng, 2, 3)
    c.flat(4)


@section("ways", 0.3, sky=9, deep=0)
def mine(c: Canvas, rng: Rng, hard: float) -> None:
    """Over a mound with enemies, or through the tunnel beneath it behind breakable blocks."""
    c.flat(7)
    row = c.row
    x = c.x
    rows, n = 5, between(rng, 12, 16)
    c.fill(x, x + 1, row - 2, row, "breakable")
    c.fill(x, x + 1, row, ROWS)
    for i in range(n):
        c.fill(x + 1 + i, x + 2 + i, row, ROWS)
    c.fill(x, x + n, row - rows, row - 2)
    c.ring_line(x + 2, row - 1.0, (n - 3) // 2, 2)
    c.ledge(x - 3, row - 3, 3)
    c.put(WALKER, x + n / 2, row - rows, param=48, a=1 if hard > 0.35 else 0)
    c.ring_line(x + 3, row - rows - 1.0, 3)
    c.x = x + n
    c.flat(7)
