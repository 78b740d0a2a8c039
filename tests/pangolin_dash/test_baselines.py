"""Acts cannot be beaten without looking: holding right and pressing at random stay far behind.

Played in the compiled logic (test_simulator shows that it is the same game) with the contest's
timesteps of 4 frames and its time limit.
"""

from __future__ import annotations

import numpy as np

from pangolin_dash.acts import SHIPPED
from pangolin_dash.levels.generator import Act
from pangolin_dash.replay import open_act
from pangolin_dash.simulator import DOWN, LEFT, RIGHT, B, Simulator
from tests.pangolin_dash.conftest import INTEGRATIONS

TIMESTEPS = 4500


def _score(simulator: Simulator) -> float:
    variables = simulator.variables
    return variables.progress / 4096 + variables.time_left / 18


def test_holding_right_fails_nearly_everywhere(acts: list[Act], simulator: Simulator) -> None:
    scores, finished = [], 0
    for index in range(len(acts)):
        simulator.load(index)
        simulator.hold(RIGHT, 4 * TIMESTEPS)
        scores.append(_score(simulator))
        finished += simulator.variables.level_end
    assert finished <= 3
    assert np.mean(scores) < 4000
    assert np.mean(scores) > 500  # and an agent finds its first reward easily


def _pads() -> list[int]:
    """For each of the 4096 sets of buttons what the game gets after stable-retro's filter."""
    bits = {"LEFT": LEFT, "RIGHT": RIGHT, "DOWN": DOWN, "A": B, "B": B, "C": B}
    env = open_act(SHIPPED, "FernHollow.Act1", INTEGRATIONS)
    try:
        pads = []
        for held in range(1 << len(env.buttons)):
            action = env.data.filter_action(held)
            names = {name for i, name in enumerate(env.buttons) if action >> i & 1}
            pads.append(sum({bits[name] for name in names & set(bits)}))
        return pads
    finally:
        env.close()


def test_random_buttons_stay_below_1000(acts: list[Act], simulator: Simulator) -> None:
    """Like the contest's `random` agent: every button held or not, anew in each timestep."""
    rng = np.random.default_rng(0)
    pads = _pads()
    scores = []
    for index in range(len(acts)):
        for _ in range(8):
            simulator.load(index)
            for held in rng.integers(0, 4096, TIMESTEPS).tolist():
                simulator.hold(pads[held], 4)
                if simulator.dead or simulator.variables.level_end:
                    break
            scores.append(_score(simulator))
    mean = np.mean(scores)
    assert 100 < mean < 1000


def test_holding_right_in_the_emulator_is_the_same(acts: list[Act], simulator: Simulator) -> None:
    for index in (0, 7, 14):
        env = open_act(SHIPPED, acts[index].name, INTEGRATIONS)
        try:
            env.reset()
            action = np.zeros(len(env.buttons), np.uint8)
            action[env.buttons.index("RIGHT")] = 1
            total = 0.0
            for _ in range(500):
                _, reward, done, _, _ = env.step(action)
                total += reward
                if done:
                    break
        finally:
            env.close()
        simulator.load(index)
        simulator.hold(RIGHT, 499)
        assert abs(total - _score(simulator)) < 0.01
