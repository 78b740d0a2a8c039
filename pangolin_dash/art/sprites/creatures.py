"""The sprites of a zone (palette line 3): enemies, hazards, and the platforms drawn here.

Colours follow the common meaning of line 3 (see `palettes`): 2-4 walker, 5-7 flyer, 8 white,
9 eye, 10-12 platforms, 13-15 hazard.
"""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import (
    blank,
    outline,
    paint,
    parse,
    polygon,
)
from pangolin_dash.art.palettes import FLYER, LINE, WOOD
from pangolin_dash.art.sprites.flyers import FLYERS
from pangolin_dash.art.sprites.hazards import HAZARDS
from pangolin_dash.art.sprites.parts import WHITE
from pangolin_dash.art.sprites.walkers import WALKERS


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
