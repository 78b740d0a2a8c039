"""Parts that the enemies share (palette line 3)."""

from __future__ import annotations

import numpy as np

from pangolin_dash.art.canvas import (
    capsule,
    paint,
)
from pangolin_dash.art.palettes import EYE, LINE

WHITE = 8


def eye(picture: np.ndarray, x: int, y: int, angry: bool = True) -> None:
    picture[y : y + 3, x : x + 2] = WHITE
    picture[y + 1 : y + 3, x] = EYE
    if angry:
        picture[y - 1, x - 1 : x + 2] = LINE


def legs(picture: np.ndarray, xs: tuple[int, ...], top: int, frame: int, color: int) -> None:
    for number, x in enumerate(xs):
        lift = 1 if (number + frame) % 2 else 0
        step = (-1, 0, 1, 0)[(frame + number * 2) % 4]
        shape = picture.shape
        leg = capsule(shape, (x, top), (x + step, shape[0] - 2 - lift), 1.1, 0.9)
        paint(picture, leg, color)
        picture[shape[0] - 2 - lift, x + step - 1 : x + step + 2] = color
