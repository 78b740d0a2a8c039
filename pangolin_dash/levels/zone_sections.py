"""Sections that belong to one zone's own mechanic; same rules as `pangolin_dash.levels.library`."""

from __future__ import annotations

from pangolin_dash.levels.canvas import (
    FLYER,
    HAZARD,
    PLATFORM,
    ROWS,
    SPIKES,
    WALKER,
    Canvas,
)
from pangolin_dash.levels.library import Rng, between, section, walker

# ---- FernHollow: bouncing moss and snapping plants --------------------------------------------


@section("obstacle", 0.2, sky=10)
def moss_cliff(c: Canvas, rng: Rng, hard: float) -> None:
    """A hollow with bouncing moss; the far side is 7 rows high."""
    c.flat(5)
    c.step(-2)
    c.flat(3)
    x = c.floor(3, "special")
    c.ring_line(x + 1.5, c.row - 5.0, 1)
    c.ring_line(x + 1.5, c.row - 7.0, 1)
    c.flat(2)
    c.step(min(7, c.row - 6))
    c.flat(6)


@section("rest", 0.2)
def snapping_plants(c: Canvas, rng: Rng, hard: float) -> None:
    """Plants that come out of the ground now and then."""
    c.flat(5)
    for i in range(2 + (hard > 0.5)):
        x = c.flat(5)
        c.put(HAZARD, x + 1, c.row, b=85 * i + between(rng, 0, 40))
        c.ring_line(x + 3, c.row - 1.0, 1)
    c.flat(3)


# ---- AmberDunes: quicksand, flowing sand, spouts ----------------------------------------------


