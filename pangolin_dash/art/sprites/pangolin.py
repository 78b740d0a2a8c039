"""The player sprite: a pangolin with copper scales, a cream face and a turquoise scarf.

It is drawn as a puppet: every frame is a `Pose` (where head, body, tail, hands and feet are), and
`figure` puts the parts on a 32x32 picture from the farthest to the nearest, each with its own dark
line. Scales follow the body: rows of rounded plates, lit from above.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pangolin_dash.art.canvas import (
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
from pangolin_dash.art.palettes import (
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

# The head, drawn by hand: 2-5 copper, 6-7 skin, 8 white, 1 ink.
HEAD = """
    ....333443..........
    ..3344455433........
    .334543454433.......
    .3454434434436......
    343443543466666.....
    34354434668886666...
    233443436688116666..
    23435434668811666666
    .2344344668888666611
    .2233443666666667711
    ..22334436677777....
    ....222334777.......
"""
HEAD_HURT = """
    ....333443..........
    ..3344455433........
    .334543454433.......
    .3454434434436......
    343443543466666.....
    34354434616616666...
    233443436611666666..
    23435434661166666666
    .2344344616616666611
    .2233443666661117711
    ..22334436671117....
    ....222334777.......
"""
HEAD_GLAD = """
    ....333443..........
    ..3344455433........
    .334543454433.......
    .3454434434436......
    343443543466666.....
    34354434661116666...
    233443436166616666..
    23435434666666666666
    .2344344667766666611
    .2233443666661666711
    ..22334436671117....
    ....222334777.......
"""


# The trunk without tail and limbs: s = scales, b = belly, d = its shade, 9 a = scarf.
UPRIGHT = """
    ......9999999999...
    .....999999999999..
    ....9999999999999..
    ...saa999999999aab.
    ..ssssaaaaaaaabbbb.
    ..sssssssssssbbbbb.
    .ssssssssssssbbbbbb
    .ssssssssssssbbbbbb
    .sssssssssssssbbbbb
    .sssssssssssssbbbbd
    .ssssssssssssbbbbbd
    .ssssssssssssbbbbdd
    sssssssssssssbbbdd.
    sssssssssssssbbddd.
    .sssssssssssssddd..
    ..sssssssssssssd...
    ...sssssssssss.....
"""
LEANING = """
    .........ssssss999..
    ......ssssssssss9999
    ....ssssssssssss99ab
    ..ssssssssssssssabbb
    .ssssssssssssssbbbbb
    .sssssssssssssbbbbb.
    ssssssssssssssbbbbb.
    sssssssssssssbbbbd..
    sssssssssssssbbbd...
    .ssssssssssssbdd....
    ..sssssssssssd......
    ....sssssss.........
"""
# One plate, and its place in the next row: two pixels to the side.
PLATE = np.array([[4, 5, 4, 3], [4, 4, 3, 2], [2, 3, 2, 2]], np.uint8)


@dataclass(frozen=True)
class Pose:
    """Positions in pixels on the 32x32 picture (x to the right, y down)."""

    head: Point = (11, 1)  # top left corner of the head
    trunk: Point = (6, 12)  # top left corner of the trunk's map
    leaning: bool = False
    hip: Point = (14, 24)  # of the near leg
    shoulder: Point = (18, 17)  # of the near arm
    tail: tuple[Point, ...] = ((9, 25), (6, 27), (3, 26.5), (1.5, 23))
    near_foot: Point = (13, 29)
    far_foot: Point = (19, 29)
    near_hand: Point = (22, 20)
    far_hand: Point = (25, 19)
    scarf: tuple[Point, ...] = ((9, 15), (7, 17), (6, 19))
    eye: str = "open"
    feet_tilt: tuple[int, int] = (0, 0)  # degrees: near, far


def plated(mask: np.ndarray) -> np.ndarray:
    """Scales on a mask (32, 32): lighter towards its upper left, darker at the lower right."""
    y, x = np.nonzero(mask)
    picture = blank(*SIZE)
    row = y // 3
    picture[y, x] = PLATE[y % 3, (x + 2 * (row % 2)) % 4]
    depth = np.zeros(SIZE, int)  # pixels down from the mask's upper edge
    for line in range(1, 32):
        depth[line] = np.where(mask[line] & mask[line - 1], depth[line - 1] + 1, 0)
    picture[mask & (picture == COPPER4) & (depth > 7)] = COPPER3
    shaded = mask & (depth > 9) & (picture > COPPER1)
    picture[shaded] -= 1
    return picture


def _trunk(pose: Pose) -> np.ndarray:
    table = {"s": 3, "b": SKIN, "d": SKIN_SHADE}
    shape = parse(LEANING if pose.leaning else UPRIGHT, table)
    picture = blank(*SIZE)
    over(picture, shape, round(pose.trunk[0]), round(pose.trunk[1]))
    scales = plated(picture == 3)
    picture[picture == 3] = 0
    over(picture, scales)
    return picture


def _tail(points: tuple[Point, ...]) -> np.ndarray:
    return plated(tube(SIZE, points, (3.6, 3.2, 2.4, 1.2))[0])


def _leg(hip: Point, foot: Point, tilt: int, shade: bool) -> np.ndarray:
    picture = blank(*SIZE)
    thigh = capsule(SIZE, hip, (foot[0] - 0.5, foot[1] - 2), 2.9, 1.7)
    paint(picture, thigh, COPPER1 if shade else COPPER2)
    if not shade:
        paint(picture, ellipse(SIZE, hip[0] - 0.6, hip[1] - 0.6, 1.7, 1.7), COPPER3)
    center = (foot[0] + 1.2 * cos(tilt), foot[1] + 1.2 * sin(tilt))
    paint(picture, ellipse(SIZE, *center, 3.2, 1.7, tilt), SKIN_SHADE if shade else SKIN)
    return picture


def _arm(shoulder: Point, hand: Point, shade: bool) -> np.ndarray:
    picture = blank(*SIZE)
    paint(picture, capsule(SIZE, shoulder, hand, 1.6, 1.3), COPPER1 if shade else COPPER2)
    paint(picture, ellipse(SIZE, *hand, 1.7, 1.7), SKIN_SHADE if shade else SKIN)
    return picture


def _scarf(knot: Point, ends: tuple[Point, ...]) -> np.ndarray:
    """The scarf's loose end."""
    picture = blank(*SIZE)
    mask, along, _ = tube(SIZE, (knot, *ends), (1.0, 1.3, 1.6, 1.9))
    paint(picture, mask, np.where(along % 4 < 2.7, SCARF, SCARF_SHADE).astype(np.uint8))
    return picture


