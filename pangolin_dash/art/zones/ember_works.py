"""Ember Works: riveted steel over lava, a dark violet foundry behind."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import blank, capsule, cos, ellipse, grid, hashed, over, paint, sin
from pangolin_dash.art.landscape import decor, tall
from pangolin_dash.art.landscape.scenery import HEIGHT, WIDTH, bumps, ridge, sky, stamp
from pangolin_dash.art.landscape.terrain import Style
from pangolin_dash.art.landscape.textures import (
    arrows,
    bricks,
    cracked,
    door_block,
    framed,
    plank_platform,
    signpost,
    wavy_liquid,
)
from pangolin_dash.art.palettes import ACCENT, CAP, DEEP, DEEPER, GROUND, LINE, LIQUID


def _plates(colors: tuple[int, ...]) -> np.ndarray:
    picture = bricks(16, 16, colors)
    picture[2:14, 2:14] = colors[2]
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
    if seed == 1:  # a lamp in the rail
        paint(picture, inside & (depth >= 3) & (np.abs(x - 7.5) < 3.5), LINE)
        paint(picture, (depth >= 4) & (depth < 6) & (np.abs(x - 7.5) < 2.5), ACCENT[1])
        paint(picture, (depth >= 4) & (depth < 5) & (np.abs(x - 7.5) < 1.5), LIQUID[2])
    return picture


def style() -> Style:
    ground = _plates(GROUND)
    deep = _plates(DEEP)
    deeper = _plates(DEEPER)
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
        deep2=deeper,
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
            decor.chain(GROUND, ACCENT[2]),
        ),
        tall=tall.chimney(GROUND, LIQUID),
        goal=signpost(GROUND, ACCENT, GROUND),
    )


STRIPS = [(0, 55, 6), (56, 119, 5), (120, 183, 4), (184, 255, 2)]


def _stack(height: int, width: int, lit: int, body: int) -> np.ndarray:
    """A chimney with rings, a lit left edge and a warning lamp."""
    picture = blank(height, width, body)
    picture[:, 0] = lit
    for row in range(3, height, 16):
        picture[row : row + 2, :] = lit
    picture[0, :] = 12
    return picture


def _hall(width: int, height: int) -> np.ndarray:
    """A hall with a saw-tooth roof and lit windows; stands on its lower edge."""
    picture = blank(height, width, 14)
    for column in range(width):
        tooth = column % 32 // 2
        picture[: 16 - tooth, column] = 0
        picture[16 - tooth : 18 - tooth, column] = 10
    for left in range(0, width, 32):  # the teeth's upright side is glass
        picture[2:18, left + 30 : left + 32] = 6
    for left in range(0, width, 16):
        picture[26:34, left + 4 : left + 12] = 13
        picture[26:34, left + 4 : left + 12 : 4] = 14
        if hashed(left, height, 3) < 0.6:
            picture[27:34, left + 5 : left + 8] = 12
            picture[27:34, left + 9 : left + 12] = 11
    return picture


def _wheel(radius: int) -> np.ndarray:
    """A toothed wheel."""
    size = 2 * radius + 8
    picture = blank(size, size)
    middle = size / 2 - 0.5
    for number in range(12):
        x, y = middle + radius * cos(30 * number), middle + radius * sin(30 * number)
        paint(picture, ellipse(picture.shape, x, y, 3.2, 3.2), 10)
    paint(picture, ellipse(picture.shape, middle, middle, radius, radius), 10)
    paint(picture, ellipse(picture.shape, middle, middle, radius - 2, radius - 2), 14)
    for number in range(3):
        dx, dy = radius * cos(60 * number), radius * sin(60 * number)
        spoke = capsule(
            picture.shape, (middle - dx, middle - dy), (middle + dx, middle + dy), 1.6, 1.6
        )
        paint(picture, spoke, 10)
    paint(picture, ellipse(picture.shape, middle, middle, 5, 5), 10)
    paint(picture, ellipse(picture.shape, middle, middle, 2, 2), 9)
    return picture


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 136, (0, 0, 1, 2, 3, 4, 5, 6))
    for base, seed, color in ((30, 3, 1), (42, 5, 2)):  # smoke under the sky's lid
        layer = blank(HEIGHT, WIDTH)
        ridge(layer, bumps(base, 128, 6, 13, seed), base + 10, (color,))
        lower = bumps(base, 128, 7, 10, seed + 20)
        layer[np.arange(HEIGHT)[:, None] > 2 * base - lower[None, :] - 4] = 0
        over(picture, layer)
    for x, top, width in ((24, 56, 16), (56, 72, 8), (144, 64, 16), (176, 80, 8), (216, 72, 8)):
        for left in (x, x + 256):
            stamp(picture, _stack(120 - top, width, 4, 15), left, top)
    far = np.full(WIDTH, 112)
    for number in range(32):
        far[number * 16 : number * 16 + 16] = 88 + int(hashed(number % 16, 1) * 4) * 8
    ridge(picture, far, 176, (15, 15, 14), rim=(4,))
    for number in range(64):
        for row in (104, 112):
            if hashed(number % 32, row, 2) < 0.3 and far[number * 8] < row:
                picture[row + 2 : row + 5, number * 8 + 3 : number * 8 + 5] = 12
    for left in range(0, WIDTH, 128):
        stamp(picture, _hall(64, 64), left, 120)
        stamp(picture, _hall(32, 48), left + 80, 136)
        stamp(picture, _stack(56, 8, 10, 14), left + 68, 128)
    ridge(picture, np.full(WIDTH, 176), 200, (14, 8), rim=())
    for left in (16, 272):
        stamp(picture, _wheel(24), left + 88, 184)
        stamp(picture, _wheel(16), left + 8, 192)
    # near: pipes and a lattice girder over the glow of the melt
    for row, thick in ((224, 16), (192, 8)):
        picture[row : row + thick] = 13
        picture[row : row + 1] = 7
        picture[row + 1 : row + 3] = 10
        picture[row + thick - 2 : row + thick] = 8
        for left in range(0, WIDTH, 64):
            picture[row - 1 : row + thick + 1, left + 24 : left + 30] = 14
            picture[row - 1 : row + thick + 1, left + 24] = 10
    sky(picture, 240, HEIGHT, (9, 8, 4, 4, 11))
    return picture
