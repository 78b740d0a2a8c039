"""The logic compiled for this machine and the ROM in the emulator are the same game."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pangolin_dash.acts import SHIPPED
from pangolin_dash.levels.generator import Act
from pangolin_dash.replay import open_act
from pangolin_dash.simulator import DOWN, LEFT, RIGHT, UP, B, Simulator, buttons, pad_of
from tests.pangolin_dash.conftest import INTEGRATIONS

PADS = (RIGHT, RIGHT | B, RIGHT | DOWN, LEFT, LEFT | B, DOWN, B, 0)
SAME = [
    "x",
    "y",
    "speed_x",
    "speed_y",
    "screen_x",
    "screen_y",
    "rings",
    "score",
    "lives",
    "on_ground",
    "rolling",
    "hurt",
    "progress",
    "time_left",
    "level_end",
    "frame",
]


@pytest.mark.parametrize("name", ["AmberDunes.Act2", "CoralGrotto.Act3", "StarlitRuins.Act1"])
def test_every_variable_agrees_in_every_frame(
    name: str, acts: list[Act], simulator: Simulator
) -> None:
    env = open_act(SHIPPED, name, INTEGRATIONS)
    index_of = {button: i for i, button in enumerate(env.buttons) if button}
    index = [act.name for act in acts].index(name)

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(PADS), st.integers(1, 60)), min_size=5, max_size=12))
    def agree(inputs: list[tuple[int, int]]) -> None:
        env.reset()
        simulator.load(index)
        for pad, frames in inputs:
            action = np.zeros(len(env.buttons), np.uint8)
            action[[index_of[name] for name in buttons(pad)]] = 1
            for _ in range(frames):
                _, _, done, _, info = env.step(action)  # shows the frame before this input
                mine = {key: getattr(simulator.variables, key) for key in SAME}
                assert {key: info[key] for key in SAME} == mine
                if done:
                    return
                simulator.hold(pad, 1)

    try:
        agree()
    finally:
        env.close()


def test_restore_goes_back_exactly(simulator: Simulator) -> None:
    simulator.load(0)
    simulator.hold(RIGHT, 100)
    state = simulator.save()
    simulator.hold(RIGHT | B, 50)
    there = simulator.variables.x, simulator.variables.y
    simulator.hold(LEFT, 77)
    simulator.restore(state)
    assert simulator.variables.frame == 101
    simulator.hold(RIGHT | B, 50)
    assert (simulator.variables.x, simulator.variables.y) == there


@pytest.mark.parametrize("pad", [0, RIGHT, LEFT | DOWN, RIGHT | B, UP | DOWN | LEFT | RIGHT | B])
def test_pad_bits_and_names_of_buttons_are_the_same(pad: int) -> None:
    assert pad_of(buttons(pad)) == pad
    assert pad_of(reversed(buttons(pad))) == pad
    assert ("B" in buttons(pad)) == bool(pad & B)