def figure(pose: Pose) -> np.ndarray:
    """One frame, (32, 32), facing right."""
    picture = blank(*SIZE)
    far_hip = (pose.hip[0] + 4, pose.hip[1])
    far_shoulder = (pose.shoulder[0] + 3, pose.shoulder[1])
    knot = (pose.trunk[0] + (16 if pose.leaning else 6), pose.trunk[1] + 1)
    for above in (
        _arm(far_shoulder, pose.far_hand, True),
        _leg(far_hip, pose.far_foot, pose.feet_tilt[1], True),
        _tail(pose.tail),
        _trunk(pose),
        _leg(pose.hip, pose.near_foot, pose.feet_tilt[0], False),
        _scarf(knot, pose.scarf),
    ):
        part(picture, above, COPPER1)
    head = parse({"shut": HEAD_HURT, "glad": HEAD_GLAD}.get(pose.eye, HEAD))
    layer = blank(*SIZE)
    over(layer, head, round(pose.head[0]), round(pose.head[1]))
    part(picture, layer, COPPER1)
    part(picture, _arm(pose.shoulder, pose.near_hand, False), COPPER1)
    return _dark_edge(picture)


def _dark_edge(picture: np.ndarray) -> np.ndarray:
    """The silhouette's outermost pixels in ink (the frame's border counts as inside)."""
    solid = np.pad(picture != 0, 1, constant_values=True)
    inner = solid[:-2, 1:-1] & solid[2:, 1:-1] & solid[1:-1, :-2] & solid[1:-1, 2:]
    result = picture.copy()
    result[(picture != 0) & ~inner] = INK
    return result


def rolled(turn: int) -> np.ndarray:
    """The pangolin curled up, `turn` in degrees; a ball of 24 px at the bottom of the frame.

    The tail winds into a spiral of plates; the scarf shows as one band, so that turning is seen.
    """
    picture = blank(*SIZE)
    cx, cy, radius, pitch = 15.5, 19.5, 11.0, 5.6
    x, y = grid(SIZE)
    dx, dy = x - cx, y - cy
    c, s = cos(turn), sin(turn)
    u, v = dx * c + dy * s, dy * c - dx * s  # in the ball's own frame
    distance = np.sqrt(u * u + v * v)
    degrees = np.round(np.degrees(np.arctan2(v, u)), 3) % 360
    winding = distance / pitch + degrees / 360
    ring, across = np.floor(winding), winding % 1
    along = (degrees / np.where(ring < 2, 60, 36)) % 1
    mask = distance <= radius
    level = 0.62 - 0.030 * dx - 0.048 * dy
    base = np.where(level > 0.62, COPPER3, COPPER2)
    base = np.where(level < 0.22, COPPER1, base)
    base = np.where((along < 0.35) & (across > 0.5) & (level > 0.3), base + 1, base)
    base = np.where((along > 0.82) | (across < 0.14), np.maximum(base - 1, COPPER1), base)
    base = np.where((across < 0.14) & (distance > 2), COPPER1, base)
    paint(picture, mask, np.clip(base, COPPER1, COPPER4).astype(np.uint8))
    paint(picture, distance < 2.2, SKIN_SHADE)
    band = mask & (distance > 5.2) & (np.abs(v) < 2.2) & (u > 0)
    paint(picture, band, SCARF)
    paint(picture, band & (v > 0.8), SCARF_SHADE)
    nose = mask & (distance > 7) & (v >= 2.2) & (v < 5.2) & (u > 0)
    paint(picture, nose, SKIN)
    return outline(picture, INK)


