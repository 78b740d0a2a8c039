"""U2O's fine-tuning: PPO begins with the skill's policy, and earns what its value counts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lab_kit import AGENT

from agent.models.controller import Features
from lab.data import Data, Seen
from lab.method import Shape
from lab.methods import u2o

LATENT, HIDDEN = AGENT.vision.latent, AGENT.memory.hidden


@pytest.fixture
def data() -> Data:
    """Two acts; the rewards of the second one are ten times as large."""
    data, rng = Data(800, LATENT + HIDDEN, 2), np.random.default_rng(0)
    data.features[:] = rng.normal(size=data.features.shape)
    data.shaped[:] = rng.normal(0.2, 0.1, 800)
    data.shaped[400:] *= 10
    data.acts[400:] = 1
    data.cuts[[399, 799]] = True
    data.count = 800
    return data


@pytest.fixture
def method(data: Data) -> u2o.U2O:
    torch.manual_seed(0)
    shape = Shape(features=LATENT + HIDDEN, memory=2, acts=2, agent=AGENT)
    found = u2o.build(u2o.Config(), shape)
    found.prepare(data)
    return found


def test_rewards_have_the_mean_and_the_spread_of_what_the_skill_earns(
    method: u2o.U2O, data: Data
) -> None:
    phi = method.phis.online[0]
    for act in range(2):
        rows = np.arange(400 * act, 400 * act + 399)
        with torch.no_grad():
            at, later = (phi(data.seen(each).features) for each in (rows, rows + 1))
            earned = ((later - at) @ method.chosen[act]).numpy()
        outcome = SimpleNamespace(shaped=data.shaped[rows])
        found = method.rewards(outcome, np.full(len(rows), act))
        assert found.dtype == np.float32
        assert found.mean() == pytest.approx(earned.mean(), abs=1e-3)
        assert found.std() == pytest.approx(earned.std(), rel=1e-3)
        assert np.corrcoef(found, outcome.shaped)[0, 1] == pytest.approx(1)


def test_ppo_begins_with_the_policy_of_each_acts_skill(method: u2o.U2O) -> None:
    acts, seen = np.array([0, 1, 1]), torch.randn(3, LATENT + HIDDEN)
    arena = SimpleNamespace(acts=acts, features=Features(*seen.split([LATENT, HIDDEN], dim=1)))
    features = method.sees(arena)
    with torch.no_grad():
        log_probs, values = method.heads(features)
    torch.testing.assert_close(log_probs, method.policy(Seen(seen, torch.from_numpy(acts))))
    assert values.shape == (3,)
    assert not torch.equal(method.chosen[0], method.chosen[1])
    rollout = method.rollout(AGENT, 4, 3)
    decision = (torch.zeros(3, dtype=torch.int64), torch.zeros(3), values)
    rollout.store(1, features, np.zeros(0), decision, np.zeros(3, np.float32), np.zeros(3, bool))
    replayed = rollout.features(torch.tensor([3, 4, 5]), torch.device("cpu"))
    with torch.no_grad():
        torch.testing.assert_close(method.heads(replayed)[0], log_probs)