@section("obstacle", 0.25, sky=4, deep=4)
def quicksand(c: Canvas, rng: Rng, hard: float) -> None:
    """A pool that swallows a player who stands still: paddle with jumps."""
    c.flat(5)
    n = between(rng, 5, 8)
    x = c.x
    c.liquid(x, x + n, c.row + 1)
    c.ring_line(x + 1, c.row - 1.0, n // 2, 2)
    c.x += n
    c.flat(5)


@section("obstacle", 0.3)
def sand_flow(c: Canvas, rng: Rng, hard: float) -> None:
    """Sand flows against the runner, toward a pit behind."""
    c.flat(4)
    c.gap(3)
    n = between(rng, 8, 12)
    x = c.floor(n, "special")
    c.put(SPIKES, x + n - 2, c.row)
    c.ring_line(x + 2, c.row - 1.0, 3, 2)
    c.flat(5)


@section("obstacle", 0.35, sky=12, deep=0)
def spout_cliff(c: Canvas, rng: Rng, hard: float) -> None:
    """A cliff of 9 rows; a spout beside it blows upward now and then."""
    c.flat(8)
    rows = min(9, c.row - 6)
    c.put(HAZARD, c.x - 1.5, c.row, param=rows * 16 + 8, b=between(rng, 0, 255))
    c.ring_line(c.x - 1.5, c.row - 5.0, 1)
    c.step(rows)
    c.flat(7)


# ---- CoralGrotto: water -----------------------------------------------------------------------


@section("obstacle", 0.2, sky=4, deep=5)
def flooded_basin(c: Canvas, rng: Rng, hard: float) -> None:
    """Down under water, across the bottom, up the other side in steps."""
    c.flat(4)
    row = c.row
    x = c.x
    c.down45(2)
    c.step(-3)
    n = between(rng, 10, 16)
    a = c.flat(n)
    walker(c, a + n / 2, 2, hard)
    c.ring_line(a + 2, c.row - 1.5, 4, 2)
    if hard > 0.4:
        c.put(SPIKES, a + n - 3, c.row)
    c.step(3)
    c.flat(3)
    c.step(2)
    c.liquid(x, c.x, row + 1)
    c.flat(5)


@section("obstacle", 0.4, sky=9, deep=5)
def sunken_wall(c: Canvas, rng: Rng, hard: float) -> None:
    """Under water, a wall of 10 rows: ride the bubbles."""
    c.flat(4)
    row = c.row
    x = c.x
    c.step(-min(5, 27 - c.row))
    n = between(rng, 12, 15)
    a = c.flat(n)
    c.put(HAZARD, a + n - 3, c.row, param=(c.row - row + 5) * 16, b=between(rng, 0, 255))
    c.put(FLYER, a + n / 2 - 1, c.row - 2, param=30, a=6, b=between(rng, 0, 255))
    c.ring_line(a + 2, c.row - 1.5, 3, 2)
    c.row = row - min(5, row - 8)
    c.liquid(x, c.x, row + 1)
    c.flat(7)


@section("obstacle", 0.3, sky=10)
def sponge_cliff(c: Canvas, rng: Rng, hard: float) -> None:
    """Bouncing sponges lead up a cliff."""
    moss_cliff(c, rng, hard)


@section("routes", 0.3, sky=4, deep=8)
def water_stones(c: Canvas, rng: Rng, hard: float) -> None:
    """Ledges over a lake; a player who falls walks along its bottom and climbs out."""
    c.flat(4)
    row = c.row
    x = c.x
    n = between(rng, 18, 24)
    c.row = min(row + 7, 29)
    c.flat(n - 4)
    c.put(SPIKES, x + n // 2, c.row)
    c.step(3)
    c.flat(4)
    at = x + 3
    while at < x + n - 4:
        c.ledge(at, row - between(rng, 0, 1), 3)
        c.ring_line(at + 0.7, row - 2.0, 2)
        at += 6
    c.liquid(x, c.x, row + 1)
    c.row = row
    c.flat(5)


# ---- FrostPeak: ice and icicles ---------------------------------------------------------------


@section("obstacle", 0.3)
def ice_pit(c: Canvas, rng: Rng, hard: float) -> None:
    """Ice before and behind a hole."""
    c.flat(3)
    x = c.floor(between(rng, 6, 9), "special")
    c.ring_line(x + 1, c.row - 1.0, 3)
    n = between(rng, 3, 5)
    c.gap(n, liquid=True)
    c.floor(between(rng, 6, 8), "special")
    if hard > 0.6:
        c.put(SPIKES, c.x - 1, c.row)
    c.flat(6)


@section("rest", 0.3, sky=11, deep=0)
def icicles(c: Canvas, rng: Rng, hard: float) -> None:
    """A cave roof with icicles that fall when the player passes."""
    n = between(rng, 14, 18)
    x = c.flat(n)
    c.fill(x + 2, x + n - 1, c.row - 10, c.row - 7)
    for i in range(2 + (hard > 0.5)):
        c.put(HAZARD, x + 4.5 + i * 4, c.row - 5)
    c.ring_line(x + 3, c.row - 1.0, 5, 2)


@section("obstacle", 0.5, sky=8, deep=0)
def ice_slope(c: Canvas, rng: Rng, hard: float) -> None:
    """Icy steps: a short run on ice, then up."""
    c.flat(6)
    for _ in range(2):
        c.floor(between(rng, 5, 6), "special")
        c.step(3)
    c.flat(3)
    c.down22(4)
    c.flat(4)


# ---- EmberWorks: conveyors and flames ---------------------------------------------------------


@section("obstacle", 0.35)
def flame_walk(c: Canvas, rng: Rng, hard: float) -> None:
    """Flame jets in turn, with lava between them."""
    c.flat(5)
    for i in range(2 + (hard > 0.6)):
        x = c.flat(4)
        c.put(HAZARD, x + 2, c.row, b=(i * 90 + between(rng, 0, 60)) % 256)
        c.gap(2 + (i % 2), liquid=True)
        c.flat(2)
    c.flat(4)


@section("obstacle", 0.4)
def conveyor_lava(c: Canvas, rng: Rng, hard: float) -> None:
    """Belts carry the runner back toward the lava, then forward into the next pool."""
    c.flat(4)
    c.gap(3, liquid=True)
    x = c.floor(between(rng, 7, 10), "special")
    c.ring_line(x + 2, c.row - 1.0, 3, 2)
    c.flat(2)
    c.floor(between(rng, 5, 7), "special_right")
    c.gap(between(rng, 3, 5), liquid=True)
    c.flat(6)


@section("obstacle", 0.5)
def lava_platforms(c: Canvas, rng: Rng, hard: float) -> None:
    """Platforms that rise out of a lake of lava and sink back toward it."""
    c.flat(5)
    x = c.x
    n = 3
    for i in range(n):
        c.put(PLATFORM, x + 4 + i * 6, c.row, param=1, a=28, b=(i * 85 + between(rng, 0, 60)) % 256)
    c.gap(n * 6 + 2, liquid=True)
    c.flat(6)


# ---- StarlitRuins: low gravity and beams ------------------------------------------------------


@section("obstacle", 0.4, sky=12, deep=0)
def moon_jump(c: Canvas, rng: Rng, hard: float) -> None:
    """A pad that makes light: from it a jump clears 9 rows."""
    c.flat(5)
    c.floor(4, "special")
    c.flat(2)
    rows = min(between(rng, 8, 9), c.row - 6)
    c.ring_line(c.x - 3, c.row - 6, 2)
    c.step(rows)
    c.flat(6)


@section("obstacle", 0.5, sky=12, deep=0)
def moon_gap(c: Canvas, rng: Rng, hard: float) -> None:
    """A very wide hole, with a pad on the near side."""
    c.flat(8)
    c.floor(5, "special")
    n = between(rng, 13, 16)
    x = c.gap(n, liquid=True)
    c.ring_arc(x, x + n, c.row - 2, 6, 6)
    c.flat(7)


@section("back", 0.5, sky=10, deep=0)
def beam(c: Canvas, rng: Rng, hard: float) -> None:
    """A wall too high to pass: the beam that leads past it stands on a ledge further back."""
    n = between(rng, 14, 18)
    x = c.flat(n)
    up = x + between(rng, 2, 3)
    c.ledge(up + 2, c.row - 4, 3)
    c.ledge(up - 1, c.row - 7, 3)
    c.ring_line(up + 2.7, c.row - 5.0, 2)
    c.fill(c.x, c.x + 2, 0, ROWS, "wall")
    c.put(HAZARD, up, c.row - 7, a=(c.x + 5) * 16, b=(c.row - 1) * 16)
    c.x += 2
    c.flat(8)
    assert x < c.x


@section("rest", 0.4)
def star_patrol(c: Canvas, rng: Rng, hard: float) -> None:
    """Enemies at two heights over broken ground."""
    x = c.flat(6)
    c.step(2)
    y = c.flat(5)
    c.put(WALKER, y + 2.5, c.row, param=24, a=1)
    c.step(-2)
    c.flat(7)
    c.put(FLYER, x + 14, c.row - 2, param=36, a=14, b=between(rng, 0, 255))
    c.ring_line(y + 1, c.row - 5.0, 3)
