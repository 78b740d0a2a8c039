"""Following routes: the place on a route, what C reads of it, and which route is chosen."""

import numpy as np
import pytest
import torch

from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.learning.following import KEPT, RouteChoice
from agent.models.actor import Actor, Models
from agent.models.controller import Controller
from agent.models.following import Follower, Route
from retro_common.errors import UsageError

ACTIONS = 3
SMALL = {
    "vision": VisionConfig(latent=96, grid=4, player_units=0, channels=(8, 8)),
    "memory": MemoryConfig(hidden=16),
}


def route(length: int = 40, step: float = 10.0) -> Route:
    """A route that earns `step` points a timestep; its action at timestep t is t % 3."""
    return Route.of(np.arange(length) % ACTIONS, np.full(length, step))


def advance(follower: Follower, reward: float, ended: bool = False) -> None:
    follower.remember(np.array([reward]), np.array([ended]))


def test_a_route_ends_where_its_episode_had_earned_most() -> None:
    found = Route.of([0, 1, 2, 1, 0], [5.0, 5.0, -1.0, 3.0, -9.0])
    assert found.actions.tolist() == [0, 1, 2, 1]
    assert found.earned.tolist() == [0.0, 5.0, 10.0, 9.0, 12.0]
    assert len(Route.of([0, 1], [-1.0, -1.0]).actions) == 0


def test_the_point_moves_with_the_player() -> None:
    follower = Follower(1, ACTIONS)
    follower.follow(0, route())
    for t in range(10):
        assert follower.actions()[0] == t % ACTIONS
        advance(follower, 10.0)
    for _ in range(3):  # the player is held up: the point waits where he is
        advance(follower, 0.0)
    assert abs(follower.features()[0, -4].item()) <= Follower.SCALE * 10
    advance(follower, 50.0)  # a jump of five timesteps
    assert follower.actions()[0] == (10 + 5) % ACTIONS


def test_while_a_route_waits_its_point_moves_in_time() -> None:
    follower = Follower(1, ACTIONS)
    waits = Route.of([0] * 5 + [1] * 9 + [2] * 5, [10.0] * 5 + [0.0] * 9 + [10.0] * 5)
    follower.follow(0, waits)
    for _ in range(5):
        advance(follower, 10.0)
    for _ in range(9):
        assert follower.actions()[0] == 1
        advance(follower, 0.0)
    assert follower.actions()[0] == 2


def test_features_are_the_actions_around_the_point_and_how_far_it_is() -> None:
    follower = Follower(1, ACTIONS)
    follower.follow(0, route())
    for _ in range(5):
        advance(follower, 10.0)
    advance(follower, 6.0)
    features = follower.features()[0]
    assert features.shape == (Follower.size(ACTIONS),)
    window = features[:-5].view(-1, ACTIONS).argmax(dim=1)
    around = np.arange(6 - Follower.PAST, 6 + Follower.AHEAD + 1) % ACTIONS
    assert window.tolist() == around.tolist()
    near, gap, late, soon, later = features[-5:].tolist()
    assert (near, late) == (1.0, 0.0)
    assert gap == pytest.approx(4 * Follower.SCALE)
    assert soon == pytest.approx(10 * Follower.SCALE)
    assert later == pytest.approx(80 * Follower.SCALE)


def test_beyond_its_ends_a_route_has_no_actions() -> None:
    follower = Follower(1, ACTIONS)
    follower.follow(0, route(length=4))
    window = follower.features()[0, :-5].view(-1, ACTIONS).sum(dim=1)
    assert window.tolist() == [0, 0, 1, 1, 1, 1] + [0] * 5
    for _ in range(4):
        advance(follower, 10.0)
    assert follower.features()[0, :-5].view(-1, ACTIONS).sum(dim=1).tolist() == [1, 1] + [0] * 9
    assert follower.actions()[0] == ACTIONS


