"""Reward shaping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import RewardConfig
from agent.learning.rewards import RewardShaper

ALIVE, ENDED = np.array([False]), np.array([True])


def play(config: RewardConfig, rewards: list[float]) -> list[float]:
    shaper = RewardShaper(config, envs=1)
    return [float(shaper(np.array([reward]), ALIVE)[0]) for reward in rewards]


def test_going_back_is_free_and_running_to_and_fro_earns_nothing() -> None:
    config = RewardConfig(scale=1.0)
    assert play(config, [5, -3, -1, 4, 2]) == [5, 0, 0, 0, 2]
    plain = RewardConfig(scale=0.1, free_backtracking=False)
    assert play(plain, [5, -3]) == pytest.approx([0.5, -0.3])


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=40))
def test_the_shaped_return_is_the_best_return_reached(rewards: list[float]) -> None:
    shaped = play(RewardConfig(scale=1.0), rewards)
    assert min(shaped) >= 0
    best = max(0.0, float(np.cumsum(rewards).max()))
    assert sum(shaped) == pytest.approx(best, abs=1e-3)


def test_a_lost_life_costs_and_a_finished_level_does_not() -> None:
    config = RewardConfig(scale=1.0, death_penalty=0.5)
    shaper = RewardShaper(config, envs=1)
    assert shaper(np.array([0.0]), ENDED)[0] == -0.5
    assert shaper(np.array([900.0]), ENDED)[0] == 900
    # At the time limit nobody died.
    shaper = RewardShaper(config, envs=1, time_limit=3)
    shaper(np.array([1.0]), ALIVE)
    shaper(np.array([0.0]), ALIVE)
    assert shaper(np.array([0.0]), ENDED)[0] == 0
    # The next episode starts afresh.
    assert shaper(np.array([2.0]), ALIVE)[0] == 2


@pytest.mark.parametrize("length", [1, 500, 4000])
def test_who_dies_while_getting_further_is_fined_too(length: int) -> None:
    """On Pangolin Dash a third of the deaths come with some reward, 14 at most."""
    shaper = RewardShaper(RewardConfig(scale=1.0, death_penalty=100.0), envs=2)
    for _ in range(length - 1):
        shaper(np.zeros(2), np.array([False, False]))
    bonus = 1000 * (1 - length / 4500)
    shaped = shaper(np.array([14.0, bonus]), np.array([True, True]))
    assert shaped[0] == 14 - 100 and shaped[1] == pytest.approx(bonus)
