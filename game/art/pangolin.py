"""The hero: a pangolin with copper scales, a cream face and a turquoise scarf.

It is drawn as a puppet: every frame is a `Pose` (where head, body, tail, hands and feet are), and
`figure` puts the parts on a 32x32 picture from the farthest to the nearest, each with its own dark
line. Scales follow the body: rows of rounded plates, lit from above.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .canvas import (
    Point,
    blank,
    capsule,
    cos,
    ellipse,
    grid,
    outline,
    over,
    paint,
    parse,
    part,
    sin,
    tube,
)
from .palettes import (
    COPPER1,
    COPPER2,
    COPPER3,
    COPPER4,
    INK,
    SCARF,
    SCARF_SHADE,
    SKIN,
    SKIN_SHADE,
)

SIZE = (32, 32)
SCALES = np.array([COPPER1, COPPER2, COPPER3, COPPER4], np.uint8)

# The head, drawn by hand: 2-5 copper, 6-7 skin, 8 white, 1 ink. Its anchor is the neck (5, 12).
HEAD = """
    ....233333.........
    ..2334445433.......
    .234533453344......
    .3344534453344.....
    2345344533666665...
    23345344566886666..
    234533456681186666.
    2334534566811866666.
    2234533466811866611
    .233453456688666611
    .2234533476666667..
    ..223345337777.....
    ....22334777.......
"""
HEAD_HURT = """
    ....233333.........
    ..2334445433.......
    .234533453344......
    .3344534453344.....
    2345344533666665...
    233453445661661666.
    234533456666116666.
    2334534566666116666.
    2234533466611666611
    .233453456616666611
    .2234533476661116..
    ..223345337711.....
    ....22334777.......
"""


@dataclass(frozen=True)
class Pose:
    """Positions in pixels on the 32x32 picture (x to the right, y down)."""

    head: Point = (13, 2)  # top left corner of the head
    neck: Point = (16, 16)
    hip: Point = (13, 23)
    tail: tuple[Point, ...] = ((12, 24), (7, 26), (3, 28), (1.5, 25))
    near_foot: Point = (14, 29)
    far_foot: Point = (19, 29)
    near_hand: Point = (20, 21)
    far_hand: Point = (22, 19)
    scarf: tuple[Point, ...] = ((11, 16), (8, 17), (6, 19))
    eye: str = "open"
    lift: float = 0.0  # whole figure, pixels up
    feet_tilt: tuple[int, int] = field(default=(0, 0))  # degrees: near, far


def plates(along: np.ndarray, across: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Colours of scales. `along`, `across`: pixels on the skin; `level`: light, 0..1."""
    row = np.floor(across / 3).astype(int)
    place = (along + 2 * (row % 2)) % 4
    step = np.clip(np.floor(level * 3), 0, 2) + 1
    step = np.where(place >= 3, step - 1, step)
    step = np.where((place < 1) & (across % 3 < 1.5), step + 1, step)
    return SCALES[np.clip(step, 0, 3).astype(int)]


def _scaled_tube(points: tuple[Point, ...], radii: tuple[float, ...]) -> np.ndarray:
    mask, along, across = tube(SIZE, points, radii)
    width = max(radii)
    colors = plates(along, across * width + 30, np.clip(0.5 + 0.42 * across, 0, 0.99))
    picture = blank(*SIZE)
    paint(picture, mask, colors)
    return picture


def _leg(hip: Point, foot: Point, tilt: int, shade: bool) -> np.ndarray:
    picture = blank(*SIZE)
    thigh = capsule(SIZE, hip, (foot[0] - 0.5, foot[1] - 2), 3.2, 1.8)
    paint(picture, thigh, COPPER1 if shade else COPPER2)
    if not shade:
        paint(picture, capsule(SIZE, (hip[0] - 0.5, hip[1] - 1), hip, 1.6, 1.2), COPPER3)
    center = (foot[0] + 1.2 * cos(tilt), foot[1] + 1.2 * sin(tilt))
    sole = ellipse(SIZE, *center, 3.4, 1.9, tilt)
    paint(picture, sole, SKIN_SHADE if shade else SKIN)
    return picture


def _arm(shoulder: Point, hand: Point, shade: bool) -> np.ndarray:
    picture = blank(*SIZE)
    paint(picture, capsule(SIZE, shoulder, hand, 1.6, 1.3), COPPER1 if shade else COPPER2)
    paint(picture, ellipse(SIZE, *hand, 1.7, 1.7), SKIN_SHADE if shade else SKIN)
    return picture


