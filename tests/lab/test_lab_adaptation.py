"""M adapted to an act, the player's motion, and what both read of recorded data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT

from agent import bundle
from lab.data import Data, DataSet
from lab.dreams import dream, judged, latents_of, pixels, states
from lab.method import Method, Shape
from lab.methods import adaptation, motion


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> Data:
    return DataSet.open(tiny_data).training


@pytest.fixture
def shape(tiny_bundle: Path) -> Shape:
    models, _ = bundle.load(tiny_bundle)
    return Shape(features=21, memory=2, acts=2, agent=AGENT, models=models)


def trained(method: Method, data: Data, steps: int, rate: float) -> Method:
    weights = [w for part in method.parts().values() for w in part.parameters() if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=rate)
    for step in range(steps):
        loss, _ = method.loss(method.draw(data, np.random.default_rng(step), 64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)
    return method


def test_followed_timesteps_are_of_one_episode(data: Data) -> None:
    last = np.flatnonzero(data.ends | data.cuts)
    for timesteps in (1, 5, 40):
        expected = [
            row
            for row in range(len(data) - timesteps)
            if not ((last >= row) & (last < row + timesteps)).any()
        ]
        assert data.followed(timesteps).tolist() == expected


def test_places_are_those_of_the_game(data: Data) -> None:
    """The act begins with the player on ground, in the left half of the screen or in its middle."""
    first = np.append(0, np.flatnonzero(data.ends | data.cuts)[:-1] + 1)
    places = data.places[first]
    assert ((places[:, 0] > 0) & (places[:, 0] <= 160)).all()
    assert ((places[:, 1] > 60) & (places[:, 1] < 200)).all()


def test_recorded_states_are_those_of_playing(data: Data, shape: Shape) -> None:
    before = states(shape.models.memory, data)
    np.testing.assert_allclose(before.h, data.features[:, 19:].astype(np.float32), atol=2e-2)
    rows = judged(data, act=1)
    dreamt = dream(shape.models.memory, data, before, rows, 5)
    assert dreamt.shape == (5, len(rows), 19) and (data.acts[rows] == 1).all()
    # One timestep ahead is M's prediction from the true latent.
    z = latents_of(shape.models.memory, data, rows)
    after = data.features[rows + 1, 19:].astype(np.float32)
    expected = shape.models.memory.predict(torch.from_numpy(after), z).mean()
    torch.testing.assert_close(dreamt[0], expected, atol=3e-2, rtol=0)


@pytest.mark.parametrize("family", ["film", "heads", "full"])
def test_adapting_lowers_the_nll_and_moves_only_its_family(
    family: str, data: Data, shape: Shape
) -> None:
    method = adaptation.build(adaptation.Config(family=family), shape)
    before = method.measure(data, np.random.default_rng(0))
    trained(method, data, 30, 0.03)
    after = method.measure(data, np.random.default_rng(0))
    assert after["nll"] < before["nll"] - 0.1
    moved = {
        name
        for (name, mine), shipped in zip(
            method.adapted[0].named_parameters(), shape.models.memory.parameters(), strict=True
        )
        if not torch.equal(mine, shipped)
    }
    assert any(name.startswith("lstm") for name in moved) == (family == "full")
    assert any(name.endswith("weight") for name in moved) == (family != "film")
    # An act's M learns from its act alone: two acts, two Ms.
    first, second = (each.mixture.player.bias for each in method.adapted)
    assert not torch.equal(first, second)
    other = method.measure_other(data, np.random.default_rng(0))
    assert other["nll"] < other["nll_before"] and after["weights"] > 0


def falling(timesteps: int) -> Data:
    """A player who falls with drag and jumps with action 2, at 60 pixels from the rest's height."""
    data, rng = Data(timesteps, 21, 2), np.random.default_rng(0)
    place, speed = 60.0, 0.0
    for t in range(timesteps):
        action = int(rng.integers(3))
        x, y = 2 * 160 / 320 - 1, 2 * place / 224 - 1
        data.features[t, 17:19] = 2 * x, 2 * y
        data.actions[t], data.places[t] = action, (160, place)
        push = -12.0 if action == 2 else 6.0
        speed = 0.5 * speed + push
        place = float(np.clip(place + speed, 5, 100))
    data.count, data.cuts[-1] = timesteps, True
    return data


def test_curves_learn_a_motion_that_depends_on_the_action() -> None:
    data, shape = falling(2000), Shape(features=21, memory=2, acts=1, agent=AGENT)
    torch.manual_seed(0)
    method = motion.build(motion.Config(), shape)
    before = method.measure(data, np.random.default_rng(0))
    after = trained(method, data, 300, 0.03).measure(data, np.random.default_rng(0))
    assert before["still1"] > 2 and after["px1"] < 0.4 * before["still1"]
    assert after["px5"] < 0.6 * before["still5"]


def test_pixels_are_those_of_the_screen() -> None:
    latents = torch.tensor([[9.0, -2.0, -2.0], [9.0, 0.0, 0.0], [9.0, 2.0, 2.0]])
    assert pixels(latents).tolist() == [[0, 0], [160, 112], [320, 224]]


def test_a_curve_is_flat_far_away_and_steep_at_zero() -> None:
    x = torch.tensor([0.0, 0.1, 50.0, -50.0])
    found = motion.exp_tanh(torch.tensor([1.0, 2.0, 0.5, 3.0]), x)
    assert found[0] == 1 and found[2:].tolist() == pytest.approx([1, 1], abs=1e-6)
    assert found[1] == pytest.approx(1 + 2 * np.exp(-0.05) * np.tanh(0.3), abs=1e-6)
