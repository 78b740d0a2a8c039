"""C: policy and value heads on V's latent (z), M's hidden state (h) and, optionally, pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from agent.config import AgentConfig
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Encoder, Trunk


class Features(NamedTuple):
    """Inputs of C, one row per environment."""

    z: torch.Tensor
    """V's latent of the current frame, (B, Z)"""
    h: torch.Tensor
    """M's hidden state before the current frame, (B, H)"""
    frames: torch.Tensor | None = None
    """shrunk frames as floats (B, 3, 64, 64) for a C with an encoder of its own, else None"""


class Controller(nn.Module):
    """Two separate networks of one hidden layer: policy and value."""

    def __init__(self, config: AgentConfig):
        super().__init__()
        self.features = config.controller.features
        hidden = config.controller.hidden
        sizes = {"z": config.vision.latent, "h": config.memory.hidden, "pixels": hidden}
        inputs = sum(sizes[feature] for feature in self.features)
        if "pixels" in self.features:
            self.precision = config.controller.precision
            self.encoder = Trunk(config.vision)
            features = config.vision.channels[1] * config.vision.grid**2
            self.projection = nn.Sequential(
                nn.Flatten(), nn.Linear(features, hidden), nn.LayerNorm(hidden), nn.ReLU()
            )
        self.policy = self._head(inputs, hidden, len(config.actions), output_gain=0.01)
        self.value = self._head(inputs, hidden, 1, output_gain=1.0)

    @staticmethod
    def _head(inputs: int, hidden: int, outputs: int, output_gain: float) -> nn.Sequential:
        """Orthogonal weights; a small last layer makes the first policy nearly uniform."""
        layers = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))
        nn.init.orthogonal_(layers[0].weight, math.sqrt(2))
        nn.init.orthogonal_(layers[2].weight, output_gain)
        nn.init.zeros_(layers[0].bias)
        nn.init.zeros_(layers[2].bias)
        return layers

    def forward(self, features: Features) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the actions (B, A) and values (B,) in units of scaled reward."""
        parts = {"z": features.z, "h": features.h}
        if "pixels" in self.features:
            parts["pixels"] = self._encode(features.frames)
        inputs = torch.cat([parts[feature] for feature in self.features], dim=1)
        return self.policy(inputs).log_softmax(dim=1), self.value(inputs).squeeze(1)

    def _encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Features (B, hidden) of frames, from C's own encoder."""
        bfloat16 = computes_in_bfloat16(self.precision, frames.device)
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=bfloat16):
            return self.projection(self.encoder(frames)).float()

    def start_from(self, encoder: Encoder) -> None:
        """Initialise C's own encoder, if it has one, as a copy of V's."""
        if "pixels" in self.features:
            self.encoder.load_state_dict(encoder.trunk.state_dict())
