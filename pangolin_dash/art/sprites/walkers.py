"""Enemies that walk, one kind per zone (palette line 3); each is drawn facing left.

Four frames for those 24 pixels wide, two for wider ones; their feet are on the bottom row.
"""

from __future__ import annotations

import itertools

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
from pangolin_dash.art.palettes import EYE, FLYER, HAZARD, LINE, WALKER
from pangolin_dash.art.sprites.parts import WHITE, eye, legs


def beetle(frame: int) -> np.ndarray:
    """A round beetle with a horn (24x24, faces left)."""
    picture = blank(24, 24)
    legs(picture, (6, 12, 18), 17, frame, WALKER[0])
    ball(picture, 13, 13, 9, 7.5, WALKER)
    x, y = grid(picture.shape)
    body = picture != 0
    paint(picture, body & (np.abs(x - 13 + (y - 13) * 0.2) < 0.6) & (y < 18), WALKER[0])
    for sx, sy in ((16, 10), (18, 14), (10, 9)):
        paint(picture, ellipse(picture.shape, sx, sy, 1.4, 1.4), WALKER[2])
    ball(picture, 5, 15, 4, 4, WALKER)
    paint(picture, capsule(picture.shape, (3, 12), (1, 7), 1.4, 0.6), FLYER[1])
    eye(picture, 3, 14)
    return outline(picture, LINE)


def scorpion(frame: int) -> np.ndarray:
    """A scorpion with a raised sting (24x32, faces left)."""
    picture = blank(24, 32)
    shape = picture.shape
    sway = (0, 1, 0, -1)[frame % 4]
    legs(picture, (10, 14, 18, 22), 17, frame, WALKER[0])
    chain = ((23, 16), (28, 12), (28 + sway, 6), (23 + sway, 3), (19 + sway, 5))
    for (a, b), radius in zip(itertools.pairwise(chain), (2.6, 2.2, 1.8, 1.4), strict=True):
        paint(picture, capsule(shape, a, b, radius, radius * 0.85), WALKER[1])
        paint(picture, ellipse(shape, a[0] - 0.5, a[1] - 1, radius * 0.5, radius * 0.5), WALKER[2])
    paint(picture, polygon(shape, [(20 + sway, 3), (15 + sway, 6), (19 + sway, 7)]), FLYER[1])
    ball(picture, 16, 16, 8.5, 4.5, WALKER)
    for x in (13, 17, 21):
        picture[13:19, x] = np.where(picture[13:19, x] != 0, WALKER[0], 0)
    ball(picture, 9, 16, 4, 3.6, WALKER)
    paint(picture, capsule(shape, (7, 17), (3, 14), 1.2, 1.2), WALKER[0])
    ball(picture, 3, 11.5 + sway, 2.6, 2.8, WALKER)
    paint(picture, polygon(shape, [(1, 8 + sway), (3, 11 + sway), (5, 8 + sway)]), 0)
    eye(picture, 7, 14)
    return outline(picture, LINE)


def crab(frame: int) -> np.ndarray:
    """A crab (24x32) that lifts its claws in turn."""
    picture = blank(24, 32)
    shape = picture.shape
    legs(picture, (7, 11, 20, 24), 16, frame, WALKER[0])
    lift = (0, 2, 0, -1)[frame % 4]
    for side, up in ((-1, lift), (1, -lift)):
        x = 15.5 + side * 11.5
        paint(
            picture, capsule(shape, (15.5 + side * 8, 15), (x, 12 - up * 0.5), 1.6, 1.6), WALKER[0]
        )
        ball(picture, x, 8.5 - up * 0.5, 3.6, 4, WALKER)
        notch = polygon(shape, [(x - 2, 3 - up * 0.5), (x, 8 - up * 0.5), (x + 2, 3 - up * 0.5)])
        paint(picture, notch, 0)
    ball(picture, 15.5, 15, 9, 5.8, WALKER)
    for sx, sy in ((11, 12), (18, 11), (21, 14)):
        picture[sy, sx] = WALKER[2]
    for x in (12, 18):
        paint(picture, capsule(shape, (x + 0.5, 11), (x + 0.5, 7), 0.8, 0.8), WALKER[1])
        picture[4:8, x - 1 : x + 3] = WHITE
        picture[5:8, x : x + 2] = EYE
    picture[16, 12:20] = WALKER[0]
    picture[17, 13:19] = WHITE
    return outline(picture, LINE)


