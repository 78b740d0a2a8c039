"""C: what its heads see."""

import dataclasses

import torch

from agent.config import AgentConfig, ControllerConfig
from agent.models.controller import Controller, Features


def test_scales_are_factors_on_the_features() -> None:
    torch.manual_seed(0)
    config = AgentConfig()
    plain = Controller(config)
    scales = ControllerConfig(z_scale=0.5, h_scale=3.0)
    scaled = Controller(dataclasses.replace(config, controller=scales))
    scaled.load_state_dict(plain.state_dict())
    z, h = torch.randn(4, config.vision.latent), torch.randn(4, config.memory.hidden)
    for one, two in zip(scaled(Features(z, h)), plain(Features(0.5 * z, 3 * h)), strict=True):
        assert torch.equal(one, two)
    assert not torch.allclose(scaled(Features(z, h))[1], plain(Features(z, h))[1])
