"""Amber Dunes: sandstone and quicksand under a turquoise sky with lilac mesas."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import blank, grid, smooth, wave
from pangolin_dash.art.landscape import decor, tall
from pangolin_dash.art.landscape.scenery import (
    HEIGHT,
    WIDTH,
    cloud,
    disc,
    pyramid,
    ridge,
    sky,
    stamp,
    waves,
)
from pangolin_dash.art.landscape.terrain import Style, ragged_cap
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
from pangolin_dash.art.palettes import ACCENT, CAP, DEEP, DEEPER, GROUND, LINE


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
    deep = _sandstone(DEEP)
    deeper = _sandstone(DEEPER)
    surface, body = wavy_liquid()
    pad = ground.copy()
    pad[0:9] = ACCENT[0]
    pad[0] = ACCENT[2]
    pad[8] = LINE
    return Style(
        ground=ground,
        ground2=_glyph(ground),
        deep=deep,
        deep2=deeper,
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
        tall=tall.pillar(GROUND, (CAP[1], ACCENT[1], CAP[3])),
        goal=signpost(GROUND[1:], ACCENT, CAP),
    )


STRIPS = [(0, 71, 6), (72, 127, 5), (128, 151, 4), (152, 191, 3), (192, 255, 2)]


def _mesa(width: int, height: int) -> np.ndarray:
    """A table mountain: lit left, shaded right, with layers and a foot of rubble."""
    picture = blank(height, width)
    for row in range(height):
        spread = max(0, row - height * 2 // 3)
        inset = max(0, 8 - row // 6 - spread)
        left, right = inset, width - inset
        picture[row, left:right] = 7
        picture[row, width * 5 // 8 + row % 3 : right] = 8
        picture[row, left : left + 2] = 6
    picture[0:2, 8 : width - 8] = 6
    for row in (10, 11, 20, 32):
        if row < height:
            inside = picture[row] != 0
            picture[row, inside] = 8
    return picture


def _slip_faces(picture: np.ndarray, crest: np.ndarray, shade: dict[int, int]) -> None:
    """Darken the dunes' sides that turn away from the sun, in place: right of every crest."""
    table = np.array([shade.get(index, index) for index in range(16)], np.uint8)
    rows = np.arange(HEIGHT)
    for apex in range(WIDTH):
        around = crest[(apex + np.arange(-12, 13)) % WIDTH]
        if crest[apex] != around.min() or crest[(apex + 1) % WIDTH] == crest[apex]:
            continue
        for step in range(1, 64):
            column = (apex + step) % WIDTH
            if crest[column] < crest[(column - 1) % WIDTH]:
                break
            # The face's left border runs down from the crest in a soft S.
            low = crest[apex] + 1.1 * step + 3 * float(wave(step, 24)[0])
            inside = (rows > crest[column] + 1) & (rows < min(low, crest.max()))
            picture[inside, column] = table[picture[inside, column]]


def background() -> np.ndarray:
    picture = blank(HEIGHT, WIDTH)
    sky(picture, 0, 136, (0, 1, 2, 3, 4, 4))
    stamp(picture, disc(22, (4, 15, 5)), 112, 16)
    streak, wisp = cloud(80, 16, (4, 5), 5), cloud(48, 8, (4, 5), 6)
    for what, x, y in ((streak, 8, 48), (streak, 264, 24), (wisp, 200, 56), (streak, 400, 48)):
        stamp(picture, what, x, y)
    stamp(picture, wisp, 352, 16)
    for x in (16, 272):
        stamp(picture, _mesa(72, 48), x, 80)
        stamp(picture, _mesa(40, 32), x + 96, 96)
    stamp(picture, pyramid(48, 11, 7, 8), 400, 80)
    stamp(picture, pyramid(32, 11, 7, 8), 168, 96)
    stamp(picture, pyramid(24, 11, 7, 8), 136, 104)
    ridge(picture, np.full(WIDTH, 127), 160, (6, 10), rim=(11,))
    for base, end, rows, colors, top in (
        (141, 200, ((1, 6, 0.35), (2, 3, 0.1)), (11, 11, 10), 132),
        (176, 256, ((1, 8, 0.6), (2, 5, 0.15)), (10, 12, 12), 162),
        (214, 256, ((1, 9, 0.1), (2, 6, 0.55)), (12, 13, 14), 200),
    ):
        crest = waves(base, 256 if base < 150 else 128, *rows)
        ridge(picture, crest, end, colors, rim=(5, 11) if base < 200 else (11, 10), top=top)
        if base > 150:
            _slip_faces(picture, crest, {11: 10, 10: 12, 12: 13, 13: 14})
    return picture
