"""From (zone, act, seed) to an act: sections in a row, dressed and ended by the goal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# These three modules enter their sections into the library.
from pangolin_dash.levels import ground_sections, wall_sections, zone_sections  # noqa: F401
from pangolin_dash.levels.blocks import NUMBER
from pangolin_dash.levels.canvas import BLOCK, MAX_COLUMNS, ROWS, Canvas, Thing, dress
from pangolin_dash.levels.library import LIBRARY, WIDEST, Section
from pangolin_dash.levels.themes import COMMON, THEMES

START_COLUMN = 6
AFTER_END = 24  # columns of level ground behind the goal, to run out on

PROGRESS = 9000 * 4096
"""points for a whole level, in units of 1/4096. A level's length in pixels divides this number, so
that the game counts its progress in whole units and the reward is exact"""
LENGTHS = tuple(n for n in range(4000, 10_001) if PROGRESS % n == 0)


@dataclass(frozen=True)
class Act:
    """A finished act."""

    zone: str
    act: int
    """number in the zone, from 1"""
    map: np.ndarray
    """block numbers, uint8 (columns, 32)"""
    things: tuple[Thing, ...]
    """objects, sorted by x"""
    rings: tuple[tuple[int, int], ...]
    """centres of the rings in pixels, sorted by x"""
    start: tuple[int, int]
    """pixels: where the player stands at first"""
    end_x: int
    """pixels: where the level ends"""
    sections: tuple[tuple[int, str], ...]
    """(first column, name) of every section, for reports"""

    @property
    def name(self) -> str:
        """The save-state's name, `ZoneName.ActN`."""
        return f"{self.zone}.Act{self.act}"


def target_length(hard: float, rng: np.random.Generator) -> int:
    """A length in pixels that grows with the difficulty: 4000 and more, to about 8000."""
    wish = 4200 + 3300 * hard + 700 * rng.random()
    return min(LENGTHS, key=lambda n: abs(n - wish))


def _plan(rng: np.random.Generator) -> list[str]:
    """Kinds of sections for one stretch of an act: easy ones first, then harder ones.

    `own` asks for one of the zone's own sections, of any kind.
    """
    first = rng.permutation(["own", "obstacle", "obstacle", "rest"]).tolist()
    then = rng.permutation(["own", "own", "back", "routes", "obstacle", "rest"]).tolist()
    return ["rest", *first, *then]


def _choose(
    zone: str, kind: str, hard: float, row: int, recent: list[str], rng: np.random.Generator
) -> Section | None:
    """A section of the kind that fits here and was not used recently; None where there is none."""
    own = THEMES[zone].own
    weights = own if kind == "own" else {**COMMON, **own}
    names, values = [], []
    for name, weight in weights.items():
        section = LIBRARY[name]
        if kind not in ("own", section.kind) or name in recent or section.hard > hard + 0.35:
            continue
        if row < section.sky or row + section.deep > ROWS - 2:
            continue
        names.append(name)
        values.append(weight * (1.5 if abs(section.hard - hard) < 0.2 else 1.0))
    if not names:
        return None
    p = np.array(values) / sum(values)
    return LIBRARY[str(rng.choice(names, p=p))]


def generate(zone: str, act: int, seed: int, hard: float) -> Act:
    """One act; the same arguments give the same act.

    Args:
        zone: a key of `THEMES`.
        act: number from 1.
        seed: any number; acts of one seed differ by zone and act.
        hard: difficulty, 0 to 1.

    Raises:
        ValueError: the act is wider than the game's map.
    """
    rng = np.random.default_rng([seed, sorted(THEMES).index(zone), act])
    length = target_length(hard, rng)
    canvas = Canvas(row=20)
    start_x = START_COLUMN * BLOCK
    end_x = start_x + length
    end_column = end_x // BLOCK
    canvas.flat(START_COLUMN + 8)
    canvas.ring_line(START_COLUMN + 4, canvas.row - 1.0, 3)

    sections: list[tuple[int, str]] = []
    recent: list[str] = []
    plan: list[str] = []
    while end_column - 8 - canvas.x > WIDEST:
        if canvas.row < 14:  # come back to the middle of the map
            canvas.down22(5)
            canvas.flat(3)
            continue
        if canvas.row > 23:
            canvas.up22(4)
            canvas.flat(3)
            continue
        plan = plan or _plan(rng)
        section = _choose(zone, plan.pop(0), hard, canvas.row, recent, rng)
        if section is None:
            continue
        sections.append((canvas.x, section.name))
        section.draw(canvas, rng, hard)
        recent = [*recent, section.name][-6:]
    while canvas.x < end_column - 26:
        name = str(rng.choice(["meadow", "hills", "patrol"]))
        sections.append((canvas.x, name))
        LIBRARY[name].draw(canvas, rng, hard)
    canvas.flat(end_column + AFTER_END - canvas.x)
    columns = canvas.x
    if columns > MAX_COLUMNS:
        raise ValueError(f"{zone} act {act}: {columns} columns, {MAX_COLUMNS} fit")

    blocks = dress(canvas, columns, rng)
    _goal(blocks, end_column, canvas.row)
    return Act(
        zone,
        act,
        blocks,
        tuple(sorted(canvas.things)),
        tuple(sorted(canvas.rings)),
        (start_x, 20 * BLOCK),
        end_x,
        tuple(sections),
    )


def _goal(blocks: np.ndarray, column: int, row: int) -> None:
    """The burrow at the level's end, 2 x 2 blocks."""
    blocks[column - 1 : column + 3, row - 6 : row] = NUMBER["empty"]
    for dx, dy, name in ((0, 2, "tl"), (1, 2, "tr"), (0, 1, "bl"), (1, 1, "br")):
        blocks[column + dx, row - dy] = NUMBER[f"goal_{name}"]


def difficulty(zone_index: int, act: int) -> float:
    """0 for the first act, 1 for the last of six zones."""
    return min(1.0, (zone_index * 2 + (act - 1) * 1.5) / 13)
