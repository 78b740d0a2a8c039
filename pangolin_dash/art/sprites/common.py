"""Common sprites (palette line 0): rings, springs, spikes, lever, digits, letters, sparkles."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import blank, capsule, ellipse, flip, outline, paint, parse
from pangolin_dash.art.palettes import (
    GOLD,
    GOLD_SHADE,
    INK,
    RED,
    SKIN_SHADE,
    STEEL,
    STEEL_SHADE,
    WHITE,
)
from pangolin_dash.art.sprites import pangolin

# 5x7 letters and digits, drawn by hand, one text row of 5 characters per pixel row.
GLYPHS = {
    "0": ".###. ##.## ##.## ##.## ##.## ##.## .###.",
    "1": "..##. .###. ..##. ..##. ..##. ..##. .####",
    "2": ".###. ##.## ...## ..##. .##.. ##... #####",
    "3": ".###. ##.## ...## ..##. ...## ##.## .###.",
    "4": "...## ..### .#.## ##.## ##### ...## ...##",
    "5": "##### ##... ####. ...## ...## ##.## .###.",
    "6": "..##. .##.. ##... ####. ##.## ##.## .###.",
    "7": "##### ##.## ...## ..##. ..##. .##.. .##..",
    "8": ".###. ##.## ##.## .###. ##.## ##.## .###.",
    "9": ".###. ##.## ##.## .#### ...## ..##. .##..",
    "A": ".###. ##.## ##.## ##### ##.## ##.## ##.##",
    "B": "####. ##.## ##.## ####. ##.## ##.## ####.",
    "C": ".###. ##.## ##... ##... ##... ##.## .###.",
    "D": "####. ##.## ##.## ##.## ##.## ##.## ####.",
    "E": "##### ##... ##... ####. ##... ##... #####",
    "F": "##### ##... ##... ####. ##... ##... ##...",
    "G": ".###. ##.## ##... ##.## ##.## ##.## .####",
    "H": "##.## ##.## ##.## ##### ##.## ##.## ##.##",
    "I": ".#### ..##. ..##. ..##. ..##. ..##. .####",
    "J": "...## ...## ...## ...## ##.## ##.## .###.",
    "K": "##.## ##.## ####. ###.. ####. ##.## ##.##",
    "L": "##... ##... ##... ##... ##... ##... #####",
    "M": "#...# ##.## ##### ##### #.#.# #...# #...#",
    "N": "##..# ##..# ###.# ##### ##.## ##..# ##..#",
    "O": ".###. ##.## ##.## ##.## ##.## ##.## .###.",
    "P": "####. ##.## ##.## ####. ##... ##... ##...",
    "Q": ".###. ##.## ##.## ##.## ##.## ##.#. .##.#",
    "R": "####. ##.## ##.## ####. ####. ##.## ##.##",
    "S": ".###. ##.## ##... .###. ...## ##.## .###.",
    "T": "##### ..##. ..##. ..##. ..##. ..##. ..##.",
    "U": "##.## ##.## ##.## ##.## ##.## ##.## .###.",
    "V": "##.## ##.## ##.## ##.## .#.#. .###. ..#..",
    "W": "#...# #...# #.#.# ##### ##### ##.## #...#",
    "X": "##.## ##.## .###. ..#.. .###. ##.## ##.##",
    "Y": "##.## ##.## .###. ..##. ..##. ..##. ..##.",
    "Z": "##### ...## ..##. .##.. ##... ##... #####",
}

RING = """
    .....111111.....
    ...11bbbbbb11...
    ..1bb88bbbbbb1..
    .1bb8bbbbbbbbb1.
    .1b8bbb11bbbbc1.
    1bb8b11..11bbbc1
    1b8bb1....1bbbc1
    1b8b1......1bbc1
    1bbb1......1bbc1
    1bbbb1....1bbcc1
    1bbbb11..11bbcc1
    .1bbbbb11bbbcc1.
    .1bbbbbbbbbccc1.
    ..1bbbbbbbccc1..
    ...11cccccc11...
    .....111111.....
"""
RING_TURNED = """
    ................
    .....111111.....
    ....1b8bbbb1....
    ...1b8bbbbbc1...
    ...1b8b11bbc1...
    ..1bb81..1bbc1..
    ..1b8b1..1bbc1..
    ..1b8b1..1bbc1..
    ..1bbb1..1bbc1..
    ..1bbb1..1bbc1..
    ..1bbb1..1bcc1..
    ...1bbb11bbc1...
    ...1bbbbbbcc1...
    ....1bbbbcc1....
    .....111111.....
    ................
"""
RING_EDGE = """
    ................
    ......1111......
    ......1b81......
    .....1b8bc1.....
    .....1b8bc1.....
    .....1b8bc1.....
    .....1b8bc1.....
    .....1b8bc1.....
    .....1b8bc1.....
    .....1bbbc1.....
    .....1bbbc1.....
    .....1bbbc1.....
    .....1bbbc1.....
    ......1bc1......
    ......1111......
    ................
