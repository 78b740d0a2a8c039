"""The Lyapunov density model: the density, the greatest rarity on the way, and ranks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT

from agent import bundle
from lab.data import Data, DataSet, Seen
from lab.method import Shape
from lab.methods import lyapunov
from lab.mixture import Mixture


def test_a_mixture_finds_the_clusters_and_their_density() -> None:
    rng = np.random.default_rng(0)
    which = rng.random(4000) < 0.25
    features = rng.normal(size=(4000, 3)) * 0.2 + np.where(which, 3, -1)[:, None]
    mixture = Mixture(features=3, units=3, components=2)
    assert not mixture.fitted
    mixture.fit(features)
    assert mixture.fitted
    assert sorted(mixture.log_weights.exp().tolist()) == pytest.approx([0.25, 0.75], abs=0.03)
    points = torch.tensor([[-1.0, -1, -1], [3, 3, 3], [1, 1, 1], [9, 9, 9]])
    rarity = mixture.rarity(mixture.components(points))
    assert rarity.tolist() == sorted(rarity.tolist()) and rarity[0] < 1 < rarity[2]
    # Between the centres of the clusters: log(0.75 / 0.25), in units of the spread.
    between = (rarity[1] - rarity[0]) * mixture.spread
    assert between.item() == pytest.approx(np.log(3), abs=0.4)


def corridor(timesteps: int) -> Data:
    """Episodes of five states, one after the other. State 3 is met far apart from where it was met
    before: a place that the data hardly knows."""
    data, rng = Data(timesteps, 21, 2), np.random.default_rng(0)
    for t in range(timesteps):
        data.features[t] = rng.normal(size=21) * (1.0 if t % 5 == 3 else 0.1)
        data.features[t, t % 5] += 4
        data.ends[t] = t % 5 == 4
        data.actions[t] = rng.integers(3)
    data.count = timesteps
    return data


@pytest.fixture
def method(tiny_bundle: Path) -> lyapunov.Lyapunov:
    models, _ = bundle.load(tiny_bundle)
    torch.manual_seed(0)
    shape = Shape(features=21, memory=2, acts=2, agent=AGENT, models=models)
    config = lyapunov.Config(units=8, components=6, hidden=32, polyak=0.1)
    return lyapunov.build(config, shape)


def trained(method: lyapunov.Lyapunov, data: Data, steps: int) -> lyapunov.Lyapunov:
    weights = [w for part in method.parts().values() for w in part.parameters() if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=3e-3)
    for step in range(steps):
        loss, _ = method.loss(method.draw(data, np.random.default_rng(step), 64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)
    return method


def test_g_is_the_greatest_rarity_that_is_still_to_come(method: lyapunov.Lyapunov) -> None:
    data = corridor(2000)
    trained(method, data, 500)
    seen = Seen(torch.from_numpy(data.features.astype(np.float32)), torch.empty(0))
    with torch.no_grad():
        g, energy = method.g(seen, method.excess)
    assert (g >= energy).all()
    # Of the best action, means over the visits of each state.
    g, energy = (each.amin(1).view(-1, 5).mean(0) for each in (g, energy))
    assert energy[3] > energy[[0, 1, 2, 4]].max() + 0.5
    assert g[3].item() == pytest.approx(energy[3].item(), abs=0.4), "the worst is here"
    assert g[4].item() == pytest.approx(energy[4].item(), abs=0.4), "and over"
    ahead = [energy[3].item() * 0.99 ** (3 - state) for state in range(3)]
    assert g[:3].tolist() == pytest.approx(ahead, abs=0.5), "and to come"


def test_figures_are_of_dreams_on_recorded_data(method: lyapunov.Lyapunov, tiny_data: Path) -> None:
    data = DataSet.open(tiny_data).training
    assert method.measure(data, np.random.default_rng(0)) == {}
    members = [each.mixture.cells.weight.clone() for each in method.members]
    trained(method, data, 20)
    for before, member in zip(members, method.members, strict=True):
        assert not torch.equal(before, member.mixture.cells.weight)
        assert torch.equal(member.lstm.weight_ih_l0, method.memory.lstm.weight_ih_l0)
    found = method.measure(data, np.random.default_rng(0))
    for name in ("g", "e", "disagreement"):
        assert -1 <= found[f"rank_{name}"] <= 1
        assert 0 < found[f"error_{name}"] <= found["error"] / lyapunov.ADMITTED
