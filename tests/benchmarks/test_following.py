"""Repeating own routes: the place on a route, and what the ways to repeat one are worth."""

from pathlib import Path

import numpy as np
import pytest
import torch

from agent import bundle
from agent.models.actor import Models
from benchmarks.following import PATIENCE, Args, Pointer, Route, by_figure, measure, repeat
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import RIGHT, B, Worlds
from pretrain.data import acts as data
from tests.tiny import tiny_agent


def route(length: int = 40, step: float = 10.0) -> Route:
    """A route that earns `step` points a timestep; its action at timestep t is t."""
    return Route.of(range(length), np.arange(length + 1) * step)


def test_a_route_ends_where_its_episode_had_earned_most() -> None:
    found = Route.of([0, 1, 2, 1, 0], [0.0, 5.0, 10.0, 9.0, 12.0, 3.0])
    assert found.actions.tolist() == [0, 1, 2, 1]
    assert found.earned.tolist() == [0.0, 5.0, 10.0, 9.0, 12.0]
    assert len(Route.of([0, 1], [0.0, -1.0, -2.0]).actions) == 0


def test_the_point_moves_with_the_player() -> None:
    pointer = Pointer(route())
    for t in range(10):
        assert pointer.action() == t
        pointer.move(10.0 * (t + 1))
    for _ in range(9):  # the player is held up: the point stays near him
        pointer.move(100.0)
    assert 9 <= pointer.action() <= 11
    pointer.move(140.0)
    assert 13 <= pointer.action() <= 15


def test_while_a_route_waits_its_point_moves_in_time() -> None:
    earned = [*range(0, 50, 10), *[50] * 10, *range(60, 101, 10)]
    pointer = Pointer(Route.of([0] * 5 + [1] * 9 + [2] * 5, earned))
    for t in range(5):
        pointer.move(10.0 * (t + 1))
    for _ in range(9):
        assert pointer.action() == 1
        pointer.move(50.0)
    assert pointer.action() == 2


def test_far_from_a_route_there_is_no_action_and_near_it_is_found_again() -> None:
    pointer = Pointer(route(length=100))
    pointer.move(-400.0)
    assert pointer.action() is None
    pointer.move(500.0)
    assert pointer.action() == 50
    for t in range(50):
        pointer.move(510.0 + 10 * t)
    assert pointer.action() is None, "the route is at its end"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundle of an agent that holds RIGHT, or nothing at all, with equal chances."""
    models = Models.build(tiny_agent())
    head = models.controller.policy[-1]
    torch.nn.init.zeros_(head.weight)
    head.bias.data[:] = torch.tensor([0.0, 0.0, -100.0])
    bundle.save(models, tmp_path, {"pretraining_timesteps": {"controller": 0}})
    return tmp_path


def two_acts() -> list[Act]:
    return [each.act for each in data.acts_of_levels("pangolin-train")[:2]]


def test_a_route_of_one_button_scores_as_holding_it(folder) -> None:
    acts = two_acts()
    routes = [Route(np.full(4500, 2), np.zeros(4501)) for _ in range(4)]
    scores, finished, episodes = repeat(folder, acts, 2, "open_loop", routes, seed=1)
    worlds = Worlds(acts, 4, seed=1, patience=PATIENCE)
    for world in range(4):
        worlds.load(world, world // 2)
    while not worlds.state["over"].all():
        worlds.step(np.full(4, RIGHT | B, np.uint8), restart=False)
    np.testing.assert_array_equal(scores, worlds.state["score"])
    assert not finished.any()
    for score, episode in zip(scores, episodes, strict=True):
        assert (episode.actions == 2).all() and episode.earned[-1] >= score


def test_the_nearest_point_presses_what_was_pressed_there(folder) -> None:
    acts = two_acts()
    routes = [Route(np.full(400, 2), np.zeros(401)) for _ in range(2)]
    _, _, episodes = repeat(folder, acts, 1, "nearest", routes, seed=1)
    for episode in episodes:
        near = episode.earned[:-1] <= Pointer.LOST
        assert (episode.actions[near] == 2).all()
        assert (episode.actions[~near] < 2).all(), "the policy, which never presses B"


def test_figures_of_all_ways(folder) -> None:
    figures = measure(two_acts(), Args(folder, routes=1, explore=2, episodes=2))
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