def _body(neck: Point, hip: Point) -> np.ndarray:
    picture = blank(*SIZE)
    mask, along, across = tube(SIZE, (neck, hip), (4.6, 6.2))
    paint(picture, mask, plates(along, across * 6 + 30, np.clip(0.45 + 0.5 * across, 0, 0.99)))
    dx, dy = hip[0] - neck[0], hip[1] - neck[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    side = (dy / length * 2.6, -dx / length * 2.6)  # the belly's side: right of the way down
    belly = tube(
        SIZE,
        ((neck[0] + side[0], neck[1] + side[1]), (hip[0] + side[0], hip[1] + side[1])),
        (3.0, 3.9),
    )[0]
    paint(picture, belly & mask, SKIN)
    shadow = tube(
        SIZE,
        ((neck[0] + side[0], neck[1] + side[1] + 3), (hip[0] + side[0], hip[1] + side[1] + 3)),
        (1.0, 3.4),
    )[0]
    paint(picture, belly & mask & shadow & (grid(SIZE)[1] % 2 == 0), SKIN_SHADE)
    return picture


def _scarf(neck: Point, ends: tuple[Point, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(the loose end, drawn behind; the band around the neck)."""
    loose = blank(*SIZE)
    mask, along, _ = tube(SIZE, ((neck[0] - 3, neck[1] - 2), *ends), (1.4, 1.6, 1.8, 2.2))
    paint(loose, mask, np.where(along % 5 < 3.5, SCARF, SCARF_SHADE).astype(np.uint8))
    band = blank(*SIZE)
    paint(band, capsule(SIZE, (neck[0] - 4, neck[1] - 2), (neck[0] + 4, neck[1]), 1.5, 1.5), SCARF)
    paint(
        band,
        capsule(SIZE, (neck[0] - 4, neck[1] - 1), (neck[0] + 3, neck[1] + 1), 0.6, 0.6),
        SCARF_SHADE,
    )
    return loose, band


def figure(pose: Pose) -> np.ndarray:
    """One frame, (32, 32), facing right."""
    picture = blank(*SIZE)
    loose, band = _scarf(pose.neck, pose.scarf)
    radii = (4.8, 3.8, 2.6, 1.0)[: len(pose.tail)]
    near_hip = (pose.hip[0] - 0.5, pose.hip[1] + 1)
    far_hip = (pose.hip[0] + 3, pose.hip[1] + 1)
    near_shoulder = (pose.neck[0] + 0.5, pose.neck[1] + 2)
    far_shoulder = (pose.neck[0] + 3, pose.neck[1] + 2)
    for above in (
        _arm(far_shoulder, pose.far_hand, True),
        _leg(far_hip, pose.far_foot, pose.feet_tilt[1], True),
        _scaled_tube(pose.tail, radii),
        loose,
        _body(pose.neck, pose.hip),
        _leg(near_hip, pose.near_foot, pose.feet_tilt[0], False),
        band,
    ):
        part(picture, above, COPPER1)
    head = parse(HEAD_HURT if pose.eye == "shut" else HEAD)
    layer = blank(*SIZE)
    over(layer, head, round(pose.head[0]), round(pose.head[1]))
    part(picture, layer, COPPER1)
    part(picture, _arm(near_shoulder, pose.near_hand, False), COPPER1)
    picture = outline(np.where(picture == COPPER1, picture, picture), INK)
    return picture


def _dark_edge(picture: np.ndarray) -> np.ndarray:
    """The outermost line in ink."""
    solid = picture != 0
    padded = np.pad(solid, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    result = picture.copy()
    result[solid & ~inner] = INK
    return result


def rolled(turn: int) -> np.ndarray:
    """The pangolin curled up, `turn` in degrees; a ball of 24 px at the bottom of the frame."""
    picture = blank(*SIZE)
    cx, cy, radius = 15.5, 20.0, 11.0
    x, y = grid(SIZE)
    dx, dy = x - cx, y - cy
    c, s = cos(turn), sin(turn)
    u, v = dx * c + dy * s, dy * c - dx * s  # in the ball's own frame
    distance = np.sqrt(u * u + v * v)
    mask = distance <= radius
    level = np.clip(0.55 - 0.035 * dx - 0.05 * dy, 0, 0.99)
    # Scales in rings: each plate 30 degrees wide, its rear edge dark.
    sector = np.array(
        [[_degrees(a, b) for a, b in zip(p, q, strict=True)] for p, q in zip(u, v, strict=True)]
    )
    ring = np.floor(distance / 3.7).astype(int)
    width = np.where(ring == 2, 30, np.where(ring == 1, 45, 90))
    place = (sector + ring * 15) % width / width
    step = np.clip(np.floor(level * 3), 0, 2) + 1
    step = np.where((place > 0.74) | (distance % 3.7 < 0.9), step - 1, step)
    paint(picture, mask, SCALES[np.clip(step, 0, 3).astype(int)])
    # the tail's end and the scarf peep out, so that the turning is seen
    wedge = mask & (np.abs(u - 2.5) < 4.5) & (v > 4.2) & (v < 7.4)
    paint(picture, wedge, SCARF)
    paint(picture, wedge & (v > 6.2), SCARF_SHADE)
    face = mask & (np.abs(u - 2.5) < 3.0) & (v >= 7.4)
    paint(picture, face, SKIN)
    shine = ellipse(SIZE, cx - 4, cy - 6, 2.6, 1.4, -35)
    paint(picture, shine, COPPER4)
    return outline(picture, INK)


def _degrees(x: float, y: float) -> float:
    import math

    return round(math.degrees(math.atan2(y, x)), 4) % 360


STAND = Pose()


def frames() -> dict[str, list[np.ndarray]]:
    """All frames of the hero, by action."""
    breathe = replace(STAND, head=(13, 3), near_hand=(20, 22), scarf=((11, 17), (8, 18), (6, 20)))
    walk = []
    for step in range(6):
        angle = step * 60
        swing, raise_ = cos(angle), max(0.0, sin(angle))
        back, raise_back = cos(angle + 180), max(0.0, sin(angle + 180))
        bob = 1 if step % 3 == 1 else 0
        walk.append(
            Pose(
                head=(14, 2 + bob),
                neck=(17, 16 + bob),
                hip=(13, 22 + bob),
                tail=((11, 23 + bob), (7, 24 + bob), (3, 25), (1.5, 22 + bob)),
                near_foot=(14.5 + 5 * swing, 29 - 4 * raise_),
                far_foot=(16.5 + 5 * back, 29 - 4 * raise_back),
                near_hand=(19 - 3 * swing, 21),
                far_hand=(21 + 3 * swing, 20),
                scarf=((11, 15 + bob), (7, 15), (4, 17 - bob)),
                feet_tilt=(round(-25 * raise_), round(-25 * raise_back)),
            )
        )
    run = []
    for step in range(4):
        angle = step * 90 + 20
        swing, raise_ = cos(angle), max(0.0, sin(angle))
        back, raise_back = cos(angle + 180), max(0.0, sin(angle + 180))
        bob = step % 2
        run.append(
            Pose(
                head=(14, 5 + bob),
                neck=(17, 18 + bob),
                hip=(11, 22 + bob),
                tail=((10, 21 + bob), (6, 20 + bob), (3, 19), (1.5, 17 + bob)),
                near_foot=(14 + 7 * swing, 29 - 5 * raise_),
                far_foot=(15 + 7 * back, 29 - 5 * raise_back),
                near_hand=(13 - 3 * swing, 23),
                far_hand=(21 + 3 * swing, 23),
                scarf=((11, 15), (6, 13 + bob), (2, 14 - bob)),
                feet_tilt=(round(30 - 50 * raise_), round(30 - 50 * raise_back)),
            )
        )
    hurt = Pose(
        head=(10, 3),
        neck=(13, 16),
        hip=(14, 23),
        tail=((13, 24), (9, 27), (5, 28), (2, 29)),
        near_foot=(21, 26),
        far_foot=(24, 22),
        near_hand=(21, 15),
        far_hand=(8, 15),
        scarf=((8, 13), (6, 10), (4, 8)),
        eye="shut",
        feet_tilt=(-40, -40),
    )
    skid = Pose(
        head=(9, 4),
        neck=(13, 17),
        hip=(15, 23),
        tail=((14, 24), (10, 26), (6, 28), (2, 28)),
        near_foot=(22, 29),
        far_foot=(25, 28),
        near_hand=(20, 18),
        far_hand=(22, 16),
        scarf=((14, 15), (19, 13), (23, 12)),
        feet_tilt=(-20, -20),
    )
    win = replace(STAND, near_hand=(9, 9), far_hand=(24, 16), scarf=((10, 17), (8, 20), (6, 21)))
    return {
        "pangolin_stand": [figure(STAND), figure(breathe)],
        "pangolin_walk": [figure(p) for p in walk],
        "pangolin_run": [figure(p) for p in run],
        "pangolin_roll": [rolled(turn) for turn in (0, 45, 90, 135, 180, 225, 270, 315)],
        "pangolin_jump": [rolled(turn) for turn in (0, 90, 180, 270)],
        "pangolin_hurt": [figure(hurt)],
        "pangolin_skid": [figure(skid)],
        "pangolin_win": [figure(win)],
    }
