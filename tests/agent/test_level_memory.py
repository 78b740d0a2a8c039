"""Level memory: seldom seen is rewarded, the best so far is replayed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import LevelMemoryConfig
from agent.level_memory import KEPT, Novelty, Replays

RNG = np.random.default_rng(0)
SHADES = [RNG.integers(8, size=(8, 8, 1)) * 32 + 16 for _ in range(2)]
FRAMES = [shades.repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.uint8) for shades in SHADES]
LATENTS = [RNG.normal(size=16), RNG.normal(size=16)]


@pytest.mark.parametrize("kind", ["latent", "frame"])
def test_the_bonus_falls_with_the_root_of_the_visits(kind: str) -> None:
    novelty = Novelty(LevelMemoryConfig(novelty=0.5, novelty_of=kind), latent=16, seed=0)

    def bonus(which: int, earned: float = 0.0) -> float:
        return novelty.bonus(LATENTS[which], FRAMES[which], earned)

    assert [bonus(0) for _ in range(4)] == pytest.approx([0.5 / n**0.5 for n in (1, 2, 3, 4)])
    assert bonus(1) == 0.5, "another sight"
    assert bonus(0, earned=5000.0) == 0.5, "the same sight elsewhere"
    # What differs by less than a shade is the same.
    noisy = FRAMES[0] + RNG.integers(-9, 10, size=(64, 64, 1)).astype(np.int8).view(np.uint8)
    if kind == "frame":
        assert novelty.bonus(LATENTS[0], noisy, 0.0) < 0.5


def test_off_by_default() -> None:
    config = LevelMemoryConfig()
    assert Novelty(config, latent=16, seed=0).bonus(LATENTS[0], FRAMES[0], 0.0) == 0
    replays = Replays(config, np.random.default_rng(0))
    play(replays, [1, 1], [5.0, 5.0])
    assert not replays.start_episode(1.0) and replays.action() is None


def play(replays: Replays, actions: list[int], rewards: list[float]) -> list[int]:
    """One episode; the policy wants `actions`. Returns what was played."""
    chosen = []
    for t, (action, reward) in enumerate(zip(actions, rewards, strict=True)):
        replayed = replays.action()
        chosen.append(action if replayed is None else replayed)
        replays.record(chosen[-1], reward, t == len(actions) - 1)
    return chosen


def test_the_best_actions_are_replayed_while_the_policy_is_worse() -> None:
    replays = Replays(LevelMemoryConfig(replay=1.0, replay_window=1), np.random.default_rng(0))
    assert not replays.start_episode(1.0), "there is nothing to replay yet"
    play(replays, [1, 2, 3, 4], [10, 10, -5, 0])
    assert not replays.start_episode(0.0), "not at the budget's start"
    assert replays.start_episode(1.0), "15 is worse than the peak of 20"
    # Up to the peak the solution plays, from there the policy.
    assert play(replays, [9, 9, 9, 9], [10, 10, 0, 0]) == [1, 2, 9, 9]
    # A replay that fails is averaged in; the policy is better than the mean of 20, 20 and 0.
    assert replays.start_episode(1.0)
    play(replays, [9], [0])
    assert not replays.start_episode(1.0)


@pytest.mark.parametrize("extends", [False, True])
def test_what_the_policy_adds_to_a_replay_is_kept(extends: bool) -> None:
    config = LevelMemoryConfig(replay=1.0, replay_window=1, replay_extends=extends)
    replays = Replays(config, np.random.default_rng(0))
    play(replays, [1, 2, 3], [10, 10, -30])
    assert replays.start_episode(1.0)
    assert play(replays, [8, 8, 8, 8], [10, 10, 5, -5]) == [1, 2, 8, 8]
    assert replays.start_episode(1.0)
    replayed = play(replays, [9, 9, 9, 9], [0, 0, 0, 0])
    assert replayed == ([1, 2, 8, 9] if extends else [1, 2, 9, 9])
    assert len(replays.solutions) == (2 if extends else 1), "a replay that got nowhere is none"


def test_a_replay_stops_before_it_is_too_late_unless_the_way_ends_the_level() -> None:
    def lengths(last: float) -> set[int]:
        config = LevelMemoryConfig(replay=1.0, replay_window=1, replay_margin=3)
        replays = Replays(config, np.random.default_rng(0))
        play(replays, [1] * 6, [10, 10, 10, 10, 10, last])
        assert not replays.start_episode(0.0)
        play(replays, [2], [0])  # the policy is worse by now
        found = set()
        for _ in range(40):
            assert replays.start_episode(1.0)
            found.add(play(replays, [9] * 6, [10, 10, 10, 10, 10, last]).count(1))
        return found

    assert lengths(-1.0) == {2, 3, 4, 5}, "the fifth action earned most"
    assert lengths(990.0) == {6}


@given(st.lists(st.lists(st.floats(-50, 50), min_size=1, max_size=6), max_size=120))
def test_solutions_stay_few_and_end_at_their_peak(episodes: list[list[float]]) -> None:
    replays = Replays(LevelMemoryConfig(replay=1.0), np.random.default_rng(0))
    for rewards in episodes:
        replays.start_episode(0.5)
        play(replays, list(range(len(rewards))), rewards)
    assert len(replays.solutions) <= KEPT
    for solution in replays.solutions:
        assert 1 <= len(solution.actions) <= 6 and solution.results[0] > 0


@pytest.mark.parametrize(("ramp", "share"), [(1.0, 0.2), (0.5, 0.4), (0.2, 0.8)])
def test_replays_become_more_frequent_over_the_ramp(ramp: float, share: float) -> None:
    config = LevelMemoryConfig(replay=0.8, replay_ramp=ramp)
    replays = Replays(config, np.random.default_rng(0))
    replays.start_episode(0.0)
    play(replays, [1, 2], [10, -10])
    started = [replays.start_episode(0.25) for _ in range(2000)]
    assert np.mean(started) == pytest.approx(share, abs=0.05)
