"""Enemies and moving things (palette line 3), one set per zone from a few puppets.

Colours follow the common meaning of line 3 (see `palettes`): 2-4 walker, 5-7 flyer, 8 white,
9 eye, 10-12 platforms, 13-15 hazard.
"""

from __future__ import annotations

import itertools

import numpy as np

from .canvas import (
    ball,
    blank,
    capsule,
    cos,
    ellipse,
    grid,
    outline,
    over,
    paint,
    parse,
    polygon,
    ramp,
)
from .palettes import EYE, FLYER, HAZARD, LINE, WALKER, WOOD

WHITE = 8


def _eye(picture: np.ndarray, x: int, y: int, angry: bool = True) -> None:
    picture[y : y + 3, x : x + 2] = WHITE
    picture[y + 1 : y + 3, x] = EYE
    if angry:
        picture[y - 1, x - 1 : x + 2] = LINE


def _legs(picture: np.ndarray, xs: tuple[int, ...], top: int, frame: int, color: int) -> None:
    for number, x in enumerate(xs):
        lift = 1 if (number + frame) % 2 else 0
        step = (-1, 0, 1, 0)[(frame + number * 2) % 4]
        shape = picture.shape
        leg = capsule(shape, (x, top), (x + step, shape[0] - 2 - lift), 1.1, 0.9)
        paint(picture, leg, color)
        picture[shape[0] - 2 - lift, x + step - 1 : x + step + 2] = color


def beetle(frame: int) -> np.ndarray:
    """A round beetle with a horn (24x24, faces left)."""
    picture = blank(24, 24)
    _legs(picture, (6, 12, 18), 17, frame, WALKER[0])
    ball(picture, 13, 13, 9, 7.5, WALKER)
    x, y = grid(picture.shape)
    body = picture != 0
    paint(picture, body & (np.abs(x - 13 + (y - 13) * 0.2) < 0.6) & (y < 18), WALKER[0])
    for sx, sy in ((16, 10), (18, 14), (10, 9)):
        paint(picture, ellipse(picture.shape, sx, sy, 1.4, 1.4), WALKER[2])
    ball(picture, 5, 15, 4, 4, WALKER)
    paint(picture, capsule(picture.shape, (3, 12), (1, 7), 1.4, 0.6), FLYER[1])
    _eye(picture, 3, 14)
    return outline(picture, LINE)


def scorpion(frame: int) -> np.ndarray:
    """A scorpion with a raised sting (24x32, faces left)."""
    picture = blank(24, 32)
    shape = picture.shape
    sway = (0, 1, 0, -1)[frame % 4]
    _legs(picture, (10, 14, 18, 22), 17, frame, WALKER[0])
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
    _eye(picture, 7, 14)
    return outline(picture, LINE)


def crab(frame: int) -> np.ndarray:
    """A crab (24x32) that lifts its claws in turn."""
    picture = blank(24, 32)
    shape = picture.shape
    _legs(picture, (7, 11, 20, 24), 16, frame, WALKER[0])
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
    _legs(picture, (8, 15), 18, frame, FLYER[0])
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
    _eye(picture, 6, 12)
    _eye(picture, 10, 12)
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
    _eye(picture, 4, 12)
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
    _eye(picture, 5, 8)
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
    _eye(picture, 7, 9, angry=False)
    _eye(picture, 13, 9, angry=False)
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


WALKERS = {
    "FernHollow": beetle,
    "AmberDunes": scorpion,
    "CoralGrotto": crab,
    "FrostPeak": snowball,
    "EmberWorks": robot,
    "StarlitRuins": idol,
}
FLYERS = {
    "FernHollow": wasp,
    "AmberDunes": vulture,
    "CoralGrotto": jelly,
    "FrostPeak": owl,
    "EmberWorks": drone,
    "StarlitRuins": wisp,
}


