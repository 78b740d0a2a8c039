"""Starlit Ruins: pale marble with gold under a night sky with a great moon."""

from __future__ import annotations

import numpy as np

from .. import decor
from ..canvas import blank, ellipse, grid, paint
from ..palettes import ACCENT, CAP, GROUND, LINE
from ..scenery import HEIGHT, WIDTH, disc, ridge, sky, stamp, stars, waves
from ..terrain import (
    Style,
    arrows,
    bricks,
    cracked,
    door_block,
    framed,
    plank_platform,
    signpost,
    wavy_liquid,
)


def _star(base: np.ndarray) -> np.ndarray:
    picture = base.copy()
    for step in range(-4, 5):
        picture[8 + step, 7] = CAP[2]
        picture[8, 7 + step] = CAP[2]
    paint(picture, ellipse((16, 16), 7, 8, 2, 2), CAP[3])
    for dx, dy in ((-2, -2), (2, -2), (-2, 2), (2, 2)):
        picture[8 + dy, 7 + dx] = CAP[1]
    return picture


def _frieze(depth: np.ndarray, seed: int) -> np.ndarray:
    """A gold ledge with a meander under it."""
    x, _ = grid((16, 16))
    picture = np.zeros((16, 16), np.uint8)
    inside = (depth >= 0) & (depth < 8)
    picture[inside] = GROUND[1]
    meander = (depth == 6) | ((depth == 4) & (x % 8 > 2)) | ((depth == 5) & (x % 8 == 7))
    meander |= (depth == 5) & (x % 8 == 3)
    picture[inside & meander] = CAP[1]
    for row, color in enumerate((CAP[3], CAP[2], CAP[1], CAP[0])):
        picture[(depth >= row) & (depth < row + 1)] = color
    picture[(depth >= 7) & (depth < 8)] = LINE
    return picture


def style() -> Style:
    ground = bricks(8, 16, GROUND, seed=5, chips=0.06)
    deep = bricks(8, 16, (LINE, GROUND[0], GROUND[0], GROUND[1]), seed=5)
    surface, body = wavy_liquid()
    pad = ground.copy()
    pad[0:9] = ACCENT[0]
    pad[0] = ACCENT[2]
    pad[8] = LINE
    return Style(
        ground=ground,
        ground2=_star(ground),
        deep=deep,
        deep2=deep,
        cap=_frieze,
        wall_shade=(LINE, GROUND[3], GROUND[1]),
        platform=plank_platform(CAP[1:], GROUND, height=8, every=16),
        breakable=cracked(GROUND, ACCENT[2]),
        wall=framed(_star(bricks(16, 16, GROUND)), GROUND[0], CAP[2]),
        door=door_block(GROUND, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=arrows(pad, ACCENT[2], LINE, 0),
        special2=arrows(pad, ACCENT[2], LINE, 1),
        decorations=(
            decor.column_stub(GROUND),
            decor.star_glyph(GROUND, ACCENT),
            decor.vase((GROUND[1], GROUND[2], GROUND[3]), CAP[2]),
            decor.crystals(ACCENT),
            decor.lamp(CAP, ACCENT),
            decor.vines((GROUND[1], GROUND[2], GROUND[3]), ACCENT[2]),
        ),
        tall=decor.pillar(GROUND, CAP),
        goal=signpost(GROUND, ACCENT, GROUND),
    )


STRIPS = [(0, 95, 5), (96, 151, 4), (152, 191, 3), (192, 255, 2)]


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 176, (0, 0, 1, 2, 3, 4, 5, 13))
    stars(picture, 128, (7, 6, 8), 11, every=3)
    moon = disc(30, (8, 7, 6), craters=False)
    for x, y, r in ((22, 20, 6), (42, 30, 5), (28, 44, 4), (46, 46, 3)):
        paint(moon, ellipse(moon.shape, x, y, r, r), 7)
    stamp(picture, moon, 328, 16)
    far = waves(128, 256, (1, 8, 0.1), (3, 5, 0.4), (7, 3, 0.2))
    ridge(picture, far, 200, (11, 12), rim=(10,), top=110)
    temple = blank(56, 80)
    temple[8:12, 4:76] = 10
    temple[12:16, 8:72] = 11
    for row in range(8):
        temple[row, 40 - row * 4 : 40 + row * 4] = 10
    for column in range(8, 72, 16):
        temple[16:56, column : column + 8] = 11
        temple[16:56, column] = 9
        temple[16:56, column + 1] = 10
    for x in (48, 304):
        stamp(picture, temple, x, 104)
    mid = waves(170, 128, (1, 6, 0.4), (3, 4, 0.0))
    ridge(picture, mid, 232, (12, 11), rim=(9, 10), top=160)
    near = waves(212, 128, (2, 6, 0.1), (3, 5, 0.6))
    ridge(picture, near, HEIGHT, (1, 12), rim=(10, 11), top=200)
    for x in range(16, WIDTH, 128):
        shaft = blank(48, 16)
        shaft[:, 3:13] = 12
        shaft[:, 4] = 9
        shaft[:, 5] = 10
        shaft[:, 8] = 11
        shaft[0:4, 1:15] = 11
        shaft[0, 1:15] = 9
        stamp(picture, shaft, x, 168)
        stamp(picture, shaft[:32], x + 56, 184)
    return picture
