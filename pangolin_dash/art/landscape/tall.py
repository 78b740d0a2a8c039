"""Tall decorations in three blocks (48, 16): top, middle (may repeat), base; palette line 1.

Every function takes the colours to use, dark to light.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pangolin_dash.art.canvas import blank, ellipse, grid, outline, paint, polygon
from pangolin_dash.art.palettes import LINE

Colors = Sequence[int]


def tree_fern(bark: Colors, leaf: Colors) -> np.ndarray:
    """A tree fern in three blocks (48, 16): fronds, trunk, root."""
    picture = blank(48, 16)
    shape = picture.shape
    for column, color in enumerate((0, 2, 3, 1, 0), start=6):
        picture[6:48, column] = bark[color]
    for row in range(12, 46, 4):  # scars of old fronds
        picture[row, 6:11] = bark[0]
        picture[row + 1, 7] = bark[3]
    paint(picture, polygon(shape, [(5, 41), (1, 48), (15, 48), (11, 41)]), bark[1])
    picture[43:48, 5:7] = bark[2]
    picture[46:48, 3:13] = np.where(picture[46:48, 3:13] != 0, leaf[1], 0)
    for tip, bend, color in (
        ((0, 13), (2, 4), leaf[0]),
        ((15, 13), (13, 4), leaf[0]),
        ((3, 15), (5, 6), leaf[1]),
        ((12, 15), (10, 6), leaf[1]),
        ((0, 7), (4, 0), leaf[2]),
        ((15, 7), (11, 0), leaf[2]),
        ((5, 0), (6, 3), leaf[3]),
        ((11, 0), (10, 3), leaf[3]),
    ):
        for step in range(21):
            t = step / 20
            x = (1 - t) ** 2 * 8 + 2 * t * (1 - t) * bend[0] + t * t * tip[0]
            y = (1 - t) ** 2 * 6 + 2 * t * (1 - t) * bend[1] + t * t * tip[1]
            column, row = round(x), round(y)
            picture[row, column] = color
            if step > 5 and row < 15:
                picture[row + 1, column] = color if step % 3 else leaf[0]
                if step % 3 == 0 and row < 14:
                    picture[row + 2, column] = leaf[0]
    picture[5:7, 7:10] = leaf[1]
    return picture


def tall_pine(leaf: Colors, snow: Colors) -> np.ndarray:
    """A tall pine in three blocks (48, 16): tip, boughs, foot; snow on the side of the light."""
    picture = blank(48, 16)
    shape = picture.shape
    x, _ = grid(shape)
    boughs = ((0, 9, 4), (6, 17, 6), (14, 25, 7), (22, 33, 7), (30, 42, 7.5))
    for top, bottom, half in reversed(boughs):
        bough = polygon(shape, [(7.5, top), (7.5 - half, bottom), (7.5 + half, bottom)])
        layer = blank(48, 16)
        paint(layer, bough, leaf[1])
        paint(layer, bough & (x > 8), leaf[0])
        white = [(7.5, top), (7.5 - half * 0.9, bottom - 1), (7, bottom - 5)]
        paint(layer, polygon(shape, white) & bough, snow[-1])
        layer = outline(layer, LINE)
        picture[layer != 0] = layer[layer != 0]
    picture[42:48, 6:10] = leaf[0]
    picture[42:48, 6] = leaf[1]
    picture[42, 5:11] = LINE
    picture[46:48, 4:12] = snow[-1]
    return picture


def pillar(stone: Colors, trim: Colors) -> np.ndarray:
    """A column in three blocks (48, 16): capital, shaft, base."""
    picture = blank(48, 16)
    for column, color in zip(range(3, 13), (0, 2, 3, 1, 2, 3, 1, 2, 1, 0), strict=True):
        picture[6:44, column] = stone[color]
    for top, height, inset in ((0, 3, 0), (3, 3, 2), (42, 3, 2), (45, 3, 0)):
        picture[top : top + height, inset : 16 - inset] = stone[2]
        picture[top, inset : 16 - inset] = trim[-1]
        picture[top + height - 1, inset : 16 - inset] = stone[0]
    picture[1, 2:14:3] = trim[1]
    picture[20:22, 3:13] = trim[1]
    picture[21, 3:13] = trim[0]
    return picture


def kelp(leaf: Colors) -> np.ndarray:
    """A waving plant in three blocks (48, 16)."""
    picture = blank(48, 16)
    sway = (0, 0, 1, 1, 2, 2, 2, 2, 2, 1, 1, 0, 0, -1, -1, -1)
    for y in range(3, 48):
        x = 7 + sway[y % 16]
        picture[y, x] = leaf[0]
        picture[y, x + 1] = leaf[1]
        if y % 8 in (2, 3, 4):
            reach = 4 - abs(y % 8 - 3) * 2
            picture[y, x + 2 : x + 2 + reach] = leaf[2]
        if y % 8 in (6, 7, 0):
            reach = 4 - (2 if y % 8 != 7 else 0)
            picture[y, x - reach : x] = leaf[1]
    return picture


def chimney(steel: Colors, warn: Colors) -> np.ndarray:
    """A pipe in three blocks (48, 16): lid with flame, pipe, foot."""
    picture = blank(48, 16)
    for column, color in zip(range(3, 13), (0, 1, 2, 3, 2, 2, 1, 1, 0, 0), strict=True):
        picture[8:48, column] = steel[color]
    for row in (8, 22, 30, 44):
        picture[row : row + 3, 2:14] = steel[1]
        picture[row, 2:14] = steel[3]
        picture[row + 2, 2:14] = steel[0]
    for cx, cy, rx, ry, color in (
        (7.5, 5, 3.4, 4.4, warn[0]),
        (7.5, 6, 2.2, 3, warn[1]),
        (7.5, 7, 1.1, 1.6, warn[2]),
    ):
        paint(picture, ellipse((48, 16), cx, cy, rx, ry) & (grid((48, 16))[1] < 8), color)
    return picture
