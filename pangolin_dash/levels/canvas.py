"""A level while it is drawn: a grid of blocks, objects, rings, and a cursor that moves right.

Rows count from the top (0) to the bottom (31), columns from the left. The cursor stands on the
ground: `x` is the next free column, `row` the top row of the ground there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pangolin_dash.levels.blocks import BLOCKS, NUMBER, SLOPE, SOLID

ROWS = 32
MAX_COLUMNS = 672
BLOCK = 16  # pixels

# Object types, as in pangolin_dash/src/world.h.
SPRING_UP, SPRING_SIDE, SPIKES, WALKER, FLYER, PLATFORM, CRUMBLE, LEVER, HAZARD = range(1, 10)

_GROUND = NUMBER["ground"]
_EMPTY = NUMBER["empty"]
# The block that ground becomes from this many blocks away from the nearest free block on.
_DARKER = {3: NUMBER["ground_mid"], 4: NUMBER["ground_deep"], 8: NUMBER["ground_deep2"]}
_SOLID = np.array([bool(b.flags & SOLID) for b in BLOCKS.values()])
_SLOPE = np.array([bool(b.flags & SLOPE) for b in BLOCKS.values()])


@dataclass(frozen=True, order=True)
class Thing:
    """An object of the level; x, y are pixels: its centre and bottom."""

    x: int
    y: int
    type: int
    param: int = 0
    a: int = 0
    b: int = 0


@dataclass
class Canvas:
    """The level while it is drawn; see the module's docstring."""

    x: int = 0
    row: int = 20
    grid: np.ndarray = field(default_factory=lambda: np.full((MAX_COLUMNS, ROWS), _EMPTY, np.uint8))
    things: list[Thing] = field(default_factory=list)
    rings: list[tuple[int, int]] = field(default_factory=list)

    # -- the ground, at the cursor ------------------------------------------------------------

    def flat(self, columns: int) -> int:
        """Level ground; returns its first column."""
        start = self.x
        self.fill(start, start + columns, self.row, ROWS)
        self.x += columns
        return start

    def _slope(self, name: str, row: int) -> None:
        self.grid[self.x, row] = NUMBER[name]
        self.grid[self.x, row + 1] = NUMBER["slope_fill"]
        self.fill(self.x, self.x + 1, row + 2, ROWS)
        self.x += 1

    def up22(self, rows: int) -> None:
        """A gentle slope that rises by `rows`, 2 columns each."""
        for _ in range(rows):
            self.row -= 1
            self._slope("slope22_up_a", self.row)
            self._slope("slope22_up_b", self.row)

    def down22(self, rows: int) -> None:
        """A gentle slope that falls by `rows`, 2 columns each."""
        for _ in range(rows):
            self._slope("slope22_down_a", self.row)
            self._slope("slope22_down_b", self.row)
            self.row += 1

    def up45(self, rows: int) -> None:
        """A steep slope that rises by `rows`, 1 column each."""
        for _ in range(rows):
            self.row -= 1
            self._slope("slope45_up", self.row)

    def down45(self, rows: int) -> None:
        """A steep slope that falls by `rows`, 1 column each."""
        for _ in range(rows):
            self._slope("slope45_down", self.row)
            self.row += 1

    def step(self, rows: int) -> None:
        """The ground goes on `rows` higher (negative: lower), with a vertical edge."""
        self.row -= rows

    def gap(self, columns: int, liquid: bool = False) -> int:
        """No ground; `liquid` begins two rows below the edge. Returns the first column."""
        start = self.x
        if liquid:
            self.liquid(start, start + columns, self.row + 2)
        self.x += columns
        return start

    def floor(self, columns: int, block: str) -> int:
        """Level ground whose top is made of a special block."""
        start = self.flat(columns)
        self.grid[start : self.x, self.row] = NUMBER[block]
        return start

    # -- anywhere -----------------------------------------------------------------------------

    def fill(self, x0: int, x1: int, row0: int, row1: int, block: str = "ground") -> None:
        """Blocks in columns x0..x1-1, rows row0..row1-1."""
        self.grid[x0:x1, max(row0, 0) : row1] = NUMBER[block]

    def clear(self, x0: int, x1: int, row0: int, row1: int) -> None:
        """Empty these columns and rows."""
        self.fill(x0, x1, row0, row1, "empty")

    def liquid(self, x0: int, x1: int, row: int, bottom: int = ROWS) -> None:
        """Liquid in all empty blocks of these columns, its surface in `row`."""
        for x in range(x0, x1):
            for r in range(row, bottom):
                if self.grid[x, r] == _EMPTY:
                    self.grid[x, r] = NUMBER["liquid_top" if r == row else "liquid"]

    def ledge(self, x: int, row: int, columns: int) -> None:
        """A one-way platform: solid from above only."""
        names = ["platform_m"] * columns
        names[0], names[-1] = "platform_l", "platform_r"
        for i, name in enumerate(names):
            self.grid[x + i, row] = NUMBER[name]

    def put(
        self, type: int, x: float, row: float, param: int = 0, a: float = 0, b: float = 0
    ) -> None:
        """An object with its centre at column `x` and its bottom on `row`'s top."""
        self.things.append(
            Thing(round(x * BLOCK), round(row * BLOCK), type, param, round(a), round(b))
        )

    def ring_line(self, x: float, row: float, count: int, pitch: float = 1.5) -> None:
        """`count` rings side by side, centres `row` blocks from the top."""
        for i in range(count):
            self.rings.append((round((x + i * pitch) * BLOCK), round(row * BLOCK)))

    def ring_arc(self, x0: float, x1: float, row: float, height: float, count: int) -> None:
        """Rings along a jump from x0 to x1."""
        for i in range(count):
            t = (i + 0.5) / count
            self.rings.append(
                (
                    round((x0 + (x1 - x0) * t) * BLOCK),
                    round((row - height * 4 * t * (1 - t)) * BLOCK),
                )
            )


