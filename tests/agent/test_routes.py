"""RouteMemory: what was done well is done again, as far as that pays."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import RoutesConfig
from agent.learning.routes import (
    MAX_ROUTES,
    SPACING,
    TOLERANCE,
    Route,
    RouteMemory,
    waypoint_positions,
)

ALWAYS = RoutesConfig(replay=1.0, ramp=0.01, window=5)


def memory_of(config: RoutesConfig = ALWAYS) -> RouteMemory:
    return RouteMemory(config, np.random.default_rng(0))


def play(
    memory: RouteMemory,
    policy: Callable[[int], int],
    reward: Callable[[int, int], float],
    length: int,
) -> tuple[list[int], int]:
    """One episode: what was done, and how much of it was replayed.

    Args:
        policy: action that the policy wants at a timestep.
        reward: of a timestep and the action on it.
    """
    done, replayed = [], 0
    for t in range(length):
        action = memory.action()
        replayed += action is not None
        done.append(policy(t) if action is None else action)
        memory.record(done[-1], reward(t, done[-1]), t == length - 1)
    return done, replayed


def plays_alone(memory: RouteMemory, reward: Callable[[int, int], float], length: int) -> None:
    """Five episodes at the budget's start, when the policy still plays alone; it does 2."""
    for _ in range(5):
        assert not memory.start_episode(0.0)
        play(memory, lambda t: 2, reward, length)


def test_waypoints_lie_along_a_route_and_at_its_end() -> None:
    assert waypoint_positions(20).tolist() == [8, 16, 20]
    assert waypoint_positions(16).tolist() == [8, 16]
    assert waypoint_positions(3).tolist() == [3]
    route = Route.of([1] * 6 + [2] * 6, [10.0 * t for t in range(12)], ends_episode=False)
    assert route.earned.tolist() == [70, 110] and route.changes.tolist() == [1, 0]


def test_a_probability_of_0_never_replays() -> None:
    memory = memory_of(RoutesConfig(replay=0.0))
    play(memory, lambda t: 1, lambda t, a: 5.0, 10)
    assert not memory.routes and not memory.start_episode(1.0) and memory.action() is None


def test_a_better_route_is_replayed_and_the_policy_goes_on_from_there() -> None:
    memory = memory_of()
    assert not memory.start_episode(1.0), "there is nothing to replay yet"
    play(memory, lambda t: 1, lambda t, a: 200.0 if t < 20 else 0.0, 30)
    plays_alone(memory, lambda t, a: 10.0 if a == 1 else 0.0, 30)
    assert memory.start_episode(1.0)
    done, replayed = play(memory, lambda t: 3, lambda t, a: 200.0 if a == 1 else 0.0, 30)
    assert replayed == 20 and done == [1] * 20 + [3] * 10


def test_what_is_worse_than_the_policy_alone_is_not_replayed() -> None:
    memory = memory_of()
    play(memory, lambda t: 1, lambda t, a: 100.0, 10)
    plays_alone(memory, lambda t, a: 300.0, 10)
    memory.routes = memory.routes[:1]
    assert not memory.start_episode(1.0)


def test_off_track_the_policy_takes_over_at_the_next_waypoint() -> None:
    memory = memory_of()
    play(memory, lambda t: 1, lambda t, a: 100.0, 40)
    plays_alone(memory, lambda t, a: 0.0, 40)
    assert memory.start_episode(1.0)
    lost = lambda t, a: 100.0 if t < 10 else 0.0  # noqa: E731
    _, replayed = play(memory, lambda t: 2, lost, 40)
    assert replayed == 2 * SPACING
    route = memory.routes[0]
    assert route.tried[:3].tolist() == [2, 2, 1] and route.arrived[:3].tolist() == [2, 1, 1]
    assert route.earned[1] > 10 * 100.0 + TOLERANCE


