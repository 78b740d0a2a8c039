"""Ember Works: riveted steel over lava, a dark violet foundry behind."""

from __future__ import annotations

import numpy as np

from .. import decor
from ..canvas import blank, grid, hashed, paint
from ..palettes import ACCENT, CAP, GROUND, LINE, LIQUID
from ..scenery import HEIGHT, WIDTH, ridge, sky, stamp, waves
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


def _plates(colors: tuple[int, ...]) -> np.ndarray:
    picture = bricks(16, 16, colors)
    x, y = grid((16, 16))
    paint(picture, (picture == colors[2]) & ((x + y) % 4 == 0) & (y > 8), colors[1])
    for px in (3, 11):
        for py in (3, 11):
            picture[py, px] = colors[-1]
            picture[py + 1, px + 1] = colors[0]
    return picture


def _vent(base: np.ndarray) -> np.ndarray:
    picture = base.copy()
    picture[3:13, 3:13] = LINE
    for row in (4, 6, 8, 10):
        picture[row, 4:12] = ACCENT[0]
        picture[row, 6:10] = ACCENT[1]
    return picture


def _hazard_cap(depth: np.ndarray, seed: int) -> np.ndarray:
    """A steel rail with warning stripes under it."""
    x, _y = grid((16, 16))
    picture = np.zeros((16, 16), np.uint8)
    stripe = np.where((x + depth) % 8 < 4, ACCENT[2], CAP[0]).astype(np.uint8)
    inside = (depth >= 0) & (depth < 7)
    picture[inside] = stripe[inside]
    picture[(depth >= 0) & (depth < 3)] = CAP[1]
    picture[(depth >= 0) & (depth < 2)] = CAP[2]
    picture[(depth >= 0) & (depth < 1)] = CAP[3]
    picture[(depth >= 3) & (depth < 4)] = LINE
    picture[(depth >= 7) & (depth < 8)] = LINE
    return picture


def style() -> Style:
    ground = _plates(GROUND)
    deep = _plates((LINE, GROUND[0], GROUND[0], GROUND[1]))
    surface, body = wavy_liquid()
    belt = ground.copy()
    belt[0:9] = GROUND[0]
    belt[0] = CAP[3]
    belt[1] = CAP[1]
    belt[8] = LINE
    return Style(
        ground=ground,
        ground2=_vent(ground),
        deep=deep,
        deep2=deep,
        cap=_hazard_cap,
        wall_shade=(LINE, GROUND[3], GROUND[1]),
        platform=plank_platform((CAP[1], CAP[2], CAP[3]), GROUND, height=8, every=8),
        breakable=cracked(GROUND, ACCENT[1]),
        wall=framed(_vent(bricks(16, 16, GROUND)), GROUND[0], GROUND[3]),
        door=door_block(GROUND, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=arrows(belt, ACCENT[2], ACCENT[0], 0),
        special2=arrows(belt, ACCENT[2], ACCENT[0], 1),
        decorations=(
            decor.pipe(GROUND, ACCENT[2]),
            decor.gauge(GROUND, CAP[3], ACCENT[0]),
            decor.gear(GROUND),
            decor.lamp(GROUND, (ACCENT[0], ACCENT[2], LIQUID[2])),
            decor.rock((GROUND[0], GROUND[1], GROUND[2])),
            decor.pipe(GROUND, ACCENT[0]),
        ),
        tall=decor.chimney(GROUND, LIQUID),
        goal=signpost(GROUND, ACCENT, GROUND),
    )


STRIPS = [(0, 63, 5), (64, 135, 4), (136, 191, 3), (192, 255, 2)]


def _tower(width: int, height: int, body: int, light: int, seed: int) -> np.ndarray:
    picture = blank(height, width, body)
    for row in range(8, height - 8, 16):
        for column in range(8, width - 8, 16):
            if hashed(row, column, seed) < 0.45:
                picture[row + 2 : row + 6, column + 2 : column + 6] = light
    picture[:, 0] = picture[:, -1] = 0
    picture[0:2, :] = light if seed % 3 == 0 else body
    return picture


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 160, (0, 0, 1, 2, 3, 4, 5))
    smoke = waves(40, 256, (2, 6, 0.1), (5, 4, 0.3), (9, 2, 0.5))
    _, y = grid(picture.shape)
    inside = (y >= smoke[None, :]) & (y < smoke[None, :] + 10 + (smoke[None, :] % 5))
    paint(picture, inside, 2)
    far = np.full(WIDTH, 112)
    for number in range(16):
        left = number * 16 + 256 * 0
        far[left : left + 16] = 80 + int(hashed(number, 1) * 5) * 8
    far[256:] = far[:256]
    ridge(picture, far, 192, (15,), rim=(4,))
    for x in (32, 136, 208, 288, 392, 464):  # stacks
        picture[64:120, x : x + 8] = 15
        picture[66:68, x : x + 8] = 4
    mid = np.full(WIDTH, 160)
    for number in range(32):
        left = number * 16
        mid[left : left + 16] = 144 + int(hashed(number % 8, 7) * 4) * 8
    ridge(picture, mid, 232, (14, 7), rim=(10,))
    for number in range(0, 64, 2):
        for row in (168, 184):
            if hashed(number % 16, row) < 0.4:
                picture[row + 2 : row + 6, number * 8 + 2 : number * 8 + 6] = 12
    near = np.full(WIDTH, 208)
    near[(np.arange(WIDTH) // 32) % 2 == 0] = 200
    ridge(picture, near, HEIGHT, (8, 13, 9), rim=(10, 7))
    girder = blank(16, 32)
    girder[0:2] = 10
    girder[14:16] = 7
    for x in range(32):
        h = abs((x % 16) - 8)
        girder[min(2 + h + 4, 15) : min(4 + h + 4, 16), x] = 7
    for x in range(0, WIDTH, 32):
        stamp(picture, girder, x, 224)
    return picture
