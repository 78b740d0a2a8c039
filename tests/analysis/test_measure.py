"""Measures on data whose answer is known."""

import numpy as np
import pytest

from analysis import measure

RNG = np.random.default_rng(0)


def test_a_probe_finds_what_is_there_and_not_what_is_not() -> None:
    features = RNG.normal(size=(2000, 10)) * 5 + 3
    targets = features[:, :2] @ np.array([[1.0, 2.0], [0.5, -1.0]]) + 7
    probe = measure.LinearProbe(features[:1000], targets[:1000])
    found = probe(features[1000:])
    assert measure.r_squared(targets[1000:, 0], found[:, 0]) > 0.999
    noise = RNG.normal(size=(2000, 1))
    probe = measure.LinearProbe(features[:1000], noise[:1000])
    assert measure.r_squared(noise[1000:, 0], probe(features[1000:])[:, 0]) < 0.05


def test_auc() -> None:
    labels = np.array([0, 0, 1, 1])
    assert measure.auc(labels, np.array([0.1, 0.2, 0.3, 0.4])) == 1
    assert measure.auc(labels, np.array([0.4, 0.3, 0.2, 0.1])) == 0
    assert measure.auc(labels, np.zeros(4)) == 0.5
    assert measure.auc(np.zeros(4), np.arange(4)) is None
    labels, scores = RNG.random(300) < 0.3, RNG.integers(20, size=300)
    pairs = scores[labels][:, None] - scores[~labels][None]
    assert measure.auc(labels, scores) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_the_mask_is_where_the_player_is() -> None:
    mask = measure.player_mask(np.array([[160.0, 112.0], [0.0, 0.0]]))
    rows, columns = np.nonzero(mask[0])
    assert columns.mean() == pytest.approx(31.5) and rows.mean() == pytest.approx(31.5)
    # 33 px of 320 are 6.4 of 64 columns, 33 px of 224 are 9.4 of 64 rows.
    assert 6 <= columns.max() - columns.min() + 1 <= 7 and 9 <= rows.max() - rows.min() + 1 <= 10
    assert mask[1, 0, 0] and not mask[1, 32, 32]


def test_likelihood_and_decibels() -> None:
    truth = RNG.normal(size=(5000, 3)) * 2 + 1
    nll = measure.gaussian_nll(truth, np.ones(3), np.full(3, 2.0))
    assert nll == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 4), abs=0.02)
    assert measure.psnr(0.01) == pytest.approx(20)
