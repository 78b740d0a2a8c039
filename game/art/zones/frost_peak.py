"""Frost Peak: snow on blue ice before a twilight of mountains and northern lights."""

from __future__ import annotations

import numpy as np

from .. import decor
from ..canvas import blank, grid, paint, polygon, wave
from ..palettes import ACCENT, CAP, GROUND, LINE
from ..scenery import HEIGHT, WIDTH, peaks, ridge, sky, stamp, stars, waves
from ..terrain import (
    Style,
    cracked,
    door_block,
    facets,
    framed,
    plank_platform,
    ragged_cap,
    signpost,
    wavy_liquid,
)

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
    deep = facets(SEEDS, (LINE, GROUND[0], GROUND[0], GROUND[1]))
    surface, body = wavy_liquid()
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
        deep2=deep,
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
        tall=decor.tree(GROUND, CAP),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 79, 5), (80, 143, 4), (144, 183, 3), (184, 255, 2)]


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 144, (0, 11, 1, 2, 3, 4, 5))
    stars(picture, 56, (6, 7), 3, every=5)
    x, y = grid(picture.shape)
    for base, color, thick in ((34, 15, 14), (46, 3, 12)):  # northern lights
        curve = base + np.round(6 * wave(x[0], 128, base / 50) + 3 * wave(x[0], 64, 0.3))
        inside = (y >= curve[None, :]) & (y < curve[None, :] + thick)
        fade = (y - curve[None, :]) / thick
        veil = inside & ((x + y) % 2 == 0) & ((fade < 0.5) | (y % 4 < 2))
        paint(picture, veil, color)
    mountains = peaks(
        140,
        256,
        [
            (0, 20),
            (20, 40),
            (30, 34),
            (58, 58),
            (84, 24),
            (100, 32),
            (124, 12),
            (150, 42),
            (160, 38),
            (176, 52),
            (206, 20),
            (222, 30),
            (240, 14),
        ],
    )
    ridge(picture, mountains, 184, (5, 8, 9), top=82)
    lit = (y >= mountains[None, :]) & (y < mountains[None, :] + 14) & (y < 130)
    slope = np.roll(mountains, -2) - mountains
    bright = np.where((slope[None, :] <= 0), 7, 6).astype(np.uint8)
    cut = (y - mountains[None, :]) < 5 + 8 * np.abs(wave(x[0], 16, 0.1))[None, :]
    paint(picture, lit & cut, np.broadcast_to(bright, picture.shape))
    hills = waves(158, 128, (1, 5, 0.2), (3, 4, 0.5))
    ridge(picture, hills, 216, (8, 9, 10), rim=(6, 5), top=148)
    near = waves(204, 128, (1, 6, 0.7), (2, 5, 0.1))
    ridge(picture, near, HEIGHT, (13, 12, 11), rim=(5, 8), top=192)
    pine = blank(40, 24)
    for top, bottom, half in ((0, 12, 5), (7, 23, 8), (16, 36, 11)):
        paint(
            pine,
            polygon(pine.shape, [(11.5, top), (11.5 - half, bottom), (11.5 + half, bottom)]),
            12,
        )
        paint(
            pine,
            polygon(pine.shape, [(11.5, top), (11.5 - half * 0.8, bottom - 3), (11, bottom - 5)]),
            5,
        )
    pine[36:40, 10:14] = 14
    for column, row in ((8, 176), (40, 184), (88, 168), (136, 176), (168, 184), (216, 168)):
        stamp(picture, pine, column, row)
        stamp(picture, pine, column + 256, row)
    return picture
