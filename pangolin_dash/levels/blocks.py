"""The blocks of a level, 16 x 16 pixels: their numbers, pictures and effects.

The numbers are the same in every zone; only the pictures differ (`pangolin_dash.art.terrain`).
"""

from __future__ import annotations

from dataclasses import dataclass

# Flags, as in pangolin_dash/src/world.h.
SOLID, SLOPE, ONEWAY, LIQUID, BREAK, DOOR, SPECIAL, MIRROR = (1 << i for i in range(8))

SHAPES: dict[str, list[int]] = {
    "none": [0] * 16,
    "full": [16] * 16,
    "slope45_up": [c + 1 for c in range(16)],
    "slope45_down": [16 - c for c in range(16)],
    "slope22_up_a": [c // 2 + 1 for c in range(16)],
    "slope22_up_b": [8 + c // 2 + 1 for c in range(16)],
    "slope22_down_a": [16 - c // 2 for c in range(16)],
    "slope22_down_b": [8 - c // 2 for c in range(16)],
}
"""height of the ground in each of the 16 pixel columns, by shape"""


@dataclass(frozen=True)
class Block:
    """One kind of block."""

    picture: str | None
    """its name in `pangolin_dash.art.terrain(zone)`, None for nothing"""
    flags: int = 0
    """its effects, a sum of the flags above"""
    shape: str = "none"
    """its profile, a key of `SHAPES`"""
    angle: int = 0
    """-2 steep down to 2 steep up, from left to right"""
    front: bool = False
    """drawn in front of objects that hide in the ground"""
    flip: bool = False
    """the picture is mirrored"""


def _solid(picture: str, flags: int = 0, flip: bool = False) -> Block:
    return Block(picture, SOLID | flags, "full", front=True, flip=flip)


def _slope(name: str, angle: int) -> Block:
    return Block(name, SLOPE, name, angle, front=True)


_GROUNDS = (
    "ground_top ground_top2 ground ground2 ground_left ground_right ground_top_left"
    " ground_top_right ceiling slope_fill wall"
)
_DECORATIONS = (
    "deco1 deco2 deco3 deco4 deco5 deco6 deco_tall_top deco_tall_mid deco_tall_base"
    " goal_tl goal_tr goal_bl goal_br"
)
# Pictures that `canvas.dress` chooses: far from the light, and below the foot of a slope.
_DRESSING = (
    "ground_mid ground_deep ground_deep2 under_slope45_up under_slope45_down"
    " under_slope22_up_a under_slope22_down_b"
)

BLOCKS: dict[str, Block] = {
    "empty": Block(None),
    **{name: _solid(name) for name in _GROUNDS.split()},
    "slope45_up": _slope("slope45_up", 2),
    "slope45_down": _slope("slope45_down", -2),
    "slope22_up_a": _slope("slope22_up_a", 1),
    "slope22_up_b": _slope("slope22_up_b", 1),
    "slope22_down_a": _slope("slope22_down_a", -1),
    "slope22_down_b": _slope("slope22_down_b", -1),
    **{name: Block(name, ONEWAY) for name in ("platform_l", "platform_m", "platform_r")},
    "breakable": _solid("breakable", BREAK),
    "door": _solid("door", DOOR),
    "special": _solid("special", SPECIAL),
    "special_right": _solid("special", SPECIAL | MIRROR, flip=True),
    "liquid_top": Block("liquid_top", LIQUID, front=True),
    "liquid": Block("liquid", LIQUID, front=True),
    **{name: Block(name) for name in _DECORATIONS.split()},
    **{name: _solid(name) for name in _DRESSING.split()},
}
"""every block by name; a block's number is its place here"""

NUMBER: dict[str, int] = {name: number for number, name in enumerate(BLOCKS)}
