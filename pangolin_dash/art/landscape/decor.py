"""Small things that stand on the ground or hang: 16x16 pictures for the zones' decorations.

Every function takes the colours to use, dark to light, and returns a picture with its foot on the
bottom row (or its root on the top row where it hangs).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pangolin_dash.art.canvas import (
    ball,
    blank,
    capsule,
    ellipse,
    grid,
    outline,
    paint,
    polygon,
    ramp,
)
from pangolin_dash.art.palettes import LINE

Colors = Sequence[int]


def fern(leaf: Colors) -> np.ndarray:
    """Fronds that bend to both sides."""
    picture = blank(16, 16)
    for tip, bend, color in (
        ((1, 9), (3, 5), leaf[0]),
        ((14, 9), (12, 5), leaf[0]),
        ((4, 3), (6, 6), leaf[1]),
        ((12, 3), (10, 6), leaf[1]),
        ((8, 1), (8, 8), leaf[2]),
    ):
        for t in range(17):
            s = t / 16
            x = (1 - s) ** 2 * 8 + 2 * s * (1 - s) * bend[0] + s * s * tip[0]
            y = (1 - s) ** 2 * 15 + 2 * s * (1 - s) * bend[1] + s * s * tip[1]
            px, py = round(x), round(y)
            picture[py, px] = color
            if t % 2 and t > 3:
                for dx in (-1, 1):
                    if 0 <= px + dx < 16:
                        picture[min(py + (dx * (tip[0] - 8) < 0), 15), px + dx] = color
    return picture


def flower(stem: Colors, petals: Colors, heart: int) -> np.ndarray:
    picture = blank(16, 16)
    picture[7:16, 7] = stem[0]
    picture[11, 4:7] = stem[1]
    picture[12, 8:11] = stem[1]
    picture[10, 4] = picture[11, 10] = stem[-1]
    for dx, dy in ((-3, 0), (3, 0), (0, -3), (0, 3)):
        paint(picture, ellipse((16, 16), 7 + dx * 0.8, 5 + dy * 0.8, 1.9, 1.9), petals[1])
    for dx, dy in ((-2, -2), (1, -2)):
        picture[5 + dy, 7 + dx] = petals[2]
    paint(picture, ellipse((16, 16), 7, 5, 1.4, 1.4), heart)
    picture[8, 6:9] = petals[0]
    return picture


def mushroom(cap: Colors, stalk: Colors, spots: int, big: bool = True) -> np.ndarray:
    picture = blank(16, 16)
    radius = 6.5 if big else 4.2
    base = 9 if big else 12
    x, y = grid((16, 16))
    paint(picture, capsule((16, 16), (7.5, base), (7.5, 16), 1.8, 2.4), stalk[1])
    picture[base:, 8:10] = np.where(picture[base:, 8:10] != 0, stalk[0], 0)
    dome = (((x - 7.5) / radius) ** 2 + ((y - base) / (radius * 0.95)) ** 2 <= 1) & (y <= base)
    level = np.clip(0.55 - (x - 7.5) / 22 - (y - base + 3) / 12, 0, 0.99)
    paint(picture, dome, ramp(level, cap, 0.4))
    for sx, sy in ((-3, -3), (2, -4), (4, -1), (-1, -1)):
        px, py = round(7.5 + sx * radius / 6.5), round(base + sy * radius / 6.5)
        picture[py, px] = spots
        picture[py, px + 1] = spots
    return outline(picture, LINE)


def tuft(leaf: Colors) -> np.ndarray:
    """A tuft of long grass."""
    picture = blank(16, 16)
    for x, height, lean, color in (
        (3, 5, -1, leaf[0]),
        (5, 8, -1, leaf[1]),
        (7, 11, 0, leaf[1]),
        (8, 9, 1, leaf[2]),
        (10, 10, 1, leaf[1]),
        (12, 6, 2, leaf[0]),
    ):
        for step in range(height):
            picture[15 - step, min(max(x + round(lean * (step / height) ** 2 * 2), 0), 15)] = color
    picture[15, 2:14] = leaf[0]
    return picture


def rock(stone: Colors) -> np.ndarray:
    picture = blank(16, 16)
    ball(picture, 8, 13, 6.4, 6, stone)
    ball(picture, 3.5, 14, 3, 3, stone)
    return outline(picture, LINE)


def crystals(glass: Colors) -> np.ndarray:
    """Three crystals, lit from the left."""
    picture = blank(16, 16)
    shape = picture.shape
    for x, top, half, lean in ((4, 7, 2.4, -2), (11.5, 5, 2.6, 2), (7.5, 1, 3, 0)):
        body = polygon(
            shape,
            [
                (x - half, 16),
                (x - half + lean, top + 4),
                (x + lean, top),
                (x + half + lean, top + 4),
                (x + half, 16),
            ],
        )
        right = polygon(
            shape,
            [(x + 0.5, 16), (x + lean + 0.5, top), (x + half + lean, top + 4), (x + half, 16)],
        )
        layer = blank(16, 16)
        paint(layer, body, glass[1])
        paint(layer, right & body, glass[0])
        paint(
            layer,
            capsule(shape, (x - half + 1, 15), (x - half + lean + 1, top + 5), 0.5, 0.5) & body,
            glass[2],
        )
        layer = outline(layer, LINE)
        picture[layer != 0] = layer[layer != 0]
    return picture


def cactus(flesh: Colors, bloom: int) -> np.ndarray:
    picture = blank(16, 16)
    shape = picture.shape
    for a, b, radius in (
        ((7.5, 4), (7.5, 16), 2.3),
        ((3, 6), (3, 9), 1.4),
        ((3, 9), (7, 10.5), 1.4),
        ((12.5, 4), (12.5, 7), 1.4),
        ((12.5, 7), (8, 8.5), 1.4),
    ):
        paint(picture, capsule(shape, a, b, radius, radius), flesh[1])
    body = picture != 0
    picture[4:, 9] = np.where(body[4:, 9], flesh[0], 0)
    picture[3:, 6] = np.where(body[3:, 6], flesh[2], 0)
    picture[5:8, 2] = flesh[2]
    picture[4:6, 12] = flesh[2]
    picture = outline(picture, LINE)
    picture[1, 7:9] = bloom
    picture[2, 3] = bloom
    picture[4, 3] = bloom
    return picture


def bones(bone: Colors) -> np.ndarray:
    """Ribs that stick out of the ground."""
    picture = blank(16, 16)
    for x in (2, 6, 10):
        paint(picture, capsule((16, 16), (x, 16), (x + 0.5, 9), 0.9, 0.9), bone[1])
        paint(picture, capsule((16, 16), (x + 0.5, 9), (x + 3, 6), 0.9, 0.6), bone[2])
    picture[14:, :] = np.where(picture[14:, :] != 0, bone[0], 0)
    return outline(picture, LINE)


def vase(clay: Colors, band: int) -> np.ndarray:
    picture = blank(16, 16)
    ball(picture, 7.5, 11, 5, 4.8, clay)
    picture[4:7, 5:11] = clay[1]
    picture[3, 4:12] = clay[2]
    picture[4:7, 9:11] = clay[0]
    inside = picture != 0
    picture[10, :] = np.where(inside[10], band, 0)
    picture[12, ::2] = np.where(inside[12, ::2], band, 0)
    return outline(picture, LINE)


def coral(branch: Colors) -> np.ndarray:
    picture = blank(16, 16)
    shape = picture.shape
    twigs = (
        ((7.5, 16), (7.5, 9), 1.7),
        ((7.5, 11), (3.5, 7), 1.3),
        ((3.5, 7), (3, 3), 1.1),
        ((3.5, 8), (1.5, 6), 0.9),
        ((7.5, 10), (12, 7), 1.3),
        ((12, 7), (12.5, 2.5), 1.1),
        ((7.5, 10), (7.5, 2.5), 1.3),
        ((7.5, 5), (9.5, 3), 0.9),
    )
    for a, b, radius in twigs:
        paint(picture, capsule(shape, a, b, radius, radius), branch[0])
    for a, b, radius in twigs:
        paint(
            picture,
            capsule(
                shape, (a[0] - 0.5, a[1]), (b[0] - 0.5, b[1] - 0.4), radius * 0.7, radius * 0.7
            ),
            branch[1],
        )
    for x, y in ((3, 3), (12, 2), (7, 2)):
        picture[y, x] = branch[2]
    return outline(picture, LINE)


def shell(tone: Colors) -> np.ndarray:
    picture = blank(16, 16)
    x, y = grid((16, 16))
    fan = (((x - 7.5) / 6) ** 2 + ((y - 14) / 8) ** 2 <= 1) & (y <= 14)
    paint(picture, fan, tone[1])
    slope = np.round((x - 7.5) / np.maximum(15.5 - y, 0.5) * 4)
    paint(picture, fan & (slope % 2 == 0), tone[2])
    picture[14, 5:11] = tone[0]
    return outline(picture, LINE)


def icicles(ice: Colors) -> np.ndarray:
    """Hanging from the top row."""
    picture = blank(16, 16)
    for x, length, half in ((2.5, 9, 2), (7.5, 14, 2.6), (12.5, 7, 2)):
        paint(picture, polygon((16, 16), [(x - half, -1), (x + half, -1), (x, length)]), ice[1])
        paint(picture, polygon((16, 16), [(x + 0.3, -1), (x + half, -1), (x, length)]), ice[0])
        picture[0 : length // 2, round(x - half / 2)] = ice[2]
    return picture


def vines(leaf: Colors, bloom: int) -> np.ndarray:
    """Hanging from the top row."""
    picture = blank(16, 16)
    for x, length in ((2, 9), (6, 14), (11, 11), (14, 6)):
        for y in range(length):
            picture[y, x] = leaf[0]
            if y % 3 == 1:
                picture[y, max(x - 1, 0)] = leaf[1]
            if y % 3 == 2:
                picture[y, min(x + 1, 15)] = leaf[2]
        picture[length, x] = bloom
    return picture


def snowman_pine(leaf: Colors, snow: Colors) -> np.ndarray:
    """A small pine with snow on its boughs."""
    picture = blank(16, 16)
    for top, bottom, half in ((1, 6, 3.5), (4, 10, 5.5), (8, 15, 7)):
        tri = polygon((16, 16), [(7.5, top - 1), (7.5 - half, bottom), (7.5 + half, bottom)])
        paint(picture, tri, leaf[1])
        paint(picture, tri & (grid((16, 16))[0] > 8.5), leaf[0])
        snowy = polygon(
            (16, 16), [(7.5, top - 1), (7.5 - half * 0.6, bottom - 2), (7.5, bottom - 3)]
        )
        paint(picture, snowy, snow[-1])
    picture[15, 6:10] = LINE
    return outline(picture, LINE)


def pipe(steel: Colors, glow: int) -> np.ndarray:
    """A stub of pipe with a flange and a lamp."""
    picture = blank(16, 16)
    for column, color in zip(
        range(4, 12),
        (steel[0], steel[2], steel[3], steel[2], steel[2], steel[1], steel[1], steel[0]),
        strict=True,
    ):
        picture[4:, column] = color
    picture[3:6, 2:14] = steel[1]
    picture[3, 2:14] = steel[3]
    picture[12:14, 3:13] = steel[1]
    picture[12, 3:13] = steel[3]
    picture[8:10, 7:9] = glow
    return outline(picture, LINE)


def chain(steel: Colors, hook: int) -> np.ndarray:
    """A chain with a hook, hanging from the top row."""
    picture = blank(16, 16)
    for top in (0, 4, 8):
        picture[top : top + 3, 6] = picture[top : top + 3, 9] = steel[3]
        picture[top, 6:10] = picture[top + 3, 6:10] = steel[2]
        picture[top + 3, 7:9] = steel[3]
    picture[12, 7:9] = hook
    for column, row in ((9, 13), (10, 14), (9, 15), (8, 15), (7, 15), (6, 14), (5, 13)):
        picture[row, column] = hook
    return outline(picture, LINE)


def gauge(steel: Colors, face: int, needle: int) -> np.ndarray:
    picture = blank(16, 16)
    shape = picture.shape
    picture[10:16, 6:10] = steel[1]
    picture[10:16, 6] = steel[3]
    paint(picture, ellipse(shape, 7.5, 6, 5.5, 5.5), steel[2])
    paint(picture, ellipse(shape, 7.5, 6, 4.2, 4.2), face)
    paint(picture, capsule(shape, (7.5, 6), (10, 4), 0.5, 0.5), needle)
    return outline(picture, LINE)


def gear(steel: Colors) -> np.ndarray:
    picture = blank(16, 16)
    shape = picture.shape
    for dx, dy in (
        (6, 0),
        (-6, 0),
        (0, 6),
        (0, -6),
        (4.3, 4.3),
        (-4.3, 4.3),
        (4.3, -4.3),
        (-4.3, -4.3),
    ):
        paint(picture, ellipse(shape, 7.5 + dx, 8.5 + dy, 1.6, 1.6), steel[1])
    ball(picture, 7.5, 8.5, 5.4, 5.4, steel[1:])
    paint(picture, ellipse(shape, 7.5, 8.5, 2.2, 2.2), LINE)
    return outline(picture, LINE)


def lamp(post: Colors, light: Colors) -> np.ndarray:
    picture = blank(16, 16)
    picture[8:16, 7] = post[2]
    picture[8:16, 8] = post[0]
    picture[15, 5:11] = post[1]
    paint(picture, ellipse((16, 16), 7.5, 4.5, 3.6, 4), light[1])
    paint(picture, ellipse((16, 16), 6.8, 3.8, 1.8, 2.2), light[2])
    picture[0, 6:10] = post[1]
    picture[8, 5:11] = post[1]
    return outline(picture, LINE)


def column_stub(stone: Colors) -> np.ndarray:
    """A broken column."""
    picture = blank(16, 16)
    for column, color in enumerate((1, 3, 3, 1, 2, 3, 1, 2, 1, 0)):
        top = 4 + (column * 5) % 4
        picture[top:, 3 + column] = stone[color]
    picture[13:, 1:15] = stone[2]
    picture[13, 1:15] = stone[3]
    picture[15, 1:15] = stone[0]
    return outline(picture, LINE)


def star_glyph(stone: Colors, glow: Colors) -> np.ndarray:
    """A small stele with a glowing star."""
    picture = blank(16, 16)
    paint(picture, polygon((16, 16), [(2, 16), (3, 4), (7.5, 0), (12, 4), (13, 16)]), stone[1])
    paint(picture, polygon((16, 16), [(3, 16), (4, 4), (7.5, 1), (7.5, 16)]), stone[2])
    for dx, dy in ((0, -3), (0, 3), (-3, 0), (3, 0), (0, -2), (0, 2), (-2, 0), (2, 0)):
        picture[8 + dy, 7 + dx] = glow[1]
    paint(picture, ellipse((16, 16), 7, 8, 1.3, 1.3), glow[2])
    return outline(picture, LINE)