def test_a_replay_into_a_pit_gets_shorter() -> None:
    """The most is earned just before the life is lost; from a little earlier it can be saved."""
    memory = memory_of()
    length, pit = 100, 60

    def episode(wanted: int) -> float:
        """The policy, which wants to jump (2), must not do so early, and must before the pit."""
        done: list[int] = []
        for t in range(length):
            action = memory.action()
            done.append(wanted if action is None else action)
            fell = (t < 20 and done[-1] == 2) or (t == pit and 2 not in done[pit - 10 :])
            memory.record(done[-1], 100.0, fell or t == length - 1)
            if fell:
                break
        return 100.0 * len(done)

    assert episode(wanted=1) == 100.0 * (pit + 1)
    for _ in range(5):
        memory.start_episode(0.0)
        assert episode(wanted=2) == 100.0
    earned = []
    for _ in range(30):
        assert memory.start_episode(1.0)
        earned.append(episode(wanted=2))
    assert np.mean(earned[-10:]) == 100.0 * length, "its fatal end is not insisted on"


def test_short_and_safe_beats_long_and_unlikely() -> None:
    """A route whose second half never works is replayed up to its middle."""
    memory = memory_of()
    play(memory, lambda t: 1, lambda t, a: 100.0, 80)
    plays_alone(memory, lambda t, a: 0.0, 10)
    lengths = []
    for _ in range(40):
        assert memory.start_episode(1.0)
        # Behind the middle a replay loses its life; the policy only stands still.
        replayed, earned = 0, 0.0
        for t in range(80):
            action = memory.action()
            replayed += action is not None
            fell = action is not None and t >= 44
            reward = -earned if fell else (100.0 if action == 1 else 0.0)
            earned += reward
            memory.record(2 if action is None else action, reward, fell or t == 79)
            if fell:
                break
        lengths.append(replayed)
    assert lengths[0] > 44, "it is tried"
    assert np.median(lengths[-10:]) == 44, "and given up for the longest route that is safe"


def test_what_the_policy_adds_becomes_a_route_that_knows_its_beginning() -> None:
    memory = memory_of()
    play(memory, lambda t: 1, lambda t, a: 100.0 if t < 24 else -1.0, 32)
    plays_alone(memory, lambda t, a: 0.0, 10)
    assert memory.start_episode(1.0)
    done, replayed = play(memory, lambda t: 3, lambda t, a: 100.0, 48)
    assert replayed == 24 and done == [1] * 24 + [3] * 24
    assert memory.routes[-1].actions == done
    assert memory.routes[-1].tried[:3].tolist() == [2, 2, 2]
    assert memory.routes[-1].handed_over[0].tolist() == [0, 0, 1, 0, 0, 0]
    assert memory.start_episode(1.0)
    assert play(memory, lambda t: 4, lambda t, a: 100.0, 60)[1] == 48


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_routes_stay_few_and_end_at_their_peak(data: st.DataObject) -> None:
    memory = memory_of()
    for _ in range(data.draw(st.integers(1, MAX_ROUTES + 10))):
        memory.start_episode(0.5)
        rewards = data.draw(st.lists(st.floats(-300, 300), min_size=1, max_size=30))
        done, _ = play(memory, lambda t: t % 3, lambda t, a, r=rewards: r[t], len(rewards))
        assert len(done) == len(rewards)
    assert len(memory.routes) <= MAX_ROUTES
    for route in memory.routes:
        assert route.earned[-1] > 0 and len(route.earned) == len(
            waypoint_positions(len(route.actions))
        )
        assert (route.arrived <= route.tried).all() and np.isfinite(memory.values(route)).all()


@pytest.mark.parametrize(("ramp", "share"), [(1.0, 0.2), (0.5, 0.4), (0.2, 0.8)])
def test_replays_become_more_frequent_over_the_ramp(ramp: float, share: float) -> None:
    memory = memory_of(RoutesConfig(replay=0.8, ramp=ramp))
    memory.start_episode(0.0)
    play(memory, lambda t: 1, lambda t, a: 200.0 if t < 4 else -150.0, 8)
    started = [memory.start_episode(0.25) > 0 for _ in range(2000)]
    assert np.mean(started) == pytest.approx(share, abs=0.05)
