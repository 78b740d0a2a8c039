"""Proposers: what they propose exists, or is what M dreams; words follow the rules."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lab_kit import AGENT
from torch import nn

from agent.models.actor import Models
from agent.models.memory import State
from lab.data import Data, Seen
from lab.describe import ON_GROUND, SPEED_X, WORDS
from lab.dreams import Ends, dream, imagine
from lab.proposers import DREAMT, SAID_BY_M, Dreams, Recorded, said_by_m

LATENT, HIDDEN = AGENT.vision.latent, AGENT.memory.hidden
FEATURES, ACTIONS = LATENT + HIDDEN, len(AGENT.actions)


@pytest.fixture
def models() -> Models:
    torch.manual_seed(0)
    return Models.build(AGENT)


def test_a_recorded_goal_has_the_word_of_its_memory() -> None:
    data = Data(40, FEATURES, 231 + 260 + 14)
    data.count = 40
    data.features[:] = np.random.default_rng(0).random(data.features.shape)
    data.acts[20:] = 1
    data.memory[:, ON_GROUND] = 1
    data.memory[20:, SPEED_X] = 1  # in the second act everybody runs
    data.rewards[:] = 10
    proposer = Recorded([data, Data(4, FEATURES, 505)], LATENT, lambda seen, goals: goals[:, 0] * 9)
    seen = Seen(torch.rand(2, FEATURES), torch.tensor([0, 1]))
    goals = proposer.propose(seen, np.random.default_rng(1))
    assert goals.words == ["stands", "runs"] and set(goals.words) < set(WORDS)
    for world in range(2):
        known = data.seen(np.arange(40)).features
        (row,) = torch.nonzero((known == goals.features[world]).all(1)).flatten().tolist()
        assert row // 20 == world, "a state of the world's own act"
        assert goals.places[world] == 10 * row and 5 <= known[row, 0] * 9 <= 15


class Always(nn.Module):
    """A C that hardly ever does anything but action 1."""

    def forward(self, features: object) -> tuple[torch.Tensor, None]:
        logits = torch.zeros(len(features.z), ACTIONS)
        logits[:, 1] = 50
        return logits.log_softmax(1), None


def test_a_dream_of_c_is_the_dream_with_the_actions_that_c_takes(models: Models) -> None:
    data, size = Data(10, FEATURES, 2), 4
    data.count, data.actions[:] = 10, 1
    data.features[:] = np.random.default_rng(0).normal(size=data.features.shape)
    before = State(torch.randn(10, HIDDEN), torch.randn(10, HIDDEN))
    rows = np.array([0, 3])
    z = torch.from_numpy(data.features[rows, :LATENT]).float()
    dreaming = SimpleNamespace(memory=models.memory, controller=Always(), config=AGENT)
    state = State(before.h[rows], before.c[rows])
    ends = imagine(dreaming, z, state, size, torch.Generator().manual_seed(0))
    torch.testing.assert_close(ends.z, dream(models.memory, data, before, rows, size)[-1])
    nn.init.zeros_(models.memory.end.weight)
    nn.init.zeros_(models.memory.reward.weight)
    nn.init.zeros_(models.memory.end.bias)
    nn.init.constant_(models.memory.reward.bias, 0.3)
    ends = imagine(dreaming, z, state, size, torch.Generator().manual_seed(0))
    # An end is as likely as not in each timestep; 0.3 are 30 points of the contest's reward.
    torch.testing.assert_close(ends.ending, torch.full((2,), 1 - 0.5**size))
    torch.testing.assert_close(ends.rewards, torch.full((2,), size * 0.3 / AGENT.reward.scale))


def test_a_dreamt_goal_begins_where_the_player_is(models: Models) -> None:
    torch.manual_seed(1)
    seen = Seen(torch.randn(3, FEATURES), torch.zeros(3, dtype=torch.int64))
    seen.cells, seen.earned = torch.randn(3, HIDDEN), np.array([0.0, 500.0, 900.0])
    goals, again = (Dreams(models).propose(seen, np.random.default_rng(0)) for _ in range(2))
    assert torch.equal(goals.features, again.features)
    assert goals.features.shape == (3, FEATURES) and set(goals.words) <= set(SAID_BY_M)
    other = Dreams(models).propose(seen.of(np.array([1])), np.random.default_rng(0))
    assert other.features.shape == (1, FEATURES)
    z, h = seen.features.split([LATENT, HIDDEN], dim=1)
    generator = torch.Generator().manual_seed(int(np.random.default_rng(0).integers(2**62)))
    ends = imagine(models, z, State(h, seen.cells), DREAMT, generator)
    np.testing.assert_allclose(goals.places, seen.earned + ends.rewards.numpy(), rtol=1e-5)
    torch.testing.assert_close(goals.features, torch.cat([ends.z, ends.h], dim=1))


def test_words_of_dreams_are_what_m_expects() -> None:
    rewards = torch.tensor([400.0, 400.0, -300.0, 20.0])
    nothing = torch.zeros(4, 1)
    ends = Ends(nothing, nothing, rewards, torch.tensor([0.9, 0.1, 0.1, 0.1]))
    assert said_by_m(ends) == ["the episode ends", "goes on", "goes back", "stays"]
