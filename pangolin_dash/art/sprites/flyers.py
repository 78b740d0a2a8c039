"""Enemies that fly, one kind per zone (palette line 3), facing left, in four frames."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import (
    ball,
    blank,
    capsule,
    cos,
    ellipse,
    grid,
    outline,
    paint,
    polygon,
)
from pangolin_dash.art.palettes import EYE, FLYER, HAZARD, LINE, WALKER
from pangolin_dash.art.sprites.parts import WHITE, eye


def wasp(frame: int) -> np.ndarray:
    """A striped wasp (24x24, faces left)."""
    picture = blank(24, 24)
    shape = picture.shape
    angle = (-50, -15, 15, -15)[frame % 4]
    wing = ellipse(shape, 14 - 5 * cos(angle + 90) * 0.6, 7 + angle * 0.06, 6.5, 2.6, angle)
    paint(picture, wing, WHITE)
    paint(picture, wing & (grid(shape)[0] > 15), HAZARD[2])
    ball(picture, 14, 14, 7.5, 5, FLYER)
    x, _ = grid(shape)
    body = ellipse(shape, 14, 14, 7.5, 5)
    paint(picture, body & ((x == 12) | (x == 13) | (x == 17) | (x == 18)), LINE)
    paint(picture, polygon(shape, [(20, 12), (23.5, 16), (19, 17)]), FLYER[0])
    ball(picture, 6, 13, 4.4, 4.2, FLYER)
    eye(picture, 4, 12)
    paint(picture, capsule(shape, (5, 9), (3, 6), 0.5, 0.5), LINE)
    return outline(picture, LINE)


def vulture(frame: int) -> np.ndarray:
    """A broad-winged bird (24x32, faces left)."""
    picture = blank(24, 32)
    shape = picture.shape
    tip = (3, 8, 17, 10)[frame % 4]
    for cx, bend in ((17, 0), (20, 2)):
        wing = polygon(
            shape,
            [
                (cx - 3, 12),
                (cx + 2, tip),
                (cx + 9 + bend, tip + 1),
                (cx + 11, tip + 4),
                (cx + 5, 15),
            ],
        )
        paint(picture, wing, FLYER[1] if bend else FLYER[0])
        rim = capsule(shape, (cx + 2, tip + 1), (cx + 9 + bend, tip + 1), 0.8, 0.8)
        paint(picture, rim & wing, FLYER[2])
    ball(picture, 15, 14, 7, 4.4, FLYER)
    paint(picture, polygon(shape, [(20, 13), (30, 15), (28, 19), (20, 17)]), FLYER[0])
    paint(picture, ellipse(shape, 9.5, 12, 2.6, 2.2), WHITE)
    ball(picture, 6.5, 9.5, 3.6, 3.4, WALKER)
    paint(picture, polygon(shape, [(4, 9), (0, 12), (4, 12)]), HAZARD[1])
    eye(picture, 5, 8)
    return outline(picture, LINE)


def jelly(frame: int) -> np.ndarray:
    """A jellyfish (24x24)."""
    picture = blank(24, 24)
    shape = picture.shape
    squeeze = (0, 1, 2, 1)[frame % 4]
    for number, x in enumerate((6, 10, 14, 18)):
        for y in range(11, 22 - squeeze):
            bend = (0, 1, 1, 0, -1, -1)[(y + number * 2 + frame) % 6]
            picture[y, x + bend] = FLYER[1] if number % 2 else FLYER[2]
    x, y = grid(shape)
    half = 9.5 - squeeze
    dome = (((x - 11.5) / half) ** 2 + ((y - 12) / (9.5 + squeeze * 0.5)) ** 2 <= 1) & (y <= 12)
    ball(picture, 11.5, 11, half, 9.5, FLYER)
    picture[
        (y > 12)
        & (picture != 0)
        & ~np.isin(np.round(x), (5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19))
    ] = 0
    paint(
        picture,
        (y > 11) & (y <= 13) & ((np.round(x) + frame) % 4 < 2) & ellipse(shape, 11.5, 12, half, 3),
        FLYER[0],
    )
    paint(picture, dome & ellipse(shape, 8, 6, 2, 1.4, -30), WHITE)
    eye(picture, 7, 9, angry=False)
    eye(picture, 13, 9, angry=False)
    return outline(picture, LINE)


def owl(frame: int) -> np.ndarray:
    """An owl (24x24)."""
    picture = blank(24, 24)
    shape = picture.shape
    tip = (2, 8, 17, 8)[frame % 4]
    for side in (-1, 1):
        wing = polygon(
            shape,
            [
                (11.5 + side * 4, 9),
                (11.5 + side * 11.5, tip),
                (11.5 + side * 10, tip + 6),
                (11.5 + side * 4, 16),
            ],
        )
        paint(picture, wing, FLYER[0])
        rim = capsule(shape, (11.5 + side * 4, 9.5), (11.5 + side * 11, tip + 1), 0.9, 0.9)
        paint(picture, rim, FLYER[2])
    ball(picture, 11.5, 12.5, 6, 8, FLYER)
    paint(picture, ellipse(shape, 11.5, 15.5, 3.4, 4), WHITE)
    for y in (14, 16, 18):
        picture[y, 9:15:2] = FLYER[1]
    for x in (8, 13):
        paint(picture, ellipse(shape, x + 0.5, 8.5, 2.6, 2.6), WHITE)
        picture[8:10, x : x + 2] = EYE
    picture[10:12, 11:13] = HAZARD[0]
    picture[3:5, 6] = picture[3:5, 17] = FLYER[1]
    return outline(picture, LINE)


def drone(frame: int) -> np.ndarray:
    """A flying lamp with a rotor (24x24)."""
    picture = blank(24, 24)
    shape = picture.shape
    reach = (10, 7, 3, 7)[frame % 4]
    picture[3, 12 - reach : 12 + reach] = WHITE
    picture[4:7, 11:13] = FLYER[0]
    ball(picture, 11.5, 13, 8, 6.5, FLYER)
    picture[12:15, 4:20] = FLYER[0]
    paint(picture, ellipse(shape, 8, 13.5, 3.6, 3.6), LINE)
    paint(picture, ellipse(shape, 8, 13.5, 2.6, 2.6), EYE)
    picture[12, 7] = WHITE
    paint(picture, polygon(shape, [(8, 19), (15, 19), (11.5, 22 + frame % 2)]), HAZARD[1])
    paint(picture, ellipse(shape, 11.5, 19.5, 1.6, 1.2), HAZARD[2])
    return outline(picture, LINE)


def wisp(frame: int) -> np.ndarray:
    """A moth of starlight (24x24)."""
    picture = blank(24, 24)
    shape = picture.shape
    spread = (1.0, 0.75, 0.45, 0.75)[frame % 4]
    for side in (-1, 1):
        upper = ellipse(shape, 11.5 + side * 6 * spread, 8, 5.2 * spread + 0.5, 5.5, side * -25)
        lower = ellipse(shape, 11.5 + side * 4.5 * spread, 15.5, 3.6 * spread + 0.5, 4.2, side * 20)
        paint(picture, lower, FLYER[0])
        paint(picture, upper, FLYER[1])
        paint(
            picture,
            ellipse(shape, 11.5 + side * 6.5 * spread, 8, 2.4 * spread + 0.3, 2.4),
            FLYER[2],
        )
        paint(picture, ellipse(shape, 11.5 + side * 6.5 * spread, 8, 1.0, 1.0), WHITE)
    paint(picture, capsule(shape, (11.5, 6), (11.5, 17), 1.8, 1.2), WALKER[1])
    picture[6:8, 10] = WHITE
    picture[6:8, 13] = WHITE
    paint(picture, capsule(shape, (10.5, 4), (8, 1), 0.5, 0.5), FLYER[2])
    paint(picture, capsule(shape, (12.5, 4), (15, 1), 0.5, 0.5), FLYER[2])
    return outline(picture, LINE)


FLYERS = {
    "FernHollow": wasp,
    "AmberDunes": vulture,
    "CoralGrotto": jelly,
    "FrostPeak": owl,
    "EmberWorks": drone,
    "StarlitRuins": wisp,
}
