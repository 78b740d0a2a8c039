"""C: policy and value heads on what V sees (z), what M remembers (h) and, if asked, pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from agent.config import AgentConfig
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Encoder, Trunk


class Features(NamedTuple):
    """What C acts on, one row per environment.

    Attributes:
        z: V's latent of the frame now, (B, Z).
        h: M's hidden state before the frame now, (B, H).
        frames: shrunk frames as floats (B, 3, 64, 64) where C has an encoder of its own, or None.
        c: M's cell state, (B, H), or None. C does not see it; a dream goes on from it.
    """

    z: torch.Tensor
    h: torch.Tensor
    frames: torch.Tensor | None = None
    c: torch.Tensor | None = None


class Controller(nn.Module):
    """Two small networks side by side, one for the policy and one for the value."""

    def __init__(self, config: AgentConfig):
        super().__init__()
        self.features = config.controller.features
        self.scales = {"z": config.controller.z_scale, "h": config.controller.h_scale}
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
        parts = []
        for feature in self.features:
            if feature == "pixels":
                parts.append(self._look(features.frames))
            else:
                parts.append(getattr(features, feature) * self.scales[feature])
        inputs = torch.cat(parts, dim=1)
        return self.policy(inputs).log_softmax(dim=1), self.value(inputs).squeeze(1)

    def _look(self, frames: torch.Tensor) -> torch.Tensor:
        """What C's own encoder makes of frames, (B, hidden)."""
        bfloat16 = computes_in_bfloat16(self.precision, frames.device)
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=bfloat16):
            return self.projection(self.encoder(frames)).float()

    def start_from(self, encoder: Encoder) -> None:
        """Let C's own encoder begin as a copy of V's; without one, nothing happens."""
        if "pixels" in self.features:
            self.encoder.load_state_dict(encoder.trunk.state_dict())
