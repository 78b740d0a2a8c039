"""Amber Dunes: sandstone and quicksand under a turquoise sky with lilac mesas."""

from __future__ import annotations

import numpy as np

from .. import decor
from ..canvas import blank, grid, paint, ramp, smooth
from ..palettes import ACCENT, CAP, GROUND, LINE
from ..scenery import HEIGHT, WIDTH, cloud, disc, peaks, ridge, sky, stamp, waves
from ..terrain import (
    Style,
    arrows,
    bricks,
    cracked,
    door_block,
    framed,
    plank_platform,
    ragged_cap,
    signpost,
    wavy_liquid,
)


def _sandstone(colors: tuple[int, ...]) -> np.ndarray:
    """Layers of stone, some courses cut into blocks."""
    picture = bricks(8, 16, colors, seed=3, chips=0.10)
    noise = smooth((16, 16), 4, 8)
    _, y = grid((16, 16))
    picture[(noise > 0.66) & (y % 8 > 1) & (y % 8 < 6)] = colors[1]
    return picture


def _glyph(base: np.ndarray) -> np.ndarray:
    """A carved sun."""
    picture = base.copy()
    for x, y in (
        (7, 3),
        (8, 3),
        (3, 7),
        (12, 7),
        (4, 4),
        (11, 4),
        (4, 11),
        (11, 11),
        (7, 12),
        (8, 12),
    ):
        picture[y, x] = LINE
        picture[min(y + 1, 15), x] = GROUND[3]
    picture[6:10, 6:10] = LINE
    picture[7:9, 7:9] = ACCENT[1]
    picture[7, 7] = ACCENT[2]
    return picture


def style() -> Style:
    dark, mid, light, bright = CAP
    ground = _sandstone((GROUND[0], GROUND[1], GROUND[2], GROUND[3]))
    deep = _sandstone((LINE, GROUND[0], GROUND[0], GROUND[1]))
    surface, body = wavy_liquid()
    pad = ground.copy()
    pad[0:9] = ACCENT[0]
    pad[0] = ACCENT[2]
    pad[8] = LINE
    return Style(
        ground=ground,
        ground2=_glyph(ground),
        deep=deep,
        deep2=deep,
        cap=ragged_cap(4.4, (bright, light, light, mid, dark), drips=2.0, line=GROUND[0]),
        wall_shade=(LINE, GROUND[0], GROUND[1]),
        platform=plank_platform((mid, light, bright), GROUND, height=8, every=12),
        breakable=cracked(GROUND, ACCENT[1]),
        wall=framed(_glyph(bricks(16, 16, GROUND)), GROUND[0], bright),
        door=door_block(GROUND, ACCENT),
        liquid_top=surface,
        liquid=body,
        special=arrows(pad, ACCENT[2], LINE, 0),
        special2=arrows(pad, ACCENT[2], LINE, 1),
        decorations=(
            decor.cactus(ACCENT, bright),
            decor.bones((GROUND[1], CAP[2], CAP[3])),
            decor.vase(ACCENT, CAP[3]),
            decor.tuft(CAP[1:]),
            decor.rock(GROUND),
            decor.column_stub(GROUND),
        ),
        tall=decor.pillar(GROUND, (CAP[1], ACCENT[1], CAP[3])),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 71, 5), (72, 127, 4), (128, 167, 3), (168, 255, 2)]


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 136, (0, 1, 2, 3, 4))
    stamp(picture, disc(25, (4, 15, 5)), 128, 12 // 8 * 8)
    streak = cloud(80, 16, (4, 5), 5)
    for x, y in ((16, 56), (264, 24), (400, 48)):
        stamp(picture, streak, x, y)
    mesas = peaks(
        132,
        256,
        [
            (0, 8),
            (14, 10),
            (18, 38),
            (22, 44),
            (62, 44),
            (66, 36),
            (74, 12),
            (104, 8),
            (112, 22),
            (116, 30),
            (140, 30),
            (144, 20),
            (156, 10),
            (176, 12),
            (182, 46),
            (186, 54),
            (208, 54),
            (212, 42),
            (220, 14),
            (240, 8),
        ],
    )
    ridge(picture, mesas, 168, (7, 6, 11), rim=(11, 6), top=80)
    for row in (96, 97, 104, 105):  # strata
        line = picture[row] == 7
        picture[row, line] = 8
    far = waves(148, 256, (1, 6, 0.35), (2, 8, 0.1), (5, 2, 0.2))
    ridge(picture, far, 208, (11, 10, 12), rim=(5, 11), top=132)
    near = waves(190, 128, (1, 10, 0.6), (2, 6, 0.15))
    ridge(picture, near, HEIGHT, (12, 13, 14), rim=(11, 12), top=174)
    x, y = grid(picture.shape)
    ripple = (y > near[None, :] + 12) & ((y * 2 + x).astype(int) % 16 < 2) & (y % 8 < 4)
    paint(picture, ripple, ramp(np.clip((y - 174) / 82, 0, 0.99), (11, 12, 13), 0.9))
    return picture
