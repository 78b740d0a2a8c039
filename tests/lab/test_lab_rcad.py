"""RCAD: what its loss is, and how a finder's misses and calibration are counted."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT
from torch.nn import functional as F

from lab.data import Data, DataSet
from lab.method import Shape
from lab.methods import rcad

SHAPE = Shape(features=21, memory=2, acts=2, agent=AGENT)


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> Data:
    return DataSet.open(tiny_data).training


def finder(loss: str) -> rcad.RCAD:
    torch.manual_seed(0)
    return rcad.build(rcad.Config(loss=loss), SHAPE)


def trained(method: rcad.RCAD, data: Data, steps: int) -> rcad.RCAD:
    optimizer = torch.optim.Adam(method.finder.parameters(), lr=3e-3)
    for step in range(steps):
        loss, _ = method.loss(method.draw(data, np.random.default_rng(step), 32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return method


def test_the_loss_adds_what_the_entropy_of_moved_frames_lacks(data: Data) -> None:
    method = finder("rcad")
    method.bfloat16 = False
    batch = method.draw(data, np.random.default_rng(0), 8)
    loss, scalars = method.loss(batch)
    inputs = batch.inputs.detach().clone().requires_grad_()
    plain = F.cross_entropy(method.finder(inputs).flatten(1), batch.targets)
    gradient = torch.autograd.grad(plain, inputs)[0]
    moved = inputs + gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None]
    shares = method.finder(moved).flatten(1).softmax(1)
    lacking = (shares * (shares * 256).log()).sum(1).mean()
    torch.testing.assert_close(loss, plain + 0.2 * lacking, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scalars["cross_entropy"], plain, atol=1e-4, rtol=1e-4)


def test_a_finder_learns_to_find_the_player_and_rcad_is_less_sure(data: Data) -> None:
    none = finder("plain").measure(data, np.random.default_rng(0))
    plain, unsure = (trained(finder(loss), data, 60) for loss in ("plain", "rcad"))
    found, other = (each.measure(data, np.random.default_rng(0)) for each in (plain, unsure))
    assert none["far"] > 0.9 and found["far"] < 0.3 and found["nll"] < none["nll"] - 1
    batch = plain.draw(data, np.random.default_rng(1), 64)
    assert unsure.loss(batch)[1]["entropy"] > 1.5
    assert other["far"] < 0.5 and other["noise"] <= 1


def test_label_smoothing_is_torchs(data: Data) -> None:
    method = finder("smoothing")
    batch = method.draw(data, np.random.default_rng(0), 8)
    uniform = torch.full_like(batch.targets, 1 / 256)
    expected = F.cross_entropy(method.logits(batch.inputs), 0.9 * batch.targets + 0.1 * uniform)
    torch.testing.assert_close(method.loss(batch)[0], expected)


def test_targets_are_the_players_places(data: Data) -> None:
    batch = finder("plain").frames(data, np.arange(10))
    shares = batch.targets.view(-1, 16, 16)
    centres = (torch.arange(16) + 0.5) / 16
    x, y = shares.sum(1) @ centres * 320, shares.sum(2) @ centres * 224
    np.testing.assert_allclose(torch.stack([x, y], 1), data.places[:10], atol=0.01)


def test_the_calibration_error_is_that_of_known_shares() -> None:
    # 60% sure and right in half of the cases; 90% sure, and the cell holds 0.7 of the player.
    shares = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7], [0.3, 0.7]])
    assert rcad.calibration_error(shares, targets) == pytest.approx((0.1 + 0.2) / 2)
    assert rcad.calibration_error(targets[2:], targets[2:]) == pytest.approx(0)
    assert rcad.entropy(torch.zeros(1, 256)).item() == pytest.approx(math.log(256))
