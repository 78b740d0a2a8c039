"""Frost Peak: snow on blue ice before a twilight of mountains and northern lights."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import blank, grid, hashed, paint, polygon
from pangolin_dash.art.landscape import decor, tall
from pangolin_dash.art.landscape.scenery import (
    HEIGHT,
    WIDTH,
    curtain,
    peaks,
    ridge,
    sky,
    stamp,
    stars,
    waves,
)
from pangolin_dash.art.landscape.terrain import Style, ragged_cap
from pangolin_dash.art.landscape.textures import (
    cracked,
    door_block,
    facets,
    framed,
    plank_platform,
    signpost,
    wavy_liquid,
)
from pangolin_dash.art.palettes import ACCENT, CAP, DEEP, DEEPER, GROUND, LINE

SEEDS = ((2, 3), (9, 1), (13, 7), (6, 9), (1, 13), (11, 14))


def _snowflake(base: np.ndarray) -> np.ndarray:
    picture = base.copy()
    for step in range(-5, 6):
        picture[8 + step, 7] = CAP[3]
        picture[8, 7 + step] = CAP[3]
        if abs(step) < 4:
            picture[8 + step, 7 + step] = CAP[2]
            picture[8 + step, 7 - step] = CAP[2]
    return picture


def style() -> Style:
    dark, mid, light, bright = CAP
    ground = facets(SEEDS, GROUND)
    deep = facets(SEEDS, DEEP)
    deeper = facets(SEEDS, DEEPER)
    surface, body = wavy_liquid()
    for row, column, width in ((4, 1, 5), (5, 1, 4), (5, 9, 4), (6, 9, 3)):  # floes
        surface[row, column : column + width] = bright if row % 3 else light
    ice = ground.copy()
    ice[0:10] = GROUND[3]
    ice[0] = bright
    ice[1] = light
    ice[9] = GROUND[1]
    x, y = grid((16, 16))
    glint = ((x + y) % 16 < 3) & (y > 1) & (y < 9)
    ice2 = ice.copy()
    ice[glint] = bright
    ice2[((x + y + 8) % 16 < 3) & (y > 1) & (y < 9)] = bright
    return Style(
        ground=ground,
        ground2=_snowflake(ground),
        deep=deep,
        deep2=deeper,
        cap=ragged_cap(5.4, (bright, bright, light, mid, dark), drips=3.0, line=GROUND[0]),
        wall_shade=(LINE, GROUND[0], GROUND[1]),
        platform=plank_platform((light, bright, bright), GROUND, height=8, every=24),
        breakable=cracked((GROUND[1], GROUND[2], GROUND[3], CAP[3]), ACCENT[1]),
        wall=framed(facets(((4, 4), (12, 12)), GROUND), GROUND[0], CAP[3]),
        door=door_block(GROUND, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=ice,
        special2=ice2,
        decorations=(
            decor.snowman_pine((GROUND[0], GROUND[1], GROUND[2]), CAP),
            decor.crystals(ACCENT),
            decor.rock(GROUND),
            decor.tuft((CAP[0], CAP[1], CAP[3])),
            decor.crystals(GROUND[1:]),
            decor.icicles((GROUND[2], GROUND[3], CAP[3])),
        ),
        tall=tall.tall_pine(GROUND[0:3], CAP),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 79, 6), (80, 135, 5), (136, 167, 4), (168, 255, 2)]


def _pine(height: int) -> np.ndarray:
    """A pine of the near wood with snow on the side of the light."""
    picture = blank(height, 24)
    shape = picture.shape
    for top, bottom, half in ((0, 14, 5), (8, 25, 8), (17, 38, 11)):
        bough = polygon(shape, [(11.5, top), (11.5 - half, bottom), (11.5 + half, bottom)])
        paint(picture, bough, 12)
        paint(picture, bough & (grid(shape)[0] > 12), 14)
        snow = [(11.5, top), (11.5 - half * 0.9, bottom - 2), (11.5 - half * 0.2, bottom - 5)]
        paint(picture, polygon(shape, snow), 5)
    picture[38:height, 10:14] = 14
    return picture


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 136, (0, 0, 1, 2, 3, 4, 5))
    stars(picture, 48, (6, 7), 3, every=5)
    lights = waves(50, 128, (1, 8, 0.0), (2, 4, 0.3))
    curtain(picture, lights, 34, (13, 15), 2)
    curtain(picture, waves(70, 128, (1, 5, 0.6), (3, 2, 0.1)), 18, (13,), 5)
    corners = [
        (0, 12), (16, 28), (24, 20), (56, 52), (88, 20), (96, 28), (120, 4), (144, 28), (152, 20),
        (180, 48), (216, 12), (228, 24), (240, 12),
    ]  # fmt: skip
    mountains = peaks(134, 256, corners)
    ridge(picture, mountains, 176, (8, 8, 9), top=82)
    y = np.arange(HEIGHT)[:, None]
    depth = y - mountains[None, :]
    jag = np.array([3 * hashed(int(c) // 4 % 64, 2, 4) for c in range(WIDTH)])
    height = np.clip(126 - mountains, 0, None)
    snow = (depth >= 0) & (depth < (height * 0.45 + jag)[None, :])
    rising = (np.roll(mountains, -1) - np.roll(mountains, 1)) <= 0
    paint(picture, snow, np.where(rising, 7, 6).astype(np.uint8)[None, :].repeat(HEIGHT, 0))
    shade = (depth >= 0) & ~snow & ~rising[None, :] & (y < 136)
    picture[shade & (picture == 8)] = 9
    hills = waves(150, 128, (1, 6, 0.2), (3, 4, 0.5))
    ridge(picture, hills, 216, (8, 9, 10), rim=(6, 5), top=140)
    near = waves(206, 128, (1, 6, 0.7), (2, 5, 0.1))
    for column, row in ((8, 168), (40, 176), (88, 168)):
        for left in range(0, WIDTH, 128):
            stamp(picture, _pine(48), left + column, row)
    ridge(picture, near, HEIGHT, (10, 11, 11), rim=(6, 5, 8), top=192)
    return picture
