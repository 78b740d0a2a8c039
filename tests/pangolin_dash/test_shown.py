"""Labels of frames against the frames themselves."""

from __future__ import annotations

import numpy as np
import pytest

from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import RIGHT, B, Worlds

SHIFTS = range(-12, 12)
"""lines by which a picture is shifted"""


@pytest.fixture(scope="module")
def worlds(acts: list[Act]) -> Worlds:
    worlds = Worlds(acts, len(acts), seed=2, frames=True, on_screen=True)
    for world in range(worlds.count):
        worlds.load(world, world)
    rng = np.random.default_rng(0)
    for _ in range(60):
        worlds.step(np.where(rng.random(worlds.count) < 0.3, RIGHT | B, RIGHT).astype(np.uint8))
    return worlds


def test_labels_are_of_the_frame_not_of_the_world_that_is_ahead(worlds: Worlds) -> None:
    """The frame shows the variables' world; while the player runs, the world is a frame ahead."""
    variables, shown = worlds.state["variables"], worlds.scene()
    for axis, name in enumerate(("screen_x", "screen_y")):
        np.testing.assert_array_equal(shown.cameras[:, axis], variables[name] % 16)
    there = shown.things[:, 0, 0] == 0
    assert there.sum() > 12
    np.testing.assert_array_equal(
        shown.things[there, 0, 1], (variables["x"] - variables["screen_x"])[there]
    )


def test_solid_blocks_look_like_blocks(worlds: Worlds) -> None:
    """A picture shifted by some pixels fits its labels less: blocks begin where colours change."""
    frames, shown = worlds.draw().astype(int), worlds.scene()
    edges = np.abs(np.diff(frames, axis=1)).sum(axis=3)  # between a line and the next one
    sharpest = []
    for world in range(worlds.count):
        # Places where a solid block lies under nothing, by the labels; a place has 3.5 lines.
        blocks = shown.blocks[world]
        rows, columns = np.nonzero((blocks[1:] == 1) & (blocks[:-1] == 0))
        x = columns * 5 + 2
        rows_of_edge = (rows + 1) * 7 // 2
        if len(rows) > 20:
            near = [edges[world, np.clip(rows_of_edge + d, 0, 222), x].mean() for d in SHIFTS]
            sharpest.append(SHIFTS[int(np.argmax(near))])
    assert len(sharpest) > 10
    assert np.median(np.abs(sharpest)) <= 4