STAND = Pose()


def _walk(step: int) -> Pose:
    """Pose `step` of six."""
    angle = step * 60
    swing, raised = cos(angle), max(0.0, sin(angle))
    swing_far, raised_far = cos(angle + 180), max(0.0, sin(angle + 180))
    bob = 1 if step % 3 == 1 else 0
    return Pose(
        head=(11, 1 + bob),
        trunk=(6, 12 + bob),
        hip=(13, 23 + bob),
        shoulder=(17, 17 + bob),
        tail=((9, 24 + bob), (6, 25.5 + bob), (3, 24), (1.5, 20.5 + bob)),
        near_foot=(14 + 5 * swing, 29 - 4 * raised),
        far_foot=(17 + 5 * swing_far, 29 - 4 * raised_far),
        near_hand=(19 - 4 * swing, 21 + bob),
        far_hand=(22 - 4 * swing_far, 20 + bob),
        scarf=((10, 14 + bob), (7, 14), (4, 15 - bob)),
        feet_tilt=(round(-25 * raised), round(-25 * raised_far)),
    )


def _run(step: int) -> Pose:
    """Pose `step` of four: leaning forward, tail and scarf streaming."""
    angle = step * 90 + 20
    swing, raised = cos(angle), max(0.0, sin(angle))
    swing_far, raised_far = cos(angle + 180), max(0.0, sin(angle + 180))
    bob = step % 2
    return Pose(
        head=(11, 6 + bob),
        trunk=(5, 14 + bob),
        leaning=True,
        hip=(12, 23 + bob),
        shoulder=(18, 19 + bob),
        tail=((8, 22 + bob), (5.5, 22.5), (3, 22), (1, 20.5 - bob)),
        near_foot=(13 + 7 * swing, 29 - 5 * raised),
        far_foot=(15 + 7 * swing_far, 29 - 5 * raised_far),
        near_hand=(18 - 5 * swing, 23),
        far_hand=(22 - 4 * swing_far, 22),
        scarf=((12, 13), (8, 12 + bob), (3, 13 - bob)),
        feet_tilt=(round(30 - 50 * raised), round(30 - 50 * raised_far)),
    )


HURT = Pose(
    head=(9, 3),
    trunk=(5, 13),
    hip=(15, 24),
    shoulder=(17, 18),
    tail=((8, 26), (6, 27.5), (3.5, 28), (1.5, 29)),
    near_foot=(21, 27),
    far_foot=(25, 24),
    near_hand=(22, 15),
    far_hand=(25, 17),
    scarf=((8, 11), (6, 8), (4, 6)),
    eye="shut",
    feet_tilt=(-50, -50),
)
SKID = Pose(
    head=(8, 3),
    trunk=(5, 13),
    hip=(15, 24),
    shoulder=(16, 18),
    tail=((8, 26), (6, 27), (3.5, 28), (1.5, 27)),
    near_foot=(21, 29),
    far_foot=(26, 28),
    near_hand=(22, 18),
    far_hand=(25, 17),
    scarf=((15, 13), (20, 12), (24, 11)),
    feet_tilt=(-25, -25),
)
WIN = replace(STAND, near_hand=(25, 17), far_hand=(27, 15), eye="glad")


def frames() -> dict[str, list[np.ndarray]]:
    """All frames of the player sprite, by action."""
    breath = replace(
        STAND, head=(11, 2), trunk=(6, 13), near_hand=(22, 21), scarf=((9, 16), (7, 18), (6, 20))
    )
    return {
        "pangolin_stand": [figure(STAND), figure(breath)],
        "pangolin_walk": [figure(_walk(step)) for step in range(6)],
        "pangolin_run": [figure(_run(step)) for step in range(4)],
        "pangolin_roll": [rolled(turn) for turn in range(0, 360, 45)],
        "pangolin_jump": [rolled(turn) for turn in range(0, 360, 90)],
        "pangolin_hurt": [figure(HURT)],
        "pangolin_skid": [figure(SKID)],
        "pangolin_win": [figure(WIN)],
    }
