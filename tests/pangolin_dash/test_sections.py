"""Every section of the library alone in an act: it can be passed, and not without looking."""

from __future__ import annotations

import numpy as np
import pytest

from pangolin_dash.levels import generator
from pangolin_dash.levels.canvas import Canvas, dress
from pangolin_dash.levels.generator import Act
from pangolin_dash.levels.library import LIBRARY, WIDEST
from pangolin_dash.levels.themes import COMMON, THEMES
from pangolin_dash.simulator import RIGHT, Simulator, pad_of
from pangolin_dash.solve import solve

ZONE_OF = {name: theme.name for theme in THEMES.values() for name in theme.own}
LENGTH = generator.LENGTHS[0]
SECTION = 20  # column on which it begins
NAMES = list(LIBRARY)


def alone(name: str, start_column: int = 6) -> Act:
    """An act of level ground with one section in it."""
    rng = np.random.default_rng(8)
    canvas = Canvas(row=18)
    canvas.flat(SECTION)
    LIBRARY[name].draw(canvas, rng, 0.7)
    end = canvas.x
    assert end - SECTION <= WIDEST, f"{name} is {end - SECTION} columns wide"
    start = (start_column * 16, 18 * 16)
    canvas.flat((start[0] + LENGTH) // 16 + 24 - end)
    return Act(
        ZONE_OF.get(name, "FernHollow"),
        1,
        dress(canvas, canvas.x, rng),
        tuple(sorted(canvas.things)),
        tuple(sorted(canvas.rings)),
        start,
        start[0] + LENGTH,
        ((SECTION, name), (end, "end")),
    )


@pytest.fixture(scope="module")
def sections() -> tuple[list[Act], Simulator]:
    acts = [alone(name) for name in NAMES]
    acts.append(alone("run_up", start_column=SECTION + 18))  # between the post and the ramp
    return acts, Simulator(acts)


def test_library_and_themes_name_the_same_sections() -> None:
    assert set(COMMON) | set(ZONE_OF) == set(LIBRARY)


@pytest.mark.parametrize("name", NAMES)
def test_section_can_be_passed(name: str, sections: tuple[list[Act], Simulator]) -> None:
    assert solve(sections[1], NAMES.index(name), effort=60_000, polish=0) is not None


@pytest.mark.parametrize("name", [n for n in NAMES if LIBRARY[n].kind == "back"])
def test_holding_right_fails_for_good(name: str, sections: tuple[list[Act], Simulator]) -> None:
    acts, simulator = sections
    index = NAMES.index(name)
    simulator.load(index)
    simulator.hold(RIGHT, 6000)
    assert simulator.variables.x < acts[index].sections[1][0] * 16


@pytest.mark.parametrize("seed", range(4))
def test_the_ramp_needs_a_run_up(seed: int, sections: tuple[list[Act], Simulator]) -> None:
    """Whoever stands at the foot of the ramp must first get back behind the post."""
    _, simulator = sections
    movie = solve(simulator, len(NAMES), seed=seed, effort=60_000)
    assert movie is not None
    simulator.load(len(NAMES))
    least = simulator.variables.x
    for held, frames in movie.inputs:
        for _ in range(frames):
            simulator.hold(pad_of(held), 1)
            least = min(least, simulator.variables.x)
    assert least < (SECTION + 16) * 16  # the post's left side
