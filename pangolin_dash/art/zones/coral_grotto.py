"""Coral Grotto: pink coral rock in a sunlit blue sea cave."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import blank, capsule, cos, ellipse, grid, paint, polygon, sin
from pangolin_dash.art.landscape import decor, tall
from pangolin_dash.art.landscape.scenery import HEIGHT, WIDTH, ridge, sky, stamp, waves
from pangolin_dash.art.landscape.terrain import Style, ragged_cap
from pangolin_dash.art.landscape.textures import (
    cracked,
    cushion,
    door_block,
    framed,
    plank_platform,
    shallow_water,
    signpost,
    stones,
)
from pangolin_dash.art.palettes import ACCENT, CAP, DEEP, DEEPER, GROUND, LINE

SEEDS = ((2, 2), (8, 4), (13, 1), (4, 9), (11, 10), (0, 14), (8, 15))


def _starfish(base: np.ndarray) -> np.ndarray:
    picture = base.copy()
    points = []
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
    deep = stones(SEEDS, DEEP, gap=1.1)
    deeper = stones(SEEDS, DEEPER, gap=1.1)
    surface, body = shallow_water()
    pores = ((2, 3), (3, 3), (5, 5), (1, 6), (4, 7), (9, 5), (11, 3), (12, 3), (13, 6), (11, 7))
    return Style(
        ground=ground,
        ground2=_starfish(ground),
        deep=deep,
        deep2=deeper,
        cap=ragged_cap(5, (bright, light, mid, dark), drips=2.6, line=LINE),
        wall_shade=(LINE, GROUND[0], GROUND[1]),
        platform=plank_platform((mid, light, bright), GROUND, height=8, every=8),
        breakable=cracked(GROUND, ACCENT[1]),
        wall=framed(stones(((4, 4), (12, 12)), GROUND), GROUND[0], GROUND[3]),
        door=door_block(CAP, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=cushion(ground, ACCENT, pores, GROUND[0], 0),
        special2=cushion(ground, ACCENT, pores, GROUND[0], 1),
        decorations=(
            decor.coral(ACCENT),
            decor.shell((GROUND[1], GROUND[3], CAP[3])),
            decor.tuft(CAP),
            decor.coral(GROUND[1:]),
            decor.rock(GROUND),
            decor.vines(CAP, ACCENT[1]),
        ),
        tall=tall.kelp(CAP),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 79, 6), (80, 127, 5), (128, 167, 4), (168, 255, 2)]


def _kelp(height: int, light: int, dark: int) -> np.ndarray:
    picture = blank(height, 16)
    for row in range(height):
        bend = (0, 1, 2, 2, 2, 1, 0, 0)[(row // 2) % 8]
        picture[row, 6 + bend : 8 + bend] = light
        if row % 8 < 4:
            picture[row, 8 + bend : 12 + bend - row % 4] = dark
        else:
            picture[row, 2 + bend + row % 4 : 6 + bend] = light
    return picture


def _fan(size: int, light: int, dark: int) -> np.ndarray:
    """A sea fan: branches in a half disc."""
    picture = blank(size, size)
    middle = size / 2 - 0.5
    for angle in range(-75, 90, 25):
        for length, color in ((0.95, dark), (0.62, light)):
            tip = (middle + size * 0.52 * length * sin(angle), size - size * length * cos(angle))
            branch = capsule(picture.shape, (middle, size), tip, 1.4, 1.0)
            paint(picture, branch, color)
            for side in (-14, 14):
                twig = (
                    middle + size * 0.5 * length * sin(angle + side),
                    size - size * 0.8 * length * cos(angle + side),
                )
                start = ((middle + tip[0]) / 2, (size + tip[1]) / 2)
                paint(picture, capsule(picture.shape, start, twig, 0.9, 0.7), color)
    return picture


def _fish(color: int) -> np.ndarray:
    picture = blank(8, 8)
    paint(picture, ellipse((8, 8), 3, 3.5, 2.6, 1.7), color)
    paint(picture, polygon((8, 8), [(4.5, 3.5), (7.5, 1), (7.5, 6)]), color)
    picture[3, 2] = 13
    return picture


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, HEIGHT, (13, 0, 1, 3, 3, 4, 4, 12, 12, 12))
    x, y = grid(picture.shape)
    for start, width in ((40, 24), (88, 8), (168, 16), (216, 24)):  # sunbeams
        beam = ((x + y / 2 - start) % 256 < width) & (y < 80)
        beam &= ((x + y) % 2 == 0) & (y % np.where(y < 40, 2, 4) < 2)
        paint(picture, beam, np.where(y < 56, 6, 5).astype(np.uint8))
    bubble = blank(8, 8)
    paint(bubble, ellipse((8, 8), 3.5, 3.5, 3, 3), 6)
    paint(bubble, ellipse((8, 8), 3.5, 3.5, 2, 2), 5)
    bubble[2, 2] = 15
    for left in (24, 280):
        for dx, dy in ((0, 64), (8, 40), (0, 16), (88, 56), (96, 24), (160, 48), (168, 16)):
            stamp(picture, bubble, left + dx, dy)
    far = waves(108, 256, (1, 10, 0.2), (3, 7, 0.0), (8, 3, 0.4))
    ridge(picture, far, 200, (8, 8, 3, 4), rim=(9,), top=84)
    for left in (40, 296):  # an arch of rock
        hole = ellipse(picture.shape, left + 24, 124, 13, 17) & (y < 128)
        paint(picture, hole & (picture != 9), 4)
    for number, (dx, dy) in enumerate(((0, 88), (16, 96), (8, 104), (24, 88))):
        stamp(picture, _fish(9 if number % 2 else 6), 136 + dx, dy)
        stamp(picture, _fish(6 if number % 2 else 9), 424 + dx, dy)
    mid = waves(150, 128, (1, 7, 0.5), (3, 6, 0.1), (8, 2, 0.2))
    ridge(picture, mid, 240, (10, 11, 11, 4), rim=(9,), top=132)
    near = waves(196, 128, (2, 8, 0.1), (5, 4, 0.3))
    for left in range(0, WIDTH, 128):
        stamp(picture, _kelp(56, 8, 9), left + 8, 168)
        stamp(picture, _kelp(56, 8, 9), left + 80, 168)
        stamp(picture, _fan(32, 7, 2), left + 32, 168)
        stamp(picture, _fan(24, 7, 2), left + 104, 176)
    ridge(picture, near, HEIGHT, (10, 12, 14), rim=(11, 10), top=184)
    return picture
