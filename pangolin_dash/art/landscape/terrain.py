"""Terrain blocks (16x16, palette line 1) from a zone's style: shapes shared, textures its own.

A `Style` gives the textures and a few shapes; `build` cuts them to every block that the contract
names: flat ground, edges, slopes (with the rest of the cap that hangs into the block below),
platforms, walls, doors, liquid, decorations, goal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pangolin_dash.art.canvas import grid, hashed, wave
from pangolin_dash.art.palettes import CAP, GROUND, LINE

BLOCK = (16, 16)

# Row of the first solid pixel for each of the 16 columns.
SLOPES: dict[str, list[int]] = {
    "slope45_up": [15 - c for c in range(16)],
    "slope22_up_a": [15 - c // 2 for c in range(16)],
    "slope22_up_b": [7 - c // 2 for c in range(16)],
}
SLOPES |= {
    "slope45_down": SLOPES["slope45_up"][::-1],
    "slope22_down_a": SLOPES["slope22_up_b"][::-1],
    "slope22_down_b": SLOPES["slope22_up_a"][::-1],
}


@dataclass(frozen=True)
class Style:
    """The textures and colours of a zone's terrain. Every picture is 16x16, palette line 1."""

    ground: np.ndarray  # inner fill; all fills continue seamlessly into each other
    ground2: np.ndarray  # the same with something in it
    deep: np.ndarray  # fill far below the surface
    deep2: np.ndarray
    cap: Callable[[np.ndarray, int], np.ndarray]  # (depth below surface (16, 16), seed) -> colours
    wall_shade: Sequence[int]  # colours of the first pixels from a wall's outer edge
    platform: np.ndarray  # (16, 48): left, middle, right
    breakable: np.ndarray
    wall: np.ndarray
    door: np.ndarray
    liquid_top: np.ndarray
    liquid: np.ndarray
    special: np.ndarray
    special2: np.ndarray
    decorations: Sequence[np.ndarray]  # six
    tall: np.ndarray  # (48, 16): top, middle, base
    goal: np.ndarray  # (32, 32)


def ragged_cap(
    thickness: float, colors: Sequence[int], drips: float = 2.0, line: int | None = None
) -> Callable[[np.ndarray, int], np.ndarray]:
    """A cap (grass, snow, moss...) whose lower border hangs in rounded tongues.

    `colors` from the surface down; `drips` is the tongues' length in pixels; `line` a dark colour
    for the border under it.
    """

    def cap(depth: np.ndarray, seed: int) -> np.ndarray:
        x, _ = grid(BLOCK)
        # Both kinds end alike at the block's sides, so that they join.
        tongue = np.abs(wave(x, 16, 0.1)) + 0.6 * np.abs(wave(x, 8, 0.0)) * (1 - seed)
        limit = np.floor(thickness + drips * (tongue - 0.4))
        colors_at = np.asarray(colors, np.uint8)
        step = np.clip(np.floor(depth / limit * len(colors)), 0, len(colors) - 1).astype(int)
        step = np.where(depth < 1, 0, np.maximum(step, np.where(depth < 2, 0, 1)))
        picture = np.where((depth >= 0) & (depth < limit), colors_at[step], 0).astype(np.uint8)
        if seed == 1:  # a few light blades and clods, to tell the variation from the plain top
            for column, length in ((2, 3), (3, 2), (7, 4), (8, 2), (12, 3), (13, 4)):
                blade = (x == column) & (depth >= 1) & (depth < 1 + length) & (depth < limit)
                picture[blade] = colors_at[0]
        if line is not None:
            picture[(depth >= limit) & (depth < limit + 1)] = line
        return picture

    return cap


def _surface(style: Style, rows: Sequence[int], fill: np.ndarray, seed: int) -> np.ndarray:
    """A block whose solid part starts at `rows[c]` in column c (rows above 15 allowed: below)."""
    _, y = grid(BLOCK)
    depth = y - np.asarray(rows, float)[None, :]
    picture = np.where(depth >= 0, fill, 0).astype(np.uint8)
    cap = style.cap(depth, seed)
    picture[cap != 0] = cap[cap != 0]
    return picture


def _walled(style: Style, block: np.ndarray, left: bool) -> np.ndarray:
    """The block with an outer edge on one side."""
    result = block.copy()
    for number, color in enumerate(style.wall_shade):
        column = number if left else 15 - number
        rows = [
            r
            for r in range(16)
            if block[r, column] not in CAP
            and (number < 2 or hashed(r, number, 7 if left else 8) < 0.6)
        ]
        result[rows, column] = color
    return result


def _corner(block: np.ndarray, left: bool) -> np.ndarray:
    """Round off an upper corner by two pixels of line (the block stays solid)."""
    result = block.copy()
    column = 0 if left else 15
    result[:, column] = np.where(np.isin(result[:, column], CAP), CAP[0], result[:, column])
    result[0, column] = CAP[0]
    return result


def _ceiling(style: Style) -> np.ndarray:
    result = style.ground.copy()
    hang = [14 + (hashed(c // 2, 3, 5) > 0.5) for c in range(16)]
    for column, row in enumerate(hang):
        result[row:, column] = LINE
        result[row - 1, column] = GROUND[0]
        result[row - 2, column] = GROUND[1]
    return result


def build(style: Style) -> dict[str, np.ndarray]:
    """All blocks by name."""
    flat = [0] * 16
    top = _surface(style, flat, style.ground, 0)
    top2 = _surface(style, flat, style.ground, 1)
    blocks = {
        "ground_top": top,
        "ground_top2": top2,
        "ground": style.ground,
        "ground2": style.ground2,
        "ground_mid": np.where(np.indices(BLOCK).sum(axis=0) % 2, style.ground, style.deep),
        "ground_deep": style.deep,
        "ground_deep2": style.deep2,
        "ground_left": _walled(style, style.ground, True),
        "ground_right": _walled(style, style.ground, False),
        "ground_top_left": _corner(_walled(style, top, True), True),
        "ground_top_right": _corner(_walled(style, top, False), False),
        "ceiling": _ceiling(style),
        "slope_fill": style.ground,
        "platform_l": style.platform[:, :16],
        "platform_m": style.platform[:, 16:32],
        "platform_r": style.platform[:, 32:],
        "breakable": style.breakable,
        "wall": style.wall,
        "door": style.door,
        "liquid_top": style.liquid_top,
        "liquid": style.liquid,
        "special": style.special,
        "special2": style.special2,
        "deco_tall_top": style.tall[:16],
        "deco_tall_mid": style.tall[16:32],
        "deco_tall_base": style.tall[32:],
        "goal_tl": style.goal[:16, :16],
        "goal_tr": style.goal[:16, 16:],
        "goal_bl": style.goal[16:, :16],
        "goal_br": style.goal[16:, 16:],
    }
    for name, rows in SLOPES.items():
        blocks[name] = _surface(style, rows, style.ground, 0)
        below = [row - 16 for row in rows]
        blocks[f"under_{name}"] = _surface(style, below, style.ground, 0)
    for number, picture in enumerate(style.decorations, start=1):
        blocks[f"deco{number}"] = picture
    return {name: np.ascontiguousarray(block, np.uint8) for name, block in blocks.items()}
