"""Fern Hollow: a warm forest floor under a cool, misty wood."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import blank, capsule, ellipse, over, paint
from pangolin_dash.art.landscape import decor, tall
from pangolin_dash.art.landscape.scenery import (
    HEIGHT,
    WIDTH,
    bumps,
    cloud,
    disc,
    ridge,
    sky,
    stamp,
    waves,
)
from pangolin_dash.art.landscape.terrain import Style, ragged_cap
from pangolin_dash.art.landscape.textures import (
    brambles,
    cracked,
    cushion,
    door_block,
    framed,
    plank_platform,
    signpost,
    stones,
    wavy_liquid,
)
from pangolin_dash.art.palettes import ACCENT, CAP, DEEP, DEEPER, GROUND, LINE

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
    deep = _soil(DEEP)
    deeper = _soil(DEEPER)
    surface, body = wavy_liquid()
    log = plank_platform((mid, light, bright), GROUND, height=8, every=16)
    moss = framed(ground, GROUND[0], GROUND[3])
    moss[2:14, 7:9] = LINE
    moss[7:9, 2:14] = LINE
    spots = ((2, 3), (5, 2), (4, 6), (10, 4), (13, 2), (12, 6))
    return Style(
        ground=ground,
        ground2=_fossil(ground),
        deep=deep,
        deep2=deeper,
        cap=ragged_cap(5, (bright, light, mid, mid, dark), drips=3.2, line=LINE),
        wall_shade=(LINE, GROUND[0], GROUND[1]),
        platform=log,
        breakable=cracked(GROUND, ACCENT[1]),
        wall=moss,
        door=door_block(GROUND, ACCENT),
        liquid_top=brambles(surface, ACCENT[0], ACCENT[2]),
        liquid=body,
        special=cushion(ground, ACCENT, spots, GROUND[3], 0),
        special2=cushion(ground, ACCENT, spots, GROUND[3], 1),
        decorations=(
            decor.fern(CAP[1:]),
            decor.flower(CAP, ACCENT, GROUND[3]),
            decor.mushroom(ACCENT, GROUND[2:], GROUND[3]),
            decor.tuft(CAP[1:]),
            decor.rock(GROUND[1:]),
            decor.vines(CAP, ACCENT[2]),
        ),
        tall=tall.tree_fern(GROUND, CAP),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 47, 6), (48, 71, 5), (72, 103, 4), (104, 135, 3), (136, 255, 2)]


def _trunk(height: int, width: int) -> np.ndarray:
    """A trunk of the near wood, lit on its left side."""
    picture = blank(height, width + 16)
    picture[:, 8 : 8 + width] = 14
    picture[:, 8:10] = 11
    for y in range(5, height, 16):
        picture[y : y + 3, 8 + width // 2] = 13
    for left, right in ((8, 2), (8 + width, 14 + width)):
        root = capsule(picture.shape, (left, height - 10), (right, height + 2), 2.5, 3.5)
        paint(picture, root, 14)
    return picture


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 104, (0, 0, 1, 2, 3))
    stamp(picture, disc(18, (2, 3, 15, 4)), 376, 8)
    puffs = [cloud(72, 24, (5, 3, 4), 1), cloud(48, 16, (5, 3, 4), 4), cloud(96, 32, (5, 3, 4), 9)]
    for number, x, y in ((2, 24, 8), (1, 232, 16), (0, 296, 8), (1, 440, 24)):
        stamp(picture, puffs[number], x, y)
    for number, x, y in ((1, 136, 56), (0, 184, 48), (1, 328, 56), (0, 424, 48)):
        stamp(picture, puffs[number], x, y)
    far = waves(90, 256, (1, 6, 0.1), (3, 5, 0.3), (7, 1.5, 0.0))
    ridge(picture, far, 136, (5, 5, 6), rim=(3,), top=80)
    ridge(picture, bumps(122, 128, 9, 11, 5), 176, (7, 7, 8), rim=(3,), top=108)
    ridge(picture, bumps(132, 128, 7, 9, 8), 176, (8, 8, 9), rim=(7,), top=120)
    # The near wood: three rows of crowns over a dark hall of trunks.
    ridge(picture, np.full(WIDTH, 160), HEIGHT, (12, 12, 13, 13), top=160)
    for x in range(0, WIDTH, 128):
        for left, width in ((8, 8), (72, 8)):
            stamp(picture, _trunk(80, width), x + left, 176)
        thin = blank(80, 8)
        thin[:, 2:6] = 13
        thin[:, 2] = 12
        stamp(picture, thin, x + 48, 176)
        stamp(picture, thin, x + 112, 176)
    for base, seed, colors, rim in (
        (158, 2, (9, 10), (7, 9)),
        (172, 6, (10, 11), (9, 10)),
        (186, 11, (11, 12), (10,)),
    ):
        rows = bumps(base, 128, 6, 15, seed)
        lower = bumps(base + 22, 128, 7, 9, seed + 30)
        layer = blank(HEIGHT, WIDTH)
        ridge(layer, rows, HEIGHT, colors, rim=rim, top=base - 20)
        layer[np.arange(HEIGHT)[:, None] > 2 * (base + 14) - lower[None, :]] = 0
        over(picture, layer)
    return picture