def test_who_is_far_from_a_route_sees_none_and_finds_it_again() -> None:
    follower = Follower(2, ACTIONS)
    follower.follow(0, route(length=100))
    advance_both = (np.array([-400.0, 0.0]), np.array([False, False]))
    follower.remember(*advance_both)
    assert not follower.features().any()
    follower.remember(np.array([900.0, 0.0]), np.array([False, False]))
    assert follower.actions().tolist() == [50 % ACTIONS, ACTIONS]


def test_an_episode_within_a_level_is_followed_from_there() -> None:
    follower = Follower(1, ACTIONS)
    follower.follow(0, route(), earned=203.0, timestep=25)
    near, gap, late, *_ = follower.features()[0, -5:].tolist()
    assert (near, gap) == (1.0, pytest.approx(-3 * Follower.SCALE))
    assert late == pytest.approx(-5 * Follower.TIME_SCALE)


def test_after_an_episode_nothing_is_followed_until_it_is_said() -> None:
    follower = Follower(2, ACTIONS)
    for env in range(2):
        follower.follow(env, route())
    follower.remember(np.array([10.0, 10.0]), np.array([True, False]))
    assert follower.features().any(dim=1).tolist() == [False, True]
    follower.keep(np.array([False, True]))
    assert follower.actions().tolist() == [1]


def test_the_actor_gives_the_route_to_the_controller() -> None:
    config = AgentConfig(controller=ControllerConfig(features=("z", "route"), hidden=8), **SMALL)
    models = Models.build(config)
    actor = Actor(models, envs=2, seed=0)
    actor.follower.follow(1, route())
    features = actor.observe(np.zeros((2, 64, 64, 3), np.uint8))
    assert features.route.any(dim=1).tolist() == [False, True]
    log_probs, _ = models.controller(features)
    assert not torch.equal(log_probs[0], log_probs[1])


def test_a_controller_goes_on_from_another_one_that_read_no_routes() -> None:
    torch.manual_seed(0)
    plain = AgentConfig(controller=ControllerConfig(features=("z", "h"), hidden=8), **SMALL)
    wider = AgentConfig(
        controller=ControllerConfig(features=("z", "h", "route"), hidden=8), **SMALL
    )
    before, after = Controller(plain), Controller(wider)
    after.continue_from(before)
    models = Models.build(wider)
    actor = Actor(models, envs=1, seed=0)
    actor.follower.follow(0, route())
    features = actor.observe(
        np.random.default_rng(0).integers(256, size=(1, 64, 64, 3), dtype="u1")
    )
    for old, new in zip(before(features), after(features), strict=True):
        torch.testing.assert_close(old, new)

    other = AgentConfig(controller=ControllerConfig(features=("h", "z"), hidden=8), **SMALL)
    with pytest.raises(UsageError, match="do not begin with"):
        after.continue_from(Controller(other))
    larger = AgentConfig(controller=ControllerConfig(features=("z", "h"), hidden=16), **SMALL)
    with pytest.raises(UsageError, match="other layers"):
        after.continue_from(Controller(larger))


def play(choice: RouteChoice, rewards: list[float]) -> Route | None:
    """An episode with these rewards; returns the route that it followed."""
    followed = choice.choose()
    for t, reward in enumerate(rewards):
        choice.record(t % ACTIONS, reward, t + 1 == len(rewards))
    return followed


def test_the_best_route_is_followed_and_dropped_if_it_does_not_work_again() -> None:
    choice = RouteChoice()
    assert play(choice, [10.0, -50.0]) is None
    assert play(choice, [5000.0, 4000.0]).earned[-1] == 10.0
    assert play(choice, [2000.0, 1000.0]).earned[-1] == 9000.0
    # Followed twice, it earned 2,500 on average: together with its own 9,000 worth 5,750.
    assert play(choice, [2000.0, 0.0]).earned[-1] == 9000.0
    assert play(choice, [6000.0]).earned[-1] == 9000.0
    assert choice.choose().earned[-1] == 6000.0


def test_so_many_routes_are_kept_and_no_empty_one() -> None:
    choice = RouteChoice()
    play(choice, [-1.0])
    assert choice.choose() is None
    for number in range(2 * KEPT):
        play(choice, [100.0 + number])
    assert len(choice.routes) == KEPT