def moving_platform(zone: str) -> np.ndarray:
    """A platform that moves (16x32)."""
    picture = blank(16, 32)
    dark, mid, light = WOOD
    picture[1:11, 1:31] = mid
    picture[1:3, 1:31] = light
    picture[8:11, 1:31] = dark
    if zone in ("EmberWorks", "StarlitRuins", "CoralGrotto"):
        for x in (3, 15, 27):  # rivets or gems
            picture[5:7, x : x + 2] = WHITE
        picture[4, 1:31] = dark
    else:
        picture[1:11, 10] = picture[1:11, 21] = dark  # boards
        for x, y in ((4, 5), (14, 6), (26, 5)):
            picture[y, x : x + 4] = dark
    paint(picture, polygon(picture.shape, [(9, 11), (22, 11), (18, 15), (13, 15)]), dark)
    picture[12:14, 14:17] = FLYER[2]
    return outline(picture, LINE)


def crumbling_platform() -> np.ndarray:
    """A platform that falls (16x32): loose blocks, some already lower than the others."""
    picture = blank(16, 32)
    dark, mid, light = WOOD
    for left, width, drop in ((1, 7, 0), (9, 6, 2), (16, 8, 1), (25, 6, 0)):
        right = left + width
        picture[1 : 11 + drop, left:right] = mid
        picture[1:3, left:right] = light
        picture[3 : 10 + drop, left] = light
        picture[9 + drop : 11 + drop, left:right] = dark
        picture[3 : 11 + drop, right - 1] = dark
        picture[5 + drop, left + 2 : left + 4] = dark
        picture[6 + drop, left + 3 : left + 5] = dark
    picture[1:3, 8] = picture[1:3, 15] = picture[1:3, 24] = mid
    for column, row in ((5, 13), (12, 15), (20, 14), (28, 13)):
        picture[row, column] = mid  # crumbs
    return outline(picture, LINE)


