"""The plan for the budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import OnlineConfig
from agent.learning.planner import Budget, Planner, longest_rollout


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def played(planner: Planner, clock: Clock, timesteps: int, speed: float) -> int:
    """Play at `speed` timesteps/s up to so many timesteps."""
    for used in range(0, timesteps + 1, max(1, timesteps // 100)):
        clock.now = 1000.0 + used / speed
        planner.tick(used)
    return used


def test_the_nearer_limit_is_planned_for() -> None:
    config, clock = OnlineConfig(), Clock()
    planner = Planner(config, Budget(1_000_000, 3600.0), clock)
    assert planner.expected(0) == 1_000_000, "before anything is measured"
    used = played(planner, clock, 10_000, speed=100)
    assert planner.speed() == pytest.approx(100, rel=0.02)
    assert planner.expected(used) == pytest.approx(360_000, rel=0.02)
    assert planner.progress(used) == pytest.approx(10_000 / 360_000, rel=0.02)

    clock = Clock()
    fast = Planner(config, Budget(1_000_000, 12 * 3600.0), clock)
    used = played(fast, clock, 10_000, speed=500)
    assert fast.expected(used) == 1_000_000


def test_rollouts_fit_the_budget() -> None:
    config = OnlineConfig(rollout_length=2048, rollout_span=4, updates=50)

    def rollout(timesteps: int) -> int:
        return Planner(config, Budget(timesteps, 12 * 3600.0), Clock()).rollout_length(0)

    assert rollout(10_000) == 512  # a quarter, so that there are updates at all
    assert rollout(100_000) == 2000
    assert rollout(1_000_000) == 8192
    assert longest_rollout(config) == 8192
    fixed = OnlineConfig(rollout_length=128, rollout_span=1)
    assert Planner(fixed, Budget(700, 60.0), Clock()).rollout_length(0) == 128


def test_schedules_begin_and_end_where_the_configuration_says() -> None:
    config = OnlineConfig(anchor=0.4, anchor_until=0.5, critic_warmup=2)
    planner = Planner(config, Budget(1000, 3600.0), Clock())
    first = planner.plan(0, updates=0)
    assert (first.anchor, first.critic_only) == (0.4, True)
    assert planner.plan(10, updates=1).critic_only and not planner.plan(10, updates=2).critic_only
    quarter = planner.plan(250, updates=5)
    assert quarter.anchor == pytest.approx(0.2)
    last = planner.plan(1000, updates=50)
    assert (last.progress, last.anchor) == (1.0, 0.0)


@given(
    st.integers(1, 2_000_000),
    st.floats(0.1, 1e6),
    st.lists(st.tuples(st.integers(0, 50_000), st.floats(0, 1e4)), max_size=30),
    st.integers(1, 5000),
    st.floats(1, 20),
)
def test_however_speed_varies_the_plan_makes_sense(
    timesteps: int, wallclock: float, moves: list[tuple[int, float]], rollout: int, span: float
) -> None:
    config, clock = OnlineConfig(rollout_length=rollout, rollout_span=span), Clock()
    planner = Planner(config, Budget(timesteps, wallclock), clock)
    used, before = 0, 0.0
    for more, seconds in moves:
        used, clock.now = used + more, clock.now + seconds
        planner.tick(used)
        plan = planner.plan(used, updates=3)
        assert before <= plan.progress <= 1
        assert 1 <= plan.rollout_length <= longest_rollout(config)
        assert plan.rollout_length >= rollout / span - 1
        assert 0 <= plan.anchor <= config.anchor
        if used >= timesteps:
            assert plan.progress == 1
        before = plan.progress
