"""Walls, spikes, springs and ramps."""

from __future__ import annotations

from pangolin_dash.levels.canvas import LEVER, ROWS, SPIKES, SPRING_SIDE, SPRING_UP, Canvas
from pangolin_dash.levels.library import Rng, between, section, walker

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
    """Steps up, each a jump high; then a long slope down."""
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
    """A cliff too high to jump, with a spring at its foot."""
    c.flat(7)
    c.put(SPRING_UP, c.x - 2, c.row, param=9)
    x = c.x
    c.ring_line(x - 2, c.row - 7, 1)
    c.ring_line(x - 2, c.row - 5, 1)
    c.step(min(8, c.row - 7))
    c.flat(8)


@section("back", 0.35, sky=14, deep=3)
def hidden_spring(c: Canvas, rng: Rng, hard: float) -> None:
    """A cliff with its spring behind: a player who runs off the edge flies over it; go back."""
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
    """The route is under the floor: a runner flies across its hole and meets a wall; go back."""
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