def jet(frame: int) -> np.ndarray:
    """An upright jet of fire or sand (32x16)."""
    picture = blank(32, 16)
    dark, mid, light = HAZARD
    sway = 1 if frame else -1
    for color, width, top in ((dark, 6.8, 1), (mid, 4.8, 6), (light, 2.6, 13)):
        for y in range(top, 32):
            t = (y - top) / (32 - top)
            center = 7.5 + sway * (1, 1, 0, -1, -1, 0)[(y // 3) % 6] * (1 - t)
            half = width * (0.25 + 0.75 * t) + ((y + frame * 2) % 4 < 2) * 0.6
            left, right = max(0, round(center - half)), min(16, round(center + half) + 1)
            picture[y, left:right] = color
    return picture


def icicle(frame: int) -> np.ndarray:
    """An icicle that hangs, point down (32x16)."""
    picture = blank(32, 16)
    shape = picture.shape
    dark, mid, light = HAZARD
    paint(picture, polygon(shape, [(1, 0), (14.5, 0), (8, 31 - frame)]), mid)
    paint(picture, polygon(shape, [(9, 0), (14.5, 0), (8, 31 - frame)]), dark)
    paint(picture, capsule(shape, (4, 1), (6, 16), 1.2, 0.4), light)
    picture[0, 1:15] = light
    return outline(picture, LINE)


# The thorn plant's jaws, open and shut: 1 line, 3 4 flesh, 8 teeth, 9 throat.
JAWS = (
    """
    ..11........11..
    .1441......1441.
    1444381..1834441
    1444381..1834441
    1444398118934441
    1344439889344431
    1344438998344431
    .13444399344431.
    .13344399344331.
    ..133443344331..
    ...1133333311...
    .....111111.....
    """,
    """
    ......1111......
    ....11444411....
    ...1444334441...
    ..144438344441..
    .14443883444431.
    .13444838444431.
    .13443883444431.
    .13444838444431.
    .13443883444431.
    ..134448344431..
    ...1133333311...
    .....111111.....
    """,
)


def thorn_plant(frame: int) -> np.ndarray:
    """A plant that snaps (32x16): jaws open in frame 0, shut in frame 1."""
    picture = blank(32, 16)
    shape = picture.shape
    dark, mid, light = HAZARD
    paint(picture, capsule(shape, (7.5, 12), (7.5, 31), 1.3, 1.6), mid)
    picture[13:32, 8:10] = np.where(picture[13:32, 8:10] != 0, dark, 0)
    for row, side in ((16, -1), (19, 1), (22, -1), (25, 1)):  # thorns
        picture[row, 7 + 3 * side : 8 + 3 * side] = light
        picture[row, 7 + 2 * side] = mid
    paint(picture, ellipse(shape, 3, 29.5, 3.2, 2, 20), mid)
    paint(picture, ellipse(shape, 12.5, 29.5, 3.2, 2, -20), mid)
    picture = outline(picture, LINE)
    over(picture, parse(JAWS[frame]), 0, 2)
    return picture


def bubbles(frame: int) -> np.ndarray:
    """A column of rising bubbles (32x16)."""
    picture = blank(32, 16)
    shape = picture.shape
    dark, mid, light = HAZARD
    for x, y, radius in ((5, 28, 3.4), (11, 22, 2.9), (4, 16, 2.4), (10, 11, 3.2), (6, 5, 2.4)):
        row = (y - 4 * frame) % 32
        for wrap in (0, 32):
            ring = ellipse(shape, x, row - wrap, radius, radius)
            paint(picture, ring, mid)
            paint(picture, ellipse(shape, x, row - wrap, radius - 1, radius - 1), dark)
            glint = ellipse(shape, x - 1, row - wrap - 1, 0.9, 0.9)
            paint(picture, glint, light)
    for x, y in ((13, 30), (2, 22), (8, 18), (13, 6), (2, 9)):
        picture[(y - 6 * frame) % 32, x] = light
    return picture


def beam(frame: int) -> np.ndarray:
    """A beam of light that carries you away (32x16), with rings that rise in it."""
    picture = blank(32, 16)
    dark, mid, light = HAZARD
    x, y = grid(picture.shape)
    side = np.abs(x - 7.5)
    paint(picture, (side < 7) & ((x + y) % 2 == 0) & (y > 2), dark)
    paint(picture, side < 3.6, dark)
    paint(picture, (side < 3.6) & ((x + y) % 2 == 0), mid)
    paint(picture, side < 2.6, mid)
    paint(picture, side < 1.1, light)
    for row in (2, 10, 18, 26):
        rise = (row - 4 * frame) % 32
        ring = (side < 7) & (
            np.abs(y - rise - np.round(1.6 * np.sqrt(1 - (side / 7.5) ** 2))) < 0.6
        )
        paint(picture, ring, light)
    picture[29:32, 1:15] = mid
    picture[29, 2:14] = light
    picture[31, 1:15] = dark
    return picture


HAZARDS = {
    "FernHollow": thorn_plant,
    "AmberDunes": jet,
    "CoralGrotto": bubbles,
    "FrostPeak": icicle,
    "EmberWorks": jet,
    "StarlitRuins": beam,
}


BUBBLE = parse(
    """
    ..1111..
    .1dffe1.
    1dff..e1
    1ff...d1
    1f....d1
    1e...dd1
    .1eddd1.
    ..1111..
    """
)


def objects(zone: str) -> dict[str, list[np.ndarray]]:
    """The zone's sprites by name, palette line 3."""
    walker = WALKERS[zone]
    return {
        # Wide walkers have two frames, so that a zone's sprites stay within 120 tiles.
        "walker": [walker(frame) for frame in range(2 if walker(0).shape[1] > 24 else 4)],
        "flyer": [FLYERS[zone](frame) for frame in range(4)],
        "platform": [moving_platform(zone)],
        "crumble": [crumbling_platform()],
        "hazard": [HAZARDS[zone](frame) for frame in range(2)],
        "bubble": [BUBBLE.copy()],
    }
