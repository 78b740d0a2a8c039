"""Starlit Ruins: pale marble with gold under a night sky with a great moon."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import blank, ellipse, grid, paint
from pangolin_dash.art.landscape import decor, tall
from pangolin_dash.art.landscape.scenery import HEIGHT, WIDTH, disc, ridge, sky, stamp, stars, waves
from pangolin_dash.art.landscape.terrain import Style
from pangolin_dash.art.landscape.textures import (
    bricks,
    cracked,
    door_block,
    framed,
    glowing_pad,
    plank_platform,
    scattered,
    signpost,
    wavy_liquid,
)
from pangolin_dash.art.palettes import ACCENT, CAP, DEEP, DEEPER, GROUND, LINE


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
    if seed == 1:  # a jewel in the frieze
        paint(picture, inside & (np.abs(x - 7.5) + np.abs(depth - 4) < 4.1), LINE)
        paint(picture, inside & (np.abs(x - 7.5) + np.abs(depth - 4) < 3.1), ACCENT[1])
        paint(picture, inside & (np.abs(x - 6.5) + np.abs(depth - 3) < 1.1), ACCENT[2])
    return picture


def style() -> Style:
    ground = bricks(8, 16, GROUND, seed=5, chips=0.06)
    deep = bricks(8, 16, DEEP, seed=5)
    deeper = bricks(8, 16, DEEPER, seed=5)
    surface, body = wavy_liquid()
    body = scattered(body, ((3, 6), (12, 2), (9, 12), (1, 13)), CAP[3])
    surface = scattered(surface, ((5, 12), (12, 8)), CAP[3])
    return Style(
        ground=ground,
        ground2=_star(ground),
        deep=deep,
        deep2=deeper,
        cap=_frieze,
        wall_shade=(LINE, GROUND[3], GROUND[1]),
        platform=plank_platform(CAP[1:], GROUND, height=8, every=16),
        breakable=cracked(GROUND, ACCENT[2]),
        wall=framed(_star(bricks(16, 16, GROUND)), GROUND[0], CAP[2]),
        door=door_block(GROUND, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=glowing_pad(ground, ACCENT, CAP, 0),
        special2=glowing_pad(ground, ACCENT, CAP, 1),
        decorations=(
            decor.column_stub(GROUND),
            decor.star_glyph(GROUND, ACCENT),
            decor.vase((GROUND[1], GROUND[2], GROUND[3]), CAP[2]),
            decor.crystals(ACCENT),
            decor.lamp(CAP, ACCENT),
            decor.vines((GROUND[1], GROUND[2], GROUND[3]), ACCENT[2]),
        ),
        tall=tall.pillar(GROUND, CAP),
        goal=signpost(GROUND, ACCENT, GROUND),
    )


STRIPS = [(0, 103, 6), (104, 151, 5), (152, 183, 4), (184, 255, 2)]


def _temple() -> np.ndarray:
    """A roofed temple on steps, moonlit from the left (48, 96)."""
    picture = blank(48, 96)
    for row in range(8):  # pediment
        half = 6 + row * 5
        picture[row, 48 - half : 48 + half] = 10
        picture[row, 48 - half : 48 - half + 4] = 9
    picture[8:12, 6:90] = 11
    picture[8, 6:90] = 9
    for left in range(8, 88, 16):
        picture[12:40, left + 2 : left + 10] = 11
        picture[12:40, left + 2 : left + 4] = 9
        picture[12:40, left + 4 : left + 6] = 10
        picture[12:14, left : left + 12] = 10
    picture[34:40, 52:56] = 14  # a lamp burns inside
    picture[40:44, 4:92] = 10
    picture[44:48, 0:96] = 11
    picture[40, 4:92] = picture[44, 0:96] = 9
    return picture


def _shaft(height: int, broken: int) -> np.ndarray:
    """A near column; `broken` pixels are missing at its slanted top."""
    picture = blank(height, 24)
    for column, color in zip(
        range(5, 19), (9, 9, 10, 11, 10, 10, 11, 10, 11, 11, 12, 11, 12, 12), strict=True
    ):
        top = 8 if not broken else 2 + broken * (column % 5 + column // 3) // 8
        picture[top:, column] = color
    if not broken:
        picture[0:8, 1:23] = 11
        picture[0:2, 1:23] = 9
        picture[4, 3:21] = 10
    return picture


def _arch() -> np.ndarray:
    """A lonely arch on the hills (32, 40), its right shoulder broken."""
    picture = blank(32, 40)
    shape = picture.shape
    paint(picture, ellipse(shape, 19.5, 19, 17, 17), 11)
    paint(picture, ellipse(shape, 18.5, 20, 16, 16), 10)
    paint(picture, ellipse(shape, 19.5, 20, 14, 14), 11)
    picture[20:32, 3:37] = 11
    picture[20:32, 3:5] = picture[20:32, 30:32] = 10
    opening = ellipse(shape, 19.5, 20, 10, 11)
    opening[20:, 10:30] = True
    picture[opening] = 0
    for column in range(28, 40):
        picture[: 8 + (column * 5) % 4 + (column - 28) // 2, column] = 0
    picture[18:21, 1:12] = picture[18:21, 28:39] = 10
    picture[18, 1:12] = 9
    return picture


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 152, (0, 0, 1, 2, 3, 4, 5, 13))
    stars(picture, 104, (7, 6, 8), 11, every=4)
    moon = disc(30, (8, 7, 6))
    for x, row, r in ((22, 20, 6), (42, 30, 5), (28, 44, 4), (46, 46, 3)):
        paint(moon, ellipse(moon.shape, x, row, r, r), 7)
    stamp(picture, moon, 328, 16)
    far = waves(136, 128, (1, 7, 0.1), (3, 4, 0.4))
    ridge(picture, far, 200, (11, 12, 12), rim=(10,), top=120)
    stamp(picture, _temple(), 80, 104)
    stamp(picture, _temple(), 336, 104)
    ruin = _temple()[:, 24:72].copy()
    ruin[:24, 24:] = 0
    ruin[:12] = 0
    for left in (208, 464):
        stamp(picture, ruin, left, 104)
    for left in range(32, WIDTH, 128):
        stamp(picture, _arch(), left, 152)
    mid = waves(172, 128, (1, 6, 0.4), (3, 4, 0.0))
    ridge(picture, mid, 232, (12, 12, 11), rim=(9, 10), top=160)
    near = waves(214, 128, (2, 6, 0.1), (3, 5, 0.6))
    for left in range(0, WIDTH, 128):
        stamp(picture, _shaft(56, 0), left + 8, 184)
        stamp(picture, _shaft(40, 8), left + 48, 192)
        stamp(picture, _shaft(56, 0), left + 88, 184)
    ridge(picture, near, HEIGHT, (1, 12), rim=(10, 11), top=200)
    return picture
