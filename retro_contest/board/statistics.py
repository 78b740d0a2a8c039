"""Statistics of a few runs on a few levels: interquartile mean, stratified bootstrap intervals.

After "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (arXiv 2108.13264) and
its library rliable: runs are resampled with replacement *within* each level, and the interval is
the range between two percentiles of the resampled statistic. With few runs per level such
intervals are somewhat too narrow (for n runs by about sqrt((n - 1) / n)): say how many runs there
were. Every function is deterministic: the resampling is seeded.

`Scores` are one array per level, with the scores of that level's runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Scores = Sequence[np.ndarray]
Statistic = Callable[[Scores], np.ndarray]
Interval = tuple[float, float]

RESAMPLES = 10_000
CONFIDENCE = 0.95


def mean(scores: Scores) -> np.ndarray:
    """The contest's score: mean over levels of the mean over each level's runs.

    Arrays are (..., runs of the level); the result has the leading dimensions.
    """
    return np.mean([level.mean(axis=-1) for level in scores], axis=0)


def interquartile_mean(scores: Scores) -> np.ndarray:
    """Mean of the middle half of all runs of all levels; robust to single outliers.

    As in rliable, a quarter of the runs, rounded down, is cut off at either end.
    """
    pooled = np.sort(np.concatenate(scores, axis=-1), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)


def resample(scores: Scores, rng: np.random.Generator, resamples: int = RESAMPLES) -> Scores:
    """Draw each level's runs anew with replacement: arrays (resamples, runs of the level)."""
    return [level[rng.integers(len(level), size=(resamples, len(level)))] for level in scores]


def interval(scores: Scores, statistic: Statistic = mean, seed: int = 0) -> Interval | None:
    """95% stratified bootstrap interval of a statistic.

    None where a level has fewer than two runs: resampling one run says nothing of its spread.
    """
    if not scores or min(len(level) for level in scores) < 2:
        return None
    return _percentiles(statistic(resample(scores, np.random.default_rng(seed))))


def ratio(of: Scores, to: Scores) -> float | None:
    """Ratio of two means; None where the divisor is not positive: a ratio would mislead."""
    divisor = float(mean(to))
    return float(mean(of)) / divisor if divisor > 0 else None


def ratio_interval(of: Scores, to: Scores, seed: int = 0) -> Interval | None:
    """95% stratified bootstrap interval of the ratio of two means, resampled independently.

    None where there are too few runs, or where the divisor is not positive in every resample.
    """
    if not of or not to or min(len(level) for level in [*of, *to]) < 2:
        return None
    rng = np.random.default_rng(seed)
    dividends, divisors = mean(resample(of, rng)), mean(resample(to, rng))
    if divisors.min() <= 0:
        return None
    return _percentiles(dividends / divisors)


def probability_of_improvement(of: Scores, over: Scores) -> np.ndarray:
    """Probability that a run of one agent beats a run of another on the same level.

    Mean over levels of the share of pairs of runs in which the first has the higher score; equal
    scores count half (the Mann-Whitney statistic, as in rliable). Arrays are (..., runs of the
    level), the levels of both in the same order.
    """
    shares = []
    for ours, theirs in zip(of, over, strict=True):
        one, other = ours[..., :, None], theirs[..., None, :]
        shares.append(((one > other) + 0.5 * (one == other)).mean(axis=(-2, -1)))
    return np.mean(shares, axis=0)


def probability_interval(of: Scores, over: Scores, seed: int = 0) -> Interval | None:
    """95% stratified bootstrap interval of `probability_of_improvement`, both sides resampled.

    None where there are too few runs.
    """
    if not of or min(len(level) for level in [*of, *over]) < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = probability_of_improvement(resample(of, rng, 2000), resample(over, rng, 2000))
    return _percentiles(drawn)


def apart(one: Interval | None, other: Interval | None) -> bool | None:
    """Whether two intervals have no point in common; None where one is missing."""
    if one is None or other is None:
        return None
    return one[0] > other[1] or other[0] > one[1]


def learning_curve(
    rewards: Sequence[float], ends: Sequence[int], timesteps: int, bins: int
) -> np.ndarray:
    """Mean reward of the episodes that end in each of `bins` equal parts of the budget.

    A part in which no episode ends repeats the one before; parts before the first end hold the
    first value. The episode that the end of the budget cut off is left out, unless it is the only
    one: it counts in the score, but would let every curve fall at its end.

    Args:
        rewards: reward of each episode, in the order they were played.
        ends: timestep (1..timesteps) at which each of them ended.

    Returns:
        (bins,); all zero for a run without an episode, as in the score.
    """
    if not len(rewards):
        return np.zeros(bins)
    if len(rewards) > 1 and ends[-1] >= timesteps:
        rewards, ends = rewards[:-1], ends[:-1]
    parts = (np.asarray(ends) - 1) * bins // timesteps
    counts = np.bincount(parts, minlength=bins)[:bins]
    sums = np.bincount(parts, weights=rewards, minlength=bins)[:bins]
    known = np.flatnonzero(counts)
    latest = np.searchsorted(known, np.arange(bins), side="right") - 1
    filled = known[np.maximum(latest, 0)]
    return sums[filled] / counts[filled]


def while_learning(curves: Sequence[np.ndarray], still: Scores) -> tuple[np.ndarray, np.ndarray]:
    """How an agent does in each part of its budget, against the same agent that does not learn.

    Args:
        curves: `learning_curve` of each run, one array (runs, bins) per level.
        still: scores of the agent that does not learn, on the same levels.

    Returns:
        Ratios of the means over levels (bins,), and their 95% stratified bootstrap intervals
        (2, bins), both sides resampled; NaN where a level has fewer than two runs.
    """
    ratios = np.mean([level.mean(axis=0) for level in curves], axis=0) / float(mean(still))
    if min(len(level) for level in [*curves, *still]) < 2:
        return ratios, np.full((2, len(ratios)), np.nan)
    rng = np.random.default_rng(0)
    drawn = [level[rng.integers(len(level), size=(1000, len(level)))].mean(1) for level in curves]
    divisors = mean(resample(still, rng, 1000))
    tail = 50 * (1 - CONFIDENCE)
    return ratios, np.percentile(np.mean(drawn, axis=0) / divisors[:, None], [tail, 100 - tail], 0)


def curve_with_band(
    curves: Sequence[np.ndarray], seed: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean curve over levels, and its 95% stratified bootstrap band.

    Args:
        curves: one array (runs, bins) per level.

    Returns:
        The mean (bins,) and the band (2, bins); no band where a level has fewer than two runs.
    """
    centre = np.mean([level.mean(axis=0) for level in curves], axis=0)
    if min(len(level) for level in curves) < 2:
        return centre, None
    rng = np.random.default_rng(seed)
    drawn = [level[rng.integers(len(level), size=(1000, len(level)))].mean(1) for level in curves]
    tail = 50 * (1 - CONFIDENCE)
    return centre, np.percentile(np.mean(drawn, axis=0), [tail, 100 - tail], axis=0)


def _percentiles(values: np.ndarray) -> Interval:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