def dress(canvas: Canvas, columns: int, rng: np.random.Generator) -> np.ndarray:
    """The finished map, (columns, ROWS) block numbers: edges, corners and decoration chosen."""
    grid = canvas.grid[:columns].copy()
    solid = _SOLID[grid] | _SLOPE[grid]
    free = np.pad(~solid, 1, constant_values=False)  # outside counts as ground
    up, down = free[1:-1, :-2], free[1:-1, 2:]
    left, right = free[:-2, 1:-1], free[2:, 1:-1]
    plain = grid == _GROUND
    roll = rng.random(grid.shape)

    out = grid.copy()
    out[plain & (roll < 0.07)] = NUMBER["ground2"]
    inner = solid
    for depth in range(1, 9):  # blocks that far from the nearest free one
        inner = _eroded(inner)
        if depth in _DARKER:
            out[plain & inner] = _DARKER[depth]
    out[plain & down] = NUMBER["ceiling"]
    out[plain & left] = NUMBER["ground_left"]
    out[plain & right] = NUMBER["ground_right"]
    top = plain & up
    out[top] = np.where(roll[top] < 0.3, NUMBER["ground_top2"], NUMBER["ground_top"])
    out[top & left] = NUMBER["ground_top_left"]
    out[top & right] = NUMBER["ground_top_right"]
    for slope in ("slope45_up", "slope45_down", "slope22_up_a", "slope22_down_b"):
        below = (grid[:, :-1] == NUMBER[slope]) & (grid[:, 1:] == NUMBER["slope_fill"])
        out[:, 1:][below] = NUMBER[f"under_{slope}"]
    # decorations hang from some ceilings
    airy = (grid[:, 1:-1] == _EMPTY) & (grid[:, 2:] == _EMPTY)
    hanging = airy & (plain & down)[:, :-2] & (roll[:, :-2] < 0.25)
    out[:, 1:-1][hanging] = NUMBER["deco6"]
    _decorate(out, top & ~left & ~right, rng)
    return out


def _eroded(mask: np.ndarray) -> np.ndarray:
    """The mask without the blocks at its rim (beyond the map counts as inside)."""
    wide = np.pad(mask, 1, constant_values=True)
    return mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]


def _decorate(out: np.ndarray, top: np.ndarray, rng: np.random.Generator) -> None:
    """Put plants and other decorations on level ground where there is room."""
    columns = out.shape[0]
    last_tall = -10
    for x in range(columns):
        for row in np.flatnonzero(top[x]):
            if row < 1 or out[x, row - 1] != _EMPTY:
                continue
            luck = rng.random()
            if luck < 0.05 and x - last_tall > 9 and row > 5 and not out[x, row - 5 : row].any():
                tall = int(rng.integers(2, 5))
                out[x, row - 1] = NUMBER["deco_tall_base"]
                out[x, row - tall : row - 1] = NUMBER["deco_tall_mid"]
                out[x, row - tall - 1] = NUMBER["deco_tall_top"]
                last_tall = x
            elif luck < 0.24:
                out[x, row - 1] = NUMBER[f"deco{rng.integers(1, 6)}"]
