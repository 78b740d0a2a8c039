"""Repeating own routes: the place on a route, and what the ways to repeat one are worth."""

from pathlib import Path

import numpy as np
import pytest
import torch

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Models
from benchmarks.following import (
    PATIENCE,
    TIME_LIMIT,
    Args,
    Pointer,
    Route,
    by_figure,
    measure,
    play,
)
from pangolin_dash.simulator import RIGHT, B, Worlds
from pretrain.data import acts as data


def route(length: int = 40, step: float = 10.0) -> Route:
    """A route that earns `step` points a timestep; its action at timestep t is t."""
    return Route.of(range(length), [step] * length)


def test_a_route_ends_where_its_episode_had_earned_most() -> None:
    found = Route.of([0, 1, 2, 1, 0], [5.0, 5.0, -1.0, 3.0, -9.0])
    assert found.actions.tolist() == [0, 1, 2, 1]
    assert found.earned.tolist() == [0.0, 5.0, 10.0, 9.0, 12.0]
    assert len(Route.of([0, 1], [-1.0, -1.0]).actions) == 0


def test_the_point_moves_with_the_player() -> None:
    pointer = Pointer(route())
    for t in range(10):
        assert pointer.action() == t
        pointer.move(10.0)
    for _ in range(9):  # the player is held up: the point stays near him
        pointer.move(0.0)
    assert 9 <= pointer.action() <= 11
    pointer.move(40.0)
    assert 13 <= pointer.action() <= 15


def test_while_a_route_waits_its_point_moves_in_time() -> None:
    pointer = Pointer(Route.of([0] * 5 + [1] * 9 + [2] * 5, [10.0] * 5 + [0.0] * 9 + [10.0] * 5))
    for _ in range(5):
        pointer.move(10.0)
    for _ in range(9):
        assert pointer.action() == 1
        pointer.move(0.0)
    assert pointer.action() == 2


def test_far_from_a_route_there_is_no_action_and_near_it_is_found_again() -> None:
    pointer = Pointer(route(length=100))
    pointer.move(-400.0)
    assert pointer.action() is None
    pointer.move(900.0)
    assert pointer.action() == 50
    for _ in range(50):
        pointer.move(10.0)
    assert pointer.action() is None, "the route is at its end"


@pytest.fixture
def models() -> Models:
    """An agent that holds RIGHT and B, or nothing at all, with equal chances."""
    vision = VisionConfig(
        latent=16, grid=4, player_units=0, channels=(4, 8), decoder_channels=(4, 8)
    )
    features = ControllerConfig(features=("z", "h"), hidden=16)
    memory = MemoryConfig(hidden=5, mixtures=2)
    models = Models.build(AgentConfig(("", "RIGHT B", "LEFT"), vision, memory, features))
    head = models.controller.policy[-1]
    torch.nn.init.zeros_(head.weight)
    head.bias.data[:] = torch.tensor([0.0, 0.0, -100.0])
    return models


@pytest.mark.parametrize("way", ["open_loop", "nearest"])
def test_a_route_of_one_button_scores_as_holding_it(models, way) -> None:
    acts = [each.act for each in data.acts_of_levels("pangolin-train")[:2]]
    routes = [Route(np.ones(TIME_LIMIT, np.int64), np.zeros(TIME_LIMIT + 1)) for _ in range(4)]
    worlds = Worlds(acts, 4, seed=1, patience=PATIENCE)
    for world in range(4):
        worlds.load(world, world // 2)
    if way == "nearest":  # a route that stands still is near while the first points are earned
        models.controller.policy[-1].bias.data[:] = torch.tensor([-100.0, 0.0, -100.0])
    scores, _, _ = play(models, acts, 2, way=way, routes=routes, seed=1)
    while not worlds.state["over"].all():
        worlds.step(np.full(4, RIGHT | B, np.uint8), restart=False)
    np.testing.assert_array_equal(scores, worlds.state["score"])


def test_figures_of_all_ways(models, tmp_path: Path) -> None:
    bundle.save(models, tmp_path, {})
    acts = [each.act for each in data.acts_of_levels("pangolin-train")[:2]]
    figures = measure(models, acts, Args(tmp_path, routes=1, explore=2, episodes=2))
    assert list(figures) == ["routes", "open_loop", "nearest", "alone"]
    for way in ("open_loop", "nearest", "alone"):
        row = figures[way]
        assert row["retention"] == pytest.approx(
            row["score"] / figures["routes"]["score"], rel=0.01
        )
        assert row["retention_low"] <= row["retention"] <= row["retention_high"]
        assert "finish_again" not in row, "nothing was finished"
    stored = by_figure(figures)
    assert stored["retention"]["alone"] == figures["alone"]["retention"]
    low, high = stored["ci95"]["retention"]["nearest"]
    assert low <= high and stored["finish_again"] == {} == stored["ci95"]["finish_again"]
