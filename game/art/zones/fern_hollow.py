"""Fern Hollow: a warm forest floor under a cool, misty wood."""

from __future__ import annotations

import numpy as np

from .. import decor
from ..canvas import blank, capsule, ellipse, hashed, paint
from ..palettes import ACCENT, CAP, GROUND, LINE
from ..scenery import HEIGHT, WIDTH, cloud, disc, ridge, sky, stamp, waves
from ..terrain import (
    Style,
    arrows,
    cracked,
    door_block,
    framed,
    plank_platform,
    ragged_cap,
    signpost,
    stones,
    wavy_liquid,
)

SEEDS = ((3, 3), (11, 2), (7, 8), (14, 9), (2, 11), (9, 14))


def _soil(colors: tuple[int, ...]) -> np.ndarray:
    return stones(SEEDS, colors, gap=1.0, stretch=1.15)


def _fossil(base: np.ndarray) -> np.ndarray:
    """A spiral shell in the soil."""
    picture = base.copy()
    paint(picture, ellipse((16, 16), 7.5, 8, 4.6, 4.6), LINE)
    paint(picture, ellipse((16, 16), 7.5, 8, 3.8, 3.8), GROUND[3])
    for x, y in ((6, 7), (7, 6), (8, 6), (9, 7), (9, 8), (9, 9), (8, 10), (7, 10), (6, 9), (7, 8)):
        picture[y, x] = GROUND[1]
    return picture


def style() -> Style:
    dark, mid, light, bright = CAP
    ground = _soil((GROUND[0], GROUND[1], GROUND[2], GROUND[3]))
    deep = _soil((LINE, GROUND[0], GROUND[0], GROUND[1]))
    surface, body = wavy_liquid()
    log = plank_platform((mid, light, bright), GROUND, height=8, every=16)
    moss = framed(ground, GROUND[0], GROUND[3])
    moss[2:14, 7:9] = LINE
    moss[7:9, 2:14] = LINE
    pad = blank(16, 16)
    pad[:] = ground
    pad[0:9] = mid
    pad[0] = bright
    pad[8] = dark
    return Style(
        ground=ground,
        ground2=_fossil(ground),
        deep=deep,
        deep2=deep,
        cap=ragged_cap(5, (bright, light, mid, mid, dark), drips=3.2, line=LINE),
        wall_shade=(LINE, GROUND[0], GROUND[1]),
        platform=log,
        breakable=cracked(GROUND, ACCENT[1]),
        wall=moss,
        door=door_block(GROUND, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=arrows(pad, bright, dark, 0),
        special2=arrows(pad, bright, dark, 1),
        decorations=(
            decor.fern(CAP[1:]),
            decor.flower(CAP, ACCENT, GROUND[3]),
            decor.mushroom(ACCENT, GROUND[2:], GROUND[3]),
            decor.tuft(CAP[1:]),
            decor.rock(GROUND[1:]),
            decor.vines(CAP, ACCENT[2]),
        ),
        tall=decor.tree(GROUND, CAP),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 79, 5), (80, 119, 4), (120, 159, 3), (160, 255, 2)]


def _trunk(height: int) -> np.ndarray:
    picture = blank(height, 24)
    picture[:, 9:15] = 13
    picture[:, 9] = 14
    picture[:, 10] = 12
    for y in range(6, height - 8, 16):
        picture[y, 11:13] = 14
    paint(picture, capsule(picture.shape, (11, height - 8), (4, height), 3, 3), 13)
    paint(picture, capsule(picture.shape, (12, height - 8), (19, height), 3, 3), 13)
    return picture


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 112, (0, 1, 2, 3))
    sun = disc(19, (2, 3, 15, 4))
    stamp(picture, sun, 376, 8)
    puffs = [cloud(72, 24, (5, 3, 4), 1), cloud(48, 16, (5, 3, 4), 4), cloud(96, 32, (5, 3, 4), 9)]
    for number, x, y in ((2, 24, 16), (1, 160, 40), (0, 232, 24), (1, 320, 48), (0, 448, 48)):
        stamp(picture, puffs[number], x, y)
    far = waves(98, 256, (1, 6, 0.1), (3, 5, 0.3), (7, 2, 0.0))
    ridge(picture, far, 160, (5, 6), rim=(3,), top=90)
    mid = waves(134, 128, (1, 5, 0.6), (4, 3, 0.2), (9, 2, 0.4))
    ridge(picture, mid, 208, (7, 8, 9), rim=(7,), top=124)
    near = waves(176, 128, (2, 6, 0.2), (5, 4, 0.1))
    ridge(picture, near, HEIGHT, (10, 11, 12, 13), rim=(7, 10), top=168)
    for x in range(0, WIDTH, 128):
        for cx, cy, r in ((16, 180, 0), (72, 188, 0)):
            crown = blank(40, 48)
            for i in range(7):
                bx = 8 + hashed(i, 3, r) * 32
                by = 10 + hashed(i, 5, r) * 18
                paint(crown, ellipse(crown.shape, bx, by, 8, 7), 11)
            for i in range(7):
                bx = 7 + hashed(i, 3, r) * 32
                by = 8 + hashed(i, 5, r) * 18
                paint(crown, ellipse(crown.shape, bx, by, 5, 4), 10)
                paint(crown, ellipse(crown.shape, bx - 1, by - 2, 2.5, 1.5), 7)
            trunk = _trunk(72)
            stamp(picture, trunk, x + cx + 8, cy // 8 * 8 + 16)
            stamp(picture, crown, x + cx, cy // 8 * 8)
    return picture