def snowball(frame: int) -> np.ndarray:
    """A grumpy ball of snow on little feet, with a woollen hat (24x24, faces left)."""
    picture = blank(24, 24)
    shape = picture.shape
    legs(picture, (8, 15), 18, frame, FLYER[0])
    squash = frame % 2
    ball(picture, 11.5, 13 + squash * 0.5, 8.8, 7.6 - squash * 0.5, WALKER[1:])
    x, y = grid(shape)
    body = picture != 0
    paint(picture, body & (y > 17 + (x - 12) * -0.1), WALKER[1])
    hat = (((x - 12.5) / 7.5) ** 2 + ((y - 9) / 6.5) ** 2 <= 1) & (y < 9)
    paint(picture, hat, FLYER[1])
    paint(picture, hat & ((x - y) % 6 < 2), FLYER[2])
    picture[8:10, 5:20] = FLYER[0]
    picture[8, 6:19] = FLYER[2]
    ball(picture, 13, 3, 2.4, 2.2, (WALKER[1], WHITE))
    eye(picture, 6, 12)
    eye(picture, 10, 12)
    picture[16:18, 5:10] = LINE
    picture[16, 6:9] = WHITE
    return outline(picture, LINE)


def robot(frame: int) -> np.ndarray:
    """A walking furnace on tracks (24x24, faces left): fire behind a grille, a warning lamp."""
    picture = blank(24, 24)
    shape = picture.shape
    x, y = grid(shape)
    body = (np.abs(x - 11.5) <= 9) & (y >= 5) & (y < 18)
    level = 0.95 - (x - 3) / 24 - (y - 5) / 40
    paint(picture, body, ramp(np.clip(level, 0, 0.99), WALKER, 0.5))
    picture[5, 4:20] = WALKER[2]
    picture[17, 3:21] = WALKER[0]
    picture[11:16, 4:14] = LINE
    for column in range(5, 13):
        flame = 1 + (column * 3 + frame * 2) % 3
        picture[15 - flame : 15, column] = HAZARD[1]
        picture[14, column] = HAZARD[2]
    picture[11:16, 7] = picture[11:16, 10] = LINE
    picture[6:10, 4:10] = LINE  # visor
    picture[7:9, 5:9] = WHITE
    picture[7:9, 5:7] = EYE
    picture[7:16:4, 18] = LINE
    picture[2:5, 15:17] = WALKER[0]
    paint(picture, ellipse(shape, 15.5, 2, 1.8, 1.8), EYE if frame % 2 else WHITE)
    paint(picture, capsule(shape, (4, 20), (19, 20), 2.6, 2.6), WALKER[0])
    for number in range(4):
        left = 4 + number * 5
        paint(picture, ellipse(shape, left, 20, 1.6, 1.6), WALKER[2])
        picture[20, left] = LINE
    for number in range(6):
        picture[22, (2 + number * 4 + frame) % 20 + 2] = WALKER[2]
    return outline(picture, LINE)


def idol(frame: int) -> np.ndarray:
    """A jade head with a crown that hops on two blocks (24x24, faces left)."""
    picture = blank(24, 24)
    shape = picture.shape
    lift = frame % 2
    picture[17 : 23 - lift, 4:10] = WALKER[0]
    picture[17 : 22 + lift, 13:19] = WALKER[0]
    picture[21 - lift : 23 - lift, 3:10] = WALKER[1]
    picture[20 + lift : 22 + lift, 12:19] = WALKER[1]
    x, y = grid(shape)
    head = (np.abs(x - 11.5) <= 9) & (y >= 4) & (y < 19)
    head &= (np.abs(x - 11.5) + np.abs(y - 11) * 0.8) < 14
    level = 0.95 - (x - 3) / 26 - (y - 4) / 30
    paint(picture, head, ramp(np.clip(level, 0, 0.99), WALKER, 0.7))
    picture[8, 3:19] = LINE  # brow
    picture[7, 3:19] = WALKER[2]
    for left in (4, 11):
        picture[9:13, left : left + 4] = LINE
        picture[10:12, left + 1 : left + 3] = FLYER[2]
        picture[10, left + 1] = WHITE
    picture[10:14, 9] = WALKER[2]  # nose
    picture[14, 8:11] = WALKER[0]
    picture[15:18, 5:14] = LINE
    picture[15, 6:13:2] = WHITE
    picture[17, 7:12:2] = WHITE
    for row, column in ((10, 17), (11, 18), (13, 17), (12, 16)):
        picture[row, column] = WALKER[0]
    picture[3:5, 5:18] = FLYER[1]
    picture[1:4, 6:17:4] = FLYER[1]
    picture[3, 5:18] = FLYER[2]
    return outline(picture, LINE)


WALKERS = {
    "FernHollow": beetle,
    "AmberDunes": scorpion,
    "CoralGrotto": crab,
    "FrostPeak": snowball,
    "EmberWorks": robot,
    "StarlitRuins": idol,
}
