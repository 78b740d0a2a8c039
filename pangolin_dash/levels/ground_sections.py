"""Open ground, pits and platforms, and stretches with two routes."""

from __future__ import annotations

from pangolin_dash.levels.canvas import (
    CRUMBLE,
    FLYER,
    PLATFORM,
    ROWS,
    SPIKES,
    SPRING_UP,
    WALKER,
    Canvas,
)
from pangolin_dash.levels.library import Rng, between, section, walker

# ---- open ground ------------------------------------------------------------------------------


@section("rest", 0.0)
def meadow(c: Canvas, rng: Rng, hard: float) -> None:
    """Level ground with rings and sometimes a walker."""
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
    """A steep climb that a run makes easy, and a long fast descent."""
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
    """Two platforms that pass each other above a hole."""
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


# ---- two ways ---------------------------------------------------------------------------------


@section("routes", 0.1, sky=11, deep=0)
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


@section("routes", 0.35, sky=2, deep=6)
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
    """A descent in high steps."""
    c.flat(4)
    for _ in range(between(rng, 1, 3)):
        if c.row >= 24:
            break
        c.step(-between(rng, 2, 4))
        x = c.flat(between(rng, 4, 6))
        c.ring_line(x + 1, c.row - 1.0, 2)
    c.flat(3)


@section("routes", 0.2, sky=13, deep=0)
def sky_islands(c: Canvas, rng: Rng, hard: float) -> None:
    """Stairs of ledges lead to islands in the sky; the ground below goes up and down."""
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


@section("routes", 0.3, sky=9, deep=0)
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
