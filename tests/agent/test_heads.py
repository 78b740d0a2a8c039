"""C: what its heads see."""

import dataclasses

import torch

from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.controller import Controller, Features

CONFIG = AgentConfig(
    actions=("", "RIGHT", "LEFT"),
    vision=VisionConfig(latent=16, grid=4, glimpse=0, channels=(2, 4)),
    memory=MemoryConfig(hidden=5, mixtures=2),
    controller=ControllerConfig(hidden=16),
)


def test_scales_are_factors_on_the_features() -> None:
    torch.manual_seed(0)
    plain = Controller(CONFIG)
    scales = ControllerConfig(hidden=16, z_scale=0.5, h_scale=3.0)
    scaled = Controller(dataclasses.replace(CONFIG, controller=scales))
    scaled.load_state_dict(plain.state_dict())
    z, h = torch.randn(4, 16), torch.randn(4, 5)
    for one, two in zip(scaled(Features(z, h)), plain(Features(0.5 * z, 3 * h)), strict=True):
        assert torch.equal(one, two)
    assert not torch.allclose(scaled(Features(z, h))[1], plain(Features(z, h))[1])
