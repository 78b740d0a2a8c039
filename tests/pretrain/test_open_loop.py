"""M learns from its own dreams: what it reads in them, and where the gradient goes."""

import pytest
import torch

from agent.config import MemoryConfig, VisionConfig
from agent.models.memory import Memory
from pretrain.stages.memory import CONTEXT, dream

VISION = VisionConfig(latent=20, grid=4, player_units=4)
ACTIONS = 3
LENGTH = CONTEXT + 4


@pytest.fixture
def model() -> Memory:
    torch.manual_seed(0)
    return Memory(MemoryConfig(hidden=8, mixtures=2, maps=4), VISION, ACTIONS)


def sequence(length: int = LENGTH) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, length, VISION.latent, generator=generator)
    return latents, torch.randint(ACTIONS, (2, length), generator=generator)


@pytest.mark.parametrize("length", [CONTEXT + 1, LENGTH])
def test_a_dream_reads_what_it_expected(model: Memory, length: int) -> None:
    latents, actions = sequence(length)
    hidden, read = dream(model, latents, actions)
    assert torch.equal(read[:, :CONTEXT], latents[:, :CONTEXT])
    expected = model.predict(hidden[:, CONTEXT - 1 : -1], read[:, CONTEXT - 1 : -1]).mean()
    torch.testing.assert_close(read[:, CONTEXT:], expected)
    again, _ = model(read, actions, model.initial_state(2))
    torch.testing.assert_close(hidden, again)


def test_what_was_seen_later_is_not_read(model: Memory) -> None:
    latents, actions = sequence()
    other = latents.clone()
    other[:, CONTEXT:] += 10
    one, _ = dream(model, latents, actions)
    two, _ = dream(model, other, actions)
    assert torch.equal(one, two)


def test_the_gradient_reaches_back_through_the_dream(model: Memory) -> None:
    latents, actions = sequence()
    latents.requires_grad_()
    hidden, _ = dream(model, latents, actions)
    hidden[:, -1].sum().backward()
    assert latents.grad[:, :CONTEXT].abs().sum() > 0
    assert latents.grad[:, CONTEXT:].abs().sum() == 0
