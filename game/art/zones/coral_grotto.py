"""Coral Grotto: pink coral rock in a sunlit blue sea cave."""

from __future__ import annotations

import numpy as np

from .. import decor
from ..canvas import blank, ellipse, grid, paint, polygon
from ..palettes import ACCENT, CAP, GROUND, LINE
from ..scenery import HEIGHT, WIDTH, ridge, sky, stamp, waves
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

SEEDS = ((2, 2), (8, 4), (13, 1), (4, 9), (11, 10), (0, 14), (8, 15))


def _starfish(base: np.ndarray) -> np.ndarray:
    picture = base.copy()
    points = []
    from ..canvas import cos, sin

    for number in range(10):
        radius = 6.2 if number % 2 == 0 else 2.6
        points.append((7.5 + radius * sin(36 * number), 8 - radius * cos(36 * number)))
    shape = polygon((16, 16), points)
    paint(picture, shape, ACCENT[1])
    paint(picture, ellipse((16, 16), 7.5, 8, 1.6, 1.6), ACCENT[2])
    for number in range(5):
        picture[round(8 - 4 * cos(72 * number)), round(7.5 + 4 * sin(72 * number))] = ACCENT[2]
    return picture


def style() -> Style:
    dark, mid, light, bright = CAP
    ground = stones(SEEDS, GROUND, gap=1.1)
    deep = stones(SEEDS, (LINE, GROUND[0], GROUND[0], GROUND[1]), gap=1.1)
    surface, body = wavy_liquid()
    pad = ground.copy()
    pad[0:9] = dark
    pad[0] = bright
    pad[8] = LINE
    return Style(
        ground=ground,
        ground2=_starfish(ground),
        deep=deep,
        deep2=deep,
        cap=ragged_cap(5, (bright, light, mid, dark), drips=2.6, line=LINE),
        wall_shade=(LINE, GROUND[0], GROUND[1]),
        platform=plank_platform((mid, light, bright), GROUND, height=8, every=8),
        breakable=cracked(GROUND, ACCENT[1]),
        wall=framed(stones(((4, 4), (12, 12)), GROUND), GROUND[0], GROUND[3]),
        door=door_block(CAP, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=arrows(pad, bright, LINE, 0),
        special2=arrows(pad, bright, LINE, 1),
        decorations=(
            decor.coral(ACCENT),
            decor.shell((GROUND[1], GROUND[3], CAP[3])),
            decor.tuft(CAP),
            decor.coral(GROUND[1:]),
            decor.rock(GROUND),
            decor.vines(CAP, ACCENT[1]),
        ),
        tall=decor.kelp(CAP),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 71, 5), (72, 127, 4), (128, 175, 3), (176, 255, 2)]


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, HEIGHT, (13, 0, 1, 3, 3, 4, 4, 12, 12))
    x, y = grid(picture.shape)
    # Sunbeams: slanted bands, drawn only where their dithering lands, over rows of the sea.
    for start, width in ((40, 24), (88, 8), (168, 16), (216, 24)):
        offset = (x + y / 2 - start) % 256
        beam = (offset < width) & (y < 128)
        density = np.where(y < 48, 2, 4)
        beam &= (x + y) % 2 == 0
        beam &= (y % density) < 2
        paint(picture, beam, np.where(y < 64, 6, 5).astype(np.uint8))
    for cx in (24, 280):
        bubble = blank(8, 8)
        paint(bubble, ellipse((8, 8), 3.5, 3.5, 3, 3), 6)
        paint(bubble, ellipse((8, 8), 3.5, 3.5, 2, 2), 0)
        bubble[2, 2] = 15
        for dx, dy in ((0, 88), (8, 64), (0, 40), (88, 96), (96, 80), (160, 72), (168, 48)):
            stamp(picture, bubble, cx + dx, dy)
    far = waves(106, 256, (1, 10, 0.2), (3, 7, 0.0), (8, 3, 0.4), (16, 1.5, 0.1))
    ridge(picture, far, 192, (8, 3, 4), rim=(9,), top=84)
    mid = waves(154, 128, (1, 8, 0.5), (3, 7, 0.1), (8, 3, 0.2))
    ridge(picture, mid, 232, (11, 10, 10, 4), rim=(11,), top=136)
    near = waves(204, 128, (2, 9, 0.1), (5, 6, 0.3), (11, 3, 0.2))
    ridge(picture, near, HEIGHT, (10, 12, 14), rim=(11, 10), top=186)
    for column in range(0, WIDTH, 64):
        kelp = blank(48, 16)
        for row in range(48):
            bend = (0, 1, 2, 2, 2, 1, 0, 0)[(row // 2) % 8]
            kelp[row, 6 + bend : 8 + bend] = 9
            if row % 8 < 4:
                kelp[row, 8 + bend : 12 + bend - row % 4] = 8
            else:
                kelp[row, 2 + bend + row % 4 : 6 + bend] = 8
        stamp(picture, kelp, column + 24 * (column // 64 % 2), 176)
    return picture
