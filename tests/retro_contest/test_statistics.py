"""The score benchmark's statistics on data of known results, and on any data at all."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from retro_contest.board import statistics

REWARDS = st.floats(-9000, 10_000, allow_nan=False, width=32)


def levels(least_runs: int = 2):
    """Scores of 1 to 4 levels with some runs each."""
    runs = numpy_st.arrays(np.float64, st.integers(least_runs, 6), elements=REWARDS)
    return st.lists(runs, min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[1.0, 2.0, 3.0, 4.0]], 2.5),
        ([[4.0, 1.0], [1000.0, 3.0]], 3.5),  # pooled: 1 3 4 1000
        ([[0.0, 0.0, 5.0], [6.0, 7.0, 900.0], [8.0, 9.0]], 6.5),  # 8 runs: 2 cut at either end
        ([[1.0, 2.0, 9.0]], 4.0),  # too few to cut any
    ],
)
def test_the_interquartile_mean_of_known_runs(scores, expected):
    assert statistics.interquartile_mean([np.array(of) for of in scores]) == expected


def test_the_mean_weighs_levels_alike_however_many_runs_they_have():
    assert statistics.mean([np.array([0.0, 0.0, 0.0]), np.array([100.0])]) == 50.0


@settings(max_examples=60, deadline=None)
@given(levels())
def test_an_interval_contains_its_statistic_and_stays_within_the_data(scores):
    pooled = np.concatenate(scores)
    for statistic in (statistics.mean, statistics.interquartile_mean):
        low, high = statistics.interval(scores, statistic)
        assert pooled.min() - 1e-6 <= low <= high <= pooled.max() + 1e-6
    low, high = statistics.interval(scores)
    assert low - 1e-6 <= statistics.mean(scores) <= high + 1e-6


@settings(max_examples=30, deadline=None)
@given(st.lists(REWARDS, min_size=1, max_size=4), st.integers(2, 6))
def test_runs_that_agree_leave_no_doubt_even_where_levels_differ(values, runs):
    low, high = statistics.interval([np.full(runs, value) for value in values])
    assert high - low < 1e-6
    assert low == pytest.approx(np.mean(values), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(levels(), st.floats(-1000, 1000), st.floats(0.1, 10))
def test_an_interval_moves_and_grows_with_its_data(scores, shift, factor):
    low, high = statistics.interval(scores)
    moved = statistics.interval([factor * of + shift for of in scores])
    assert moved == pytest.approx((factor * low + shift, factor * high + shift), abs=0.1)


def test_more_runs_narrow_the_interval_like_a_mean():
    rng = np.random.default_rng(1)
    for runs, tolerance in ((16, 0.25), (64, 0.15), (256, 0.1)):
        low, high = statistics.interval([rng.normal(1000, 100, runs) for _ in range(5)])
        normal = 2 * 1.96 * 100 / np.sqrt(5 * runs)
        assert high - low == pytest.approx(normal, rel=tolerance)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        scores = [rng.normal(mean, 300, 10) for mean in (0, 1000, 5000)]
        low, high = statistics.interval(scores, seed=seed)
        covered += low <= 2000 <= high
    assert 0.88 < covered / 200 <= 1


def test_levels_are_resampled_apart():
    # Levels far apart, runs alike: mixing levels would make the interval thousands wide.
    low, high = statistics.interval([np.array([0.0, 1.0]), np.array([9000.0, 9001.0])])
    assert high - low <= 1


def test_the_same_data_gives_the_same_interval():
    scores = [np.arange(5.0), np.arange(7.0)]
    assert statistics.interval(scores) == statistics.interval(scores)


def test_one_run_per_level_has_no_interval():
    once, twice = [np.array([1.0])], [np.array([1.0, 2.0])]
    assert statistics.interval(once) is None
    assert statistics.ratio_interval(twice, once) is None
    assert statistics.apart(None, (0.0, 1.0)) is None
    assert statistics.curve_with_band([np.ones((1, 3))])[1] is None


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 5), st.integers(2, 5))
def test_the_ratio_of_agreeing_runs_is_known_without_doubt(factor, runs):
    to = [np.full(runs, 100.0), np.full(runs, 300.0)]
    of = [factor * level for level in to]
    assert statistics.ratio(of, to) == pytest.approx(factor)
    assert statistics.ratio_interval(of, to) == pytest.approx((factor, factor))


def test_the_interval_of_a_ratio_knows_the_doubt_of_both_sides():
    rng = np.random.default_rng(3)
    sure, unsure = [np.full(8, 1000.0)], [rng.normal(1000, 200, 8)]

    def width(of, to):
        low, high = statistics.ratio_interval(of, to)
        assert low < statistics.ratio(of, to) < high
        return high - low

    assert width(unsure, unsure) > max(width(sure, unsure), width(unsure, sure)) > 0.1


def test_no_ratio_to_nothing():
    some, nothing = [np.array([5.0, 6.0])], [np.array([-1.0, 1.0])]
    assert statistics.ratio(some, nothing) is None
    assert statistics.ratio_interval(some, nothing) is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [((0, 1), (2, 3), True), ((2, 3), (0, 1), True), ((0, 2), (1, 3), False), ((0, 1), (1, 2), 0)],
)
def test_intervals_are_apart_when_they_share_no_point(one, other, expected):
    assert statistics.apart(one, other) == expected


def test_a_learning_curve_of_known_episodes():
    rewards, ends = [10.0, 20.0, 60.0, 7.0], [30, 31, 70, 100]
    # Fifths of 100: none, (20, 40], none, (60, 80], and the last one, which the budget cut off.
    curve = statistics.learning_curve(rewards, ends, 100, 5)
    assert curve.tolist() == [15.0, 15.0, 15.0, 60.0, 60.0]
    assert statistics.learning_curve([7.0], [100], 100, 2).tolist() == [7.0, 7.0]
    assert statistics.learning_curve([], [], 100, 3).tolist() == [0.0, 0.0, 0.0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=40), st.integers(1, 20), st.data())
def test_a_learning_curve_stays_within_its_episodes(lengths, bins, data):
    ends = np.cumsum(lengths)
    rewards = data.draw(st.lists(REWARDS, min_size=len(ends), max_size=len(ends)))
    curve = statistics.learning_curve(rewards, ends, int(ends[-1]), bins)
    assert curve.shape == (bins,)
    assert min(rewards) - 1e-6 <= curve.min() and curve.max() <= max(rewards) + 1e-6


def test_learning_is_compared_with_not_learning_part_by_part():
    curves = [np.array([[50.0, 100.0], [150.0, 300.0]]), np.array([[300.0, 100.0], [300.0, 100.0]])]
    still = [np.array([100.0, 100.0]), np.array([100.0, 100.0])]
    ratios, intervals = statistics.while_learning(curves, still)
    assert ratios.tolist() == [2.0, 1.5]
    assert intervals[0].tolist() == [1.75, 1.0] and intervals[1].tolist() == [2.25, 2.0]
    alone, unknown = statistics.while_learning([curves[0][:1]], [still[0]])
    assert alone.tolist() == [0.5, 1.0] and np.isnan(unknown).all()


# ---- against an independent implementation, on the committed runs -------------------------------

Levels = dict[str, list[float]]


def committed() -> dict[str, Levels]:
    """Arm -> level -> scores, of the committed runs with 20,000 timesteps."""
    folder = Path(__file__).parents[2] / "benchmarks/results/score/20000"
    arms: dict[str, Levels] = {}
    for path in sorted(folder.glob("*.jsonl")):
        levels = arms.setdefault(path.stem, {})
        for line in path.read_text().splitlines():
            run = json.loads(line)
            levels.setdefault(run["level"], []).append(run["score"])
    return arms


def drawn(levels: Levels, draw: random.Random) -> Levels:
    return {level: draw.choices(runs, k=len(runs)) for level, runs in levels.items()}


def plain_mean(levels: Levels) -> float:
    return sum(sum(runs) / len(runs) for runs in levels.values()) / len(levels)


def plain_iqm(levels: Levels) -> float:
    pooled = sorted(score for runs in levels.values() for score in runs)
    quarter = int(len(pooled) * 0.25)
    middle = pooled[quarter : len(pooled) - quarter]
    return sum(middle) / len(middle)


def plain_probability(of: Levels, over: Levels) -> float:
    total = 0.0
    for level, runs in of.items():
        pairs = [(one, other) for one in runs for other in over[level]]
        wins = sum(1.0 if one > other else 0.5 if one == other else 0.0 for one, other in pairs)
        total += wins / len(pairs)
    return total / len(of)


def ends(values: list[float]) -> tuple[float, float]:
    values = sorted(values)
    return values[round(0.025 * len(values))], values[round(0.975 * len(values)) - 1]


ARMS = committed()


@pytest.mark.parametrize("arm", ARMS)
def test_figures_of_the_committed_runs_are_those_of_plain_loops(arm):
    levels = ARMS[arm]
    arrays = [np.array(runs) for runs in levels.values()]
    assert statistics.mean(arrays) == pytest.approx(plain_mean(levels))
    assert statistics.interquartile_mean(arrays) == pytest.approx(plain_iqm(levels))
    draw = random.Random(7)
    again = [drawn(levels, draw) for _ in range(4000)]
    for statistic, plain in (
        (statistics.mean, plain_mean),
        (statistics.interquartile_mean, plain_iqm),
    ):
        low, high = ends([plain(one) for one in again])
        near = pytest.approx((low, high), abs=0.08 * (high - low) + 1e-6)
        assert statistics.interval(arrays, statistic) == near


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "jerk"])
def test_probabilities_of_improvement_are_those_of_plain_loops(arm):
    of, over = ARMS[arm], ARMS["jerk"]
    levels = sorted(of)
    arrays = [np.array(of[level]) for level in levels], [np.array(over[level]) for level in levels]
    expected = plain_probability(of, over)
    assert statistics.probability_of_improvement(*arrays) == pytest.approx(expected)
    draw = random.Random(3)
    again = [plain_probability(drawn(of, draw), drawn(over, draw)) for _ in range(2000)]
    assert statistics.probability_interval(*arrays) == pytest.approx(ends(again), abs=0.04)
