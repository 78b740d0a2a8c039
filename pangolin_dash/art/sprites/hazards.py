"""Hazards and teleports, one kind per zone (palette line 3): 16x32, two frames."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import (
    blank,
    capsule,
    ellipse,
    grid,
    outline,
    over,
    paint,
    parse,
    polygon,
)
from pangolin_dash.art.palettes import HAZARD, LINE


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
    """A beam of light that teleports (32x16), with rings that rise in it."""
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
