"""V's cells around the player, as features of C."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agent.config import AgentConfig, ControllerConfig, VisionConfig
from agent.models.actor import Actor, Models
from agent.models.surroundings import COLUMNS, ROWS, Surroundings

SEEN = ControllerConfig(features=("surroundings", "proprioception"), hidden=16, layers=2)


def latent(config: VisionConfig, cell: tuple[int, int], place: tuple[float, float]) -> torch.Tensor:
    """A latent (1, Z) with one cell's first unit at 1 and the player at x, y, -1 to 1."""
    z = torch.zeros(1, config.latent)
    row, column = cell
    z[0, row * config.grid + column] = 1
    z[0, -2:] = 2 * torch.tensor(place)
    return z


@pytest.mark.parametrize("config", [VisionConfig(), VisionConfig(latent=80, grid=4)])
def test_what_moves_with_the_player_stays_where_it_is_on_the_canvas(config):
    surroundings = Surroundings(config)
    cell = 2 / config.grid
    first = surroundings.canvas(latent(config, (1, 1), (cell / 2, -cell / 2)))
    moved = surroundings.canvas(latent(config, (2, 2), (1.5 * cell, cell / 2)))
    assert torch.equal(first[:, 0], moved[:, 0]) and first[0, 0].sum() == 1
    # The cell under the player is in the middle.
    middle = surroundings.canvas(
        latent(config, (config.grid // 2, config.grid // 2), (cell / 2, cell / 2))
    )
    assert middle[0, 0, ROWS // 2, COLUMNS // 2] == 1


def test_the_last_map_says_what_is_beyond_the_frame():
    config = VisionConfig()
    surroundings = Surroundings(config)
    left = surroundings.canvas(latent(config, (0, 0), (-1.0, 0.0)))[0, -1]
    assert (left[:, : COLUMNS // 2] == 0).all() and (left[2:-2, COLUMNS // 2 + 1 :] == 1).all()


def test_a_controller_on_surroundings_plays_and_learns():
    config = AgentConfig(controller=SEEN)
    torch.manual_seed(0)
    models = Models.build(config)
    assert list(models.parts()) == ["vision", "controller"]
    actor = Actor(models, 2, seed=0)
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    features = actor.observe(frames)
    log_probs, values = models.controller(features)
    (log_probs[:, 0] + values).sum().backward()
    torch.testing.assert_close(log_probs.exp().sum(dim=1), torch.ones(2))
    gradients = [w.grad for w in models.controller.surroundings.parameters()]
    assert all(g is not None and g.abs().sum() > 0 for g in gradients)


def test_without_player_units_there_are_no_surroundings():
    with pytest.raises(ValueError, match="player_units"):
        AgentConfig(controller=SEEN, vision=VisionConfig(latent=64, player_units=0))