"""
SPARKLES = (
    """
    ................
    ................
    ................
    .......8........
    .......8........
    .......8........
    ......8b8.......
    ...888bbb888....
    ......8b8.......
    .......8........
    .......8........
    .......8........
    ................
    ................
    ................
    ................
    """,
    """
    .......8........
    .......b........
    .......b........
    ..8....b....8...
    ...b...8...b....
    ....b..8..b.....
    ......888.......
    8bbb888.888bbb8.
    ......888.......
    ....b..8..b.....
    ...b...8...b....
    ..8....b....8...
    .......b........
    .......b........
    .......8........
    ................
    """,
    """
    .......b........
    ................
    ..b.........b...
    ................
    ................
    ................
    ................
    b......8......b.
    ................
    ................
    ................
    ................
    ..b.........b...
    ................
    .......b........
    ................
    """,
)
HUD_RING = """
    ..1111..
    .1b8bb1.
    1b8bbbc1
    1bb11bc1
    1bb11bc1
    1bbbbcc1
    .1bbcc1.
    ..1111..
"""


def glyph(character: str) -> np.ndarray:
    """An 8x8 letter or digit: white, gold at the foot, with an ink shadow."""
    picture = blank(8, 8)
    rows = GLYPHS[character].split()
    for y, row in enumerate(rows):
        for x, mark in enumerate(row):
            if mark == "#":
                picture[y, x + 1] = WHITE if y < 4 else GOLD
    lit = picture != 0
    shadow = np.zeros_like(lit)
    shadow[1:, 1:] |= lit[:-1, :-1]
    shadow[1:, :] |= lit[:-1, :]
    shadow[:, 1:] |= lit[:, :-1]
    shadow[:, :-1] |= lit[:, 1:]
    picture[shadow & ~lit] = INK
    return picture


def spring(extended: bool) -> np.ndarray:
    """A spring that pushes up, (16, 32); its plate is at the top when extended."""
    picture = blank(16, 32)
    shape = picture.shape
    top = 1 if extended else 7
    for y in range(top + 3, 13):  # the coil
        shift = (y % 4) if y % 4 < 3 else 1
        picture[y, 10 + shift : 22 - shift] = STEEL_SHADE if y % 2 else STEEL
        picture[y, 12 + shift] = WHITE
    plate = ellipse(shape, 15.5, top + 1, 14, 1.7)
    plate[top : top + 3, 3:29] = True
    paint(picture, plate, RED)
    picture[top, 5:27] = SKIN_SHADE
    picture[top, 7:15] = WHITE
    picture[13:15, 5:27] = STEEL_SHADE
    picture[13, 5:27] = STEEL
    for x in range(6, 26, 6):
        picture[14, x : x + 3] = GOLD
    return outline(picture, INK)


def spring_sideways(extended: bool) -> np.ndarray:
    """A spring that pushes right, (32, 16)."""
    return np.ascontiguousarray(np.rot90(spring(extended), -1))


SPIKE = """
    ...11...
    ...1d1..
    ..18d1..
    ..1dd1..
    ..18dd1.
    .18ddd1.
    .18ddd1.
    .18ddd1.
    118888f1
    18eeeff1
    18eeeff1
    18eeeff1
    18eeefff
    8eeeefff
    eeeeeeee
    11111111
"""


def spikes() -> np.ndarray:
    """Four steel spikes with red tips, (16, 32)."""
    return np.tile(parse(SPIKE), (1, 4))


def lever(on: bool) -> np.ndarray:
    """A lever on a steel foot, (16, 16); its knob is red when off and turquoise when on."""
    picture = blank(16, 16)
    shape = picture.shape
    tip = (12, 3) if on else (3, 3)
    paint(picture, capsule(shape, (7.5, 12), tip, 1.1, 1.1), STEEL)
    paint(picture, ellipse(shape, *tip, 2.3, 2.3), 9 if on else RED)
    picture[tip[1] - 1, tip[0] - 1] = WHITE
    paint(picture, ellipse(shape, 7.5, 14.5, 6, 3.2), STEEL_SHADE)
    picture[12, 5:9] = STEEL
    return outline(picture, INK)


def dust(size: int) -> np.ndarray:
    """A puff of dust, (16, 16), smaller and emptier for a greater `size` 0..2."""
    picture = blank(16, 16)
    shape = picture.shape
    puffs = (
        [(6, 10, 4.0), (10, 9, 3.4), (8, 7, 3.2)],
        [(4, 9, 3.0), (11, 8, 3.0), (8, 5, 2.6)],
        [(3, 7, 1.8), (12, 6, 1.8), (8, 3, 1.5)],
    )[size]
    for x, y, radius in puffs:
        paint(picture, ellipse(shape, x, y + 0.6, radius, radius), SKIN_SHADE)
        paint(picture, ellipse(shape, x, y - 0.3, radius * 0.8, radius * 0.8), WHITE)
    return picture


def sprites() -> dict[str, list[np.ndarray]]:
    """Every common sprite's frames palette line 0."""
    turned = parse(RING_TURNED)
    return {
        **pangolin.frames(),
        "ring": [parse(RING), turned, parse(RING_EDGE), flip(turned)],
        "sparkle": [parse(text) for text in SPARKLES],
        "spring_up": [spring(False), spring(True)],
        "spring_side": [spring_sideways(False), spring_sideways(True)],
        "spikes": [spikes()],
        "lever": [lever(False), lever(True)],
        "digits": [glyph(c) for c in "0123456789"],
        "letters": [glyph(chr(ord("A") + i)) for i in range(26)],
        "hud_ring": [parse(HUD_RING)],
        "dust": [dust(size) for size in range(3)],
    }


__all__ = ["GOLD_SHADE", "glyph", "sprites"]
