"""C: policy and value heads on V's latent (z), M's hidden state (h) and, optionally, what is where
in the frame (scene), what a player knows beside it (proprioception), and pixels."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agent.config import AgentConfig
from agent.models.precision import computes_in_bfloat16
from agent.models.scene import Scene
from agent.models.vision import Encoder, Trunk


class Features(NamedTuple):
    """Inputs of C, one row per environment."""

    z: torch.Tensor
    """V's latent of the current frame, (B, Z)"""
    h: torch.Tensor
    """M's hidden state before the current frame, (B, H)"""
    proprioception: torch.Tensor | None = None
    """see `Proprioception`, (B, P), for a C that reads it"""
    scene: torch.Tensor | None = None
    """see `agent.models.scene.Scene.read`, (B, S), for a C that reads it"""
    frames: torch.Tensor | None = None
    """shrunk frames as floats (B, 3, 64, 64) for a C with an encoder of its own, else None"""


class Proprioception:
    """What whoever plays knows beside the frame: the rewards and actions of the last timesteps, how
    long ago there was new ground, and how far the player is behind it.

    The contest's reward is the distance along x. So the last rewards are the player's speed, which
    one frame does not show, and their sum tells somebody who went back where to go on.
    """

    PAST = 4
    """timesteps"""
    SCALE = 0.1
    """factor on rewards: the player's top speed earns about 30 points a timestep"""
    LIMIT = 5.0
    """scaled rewards are cut off here: the bonus for the level's end is no speed"""
    STILL_SCALE, MOST_STILL = 0.01, 2.0
    """factor on the timesteps since there was new ground, and where the product is cut off"""
    BEHIND_SCALE, MOST_BEHIND = 0.005, 4.0
    """the same of the points that the player is behind the new ground"""

    def __init__(self, envs: int, actions: int, device: torch.device | str = "cpu"):
        self.rewards = torch.zeros(envs, self.PAST, device=device)
        self.actions = torch.zeros(envs, self.PAST, actions, device=device)
        self.earned = np.zeros(envs)
        self.best = np.zeros(envs)
        self.still = np.zeros(envs)

    @classmethod
    def size(cls, actions: int) -> int:
        """Numbers for an environment, P."""
        return cls.PAST * (1 + actions) + 2

    def features(self) -> torch.Tensor:
        """Rewards, then actions as one-hot vectors, the latest first, then how long ago there was
        new ground and how far it is, (N, P); zeros before an episode's start."""
        still = np.minimum(self.still * self.STILL_SCALE, self.MOST_STILL)
        behind = np.minimum((self.best - self.earned) * self.BEHIND_SCALE, self.MOST_BEHIND)
        ground = torch.as_tensor(np.stack([still, behind], axis=1), dtype=torch.float32)
        ground = ground.to(self.rewards.device)
        return torch.cat([self.rewards, self.actions.flatten(1), ground], dim=1)

    def remember(self, actions: torch.Tensor, rewards: np.ndarray, ended: np.ndarray) -> None:
        """Add a timestep: actions int64 (N,), the contest's rewards (N,), ends bool (N,)."""
        device = self.rewards.device
        scaled = torch.as_tensor(np.asarray(rewards, np.float32), device=device) * self.SCALE
        scaled = scaled.clamp(-self.LIMIT, self.LIMIT)
        chosen = F.one_hot(actions, self.actions.shape[2]).to(self.actions.dtype)
        self.rewards = torch.cat([scaled.unsqueeze(1), self.rewards[:, :-1]], dim=1)
        self.actions = torch.cat([chosen.unsqueeze(1), self.actions[:, :-1]], dim=1)
        self.earned += rewards
        self.still = np.where(self.earned > self.best, 0, self.still + 1)
        self.best = np.maximum(self.best, self.earned)
        for counter in (self.earned, self.best, self.still):
            counter[ended] = 0
        if ended.any():
            gone = torch.from_numpy(ended).to(device)
            self.rewards[gone], self.actions[gone] = 0, 0

    def keep(self, kept: np.ndarray) -> None:
        """Go on in some of the environments only, bool (N,)."""
        rows = torch.from_numpy(kept).to(self.rewards.device)
        self.rewards, self.actions = self.rewards[rows], self.actions[rows]
        self.earned, self.best, self.still = self.earned[kept], self.best[kept], self.still[kept]


class Controller(nn.Module):
    """Two separate networks: the policy with one or two hidden layers, the value with one."""

    def __init__(self, config: AgentConfig):
        super().__init__()
        self.features = config.controller.features
        hidden = config.controller.hidden
        sizes = {
            "z": config.vision.latent,
            "h": config.memory.hidden,
            "scene": Scene.size,
            "proprioception": Proprioception.size(len(config.actions)),
            "pixels": hidden,
        }
        inputs = sum(sizes[feature] for feature in self.features)
        if "pixels" in self.features:
            self.precision = config.controller.precision
            self.encoder = Trunk(config.vision)
            features = config.vision.channels[1] * config.vision.grid**2
            self.projection = nn.Sequential(
                nn.Flatten(), nn.Linear(features, hidden), nn.LayerNorm(hidden), nn.ReLU()
            )
        wide = [2 * hidden] if config.controller.layers == 2 else []
        self.policy = self._head([inputs, *wide, hidden, len(config.actions)], output_gain=0.01)
        self.value = self._head([inputs, hidden, 1], output_gain=1.0)

    @staticmethod
    def _head(sizes: list[int], output_gain: float) -> nn.Sequential:
        """Orthogonal weights; a small last layer makes the first policy nearly uniform."""
        # With two hidden layers ReLU learns a teacher's labels faster (docs/experiments.md).
        activation = nn.Tanh if len(sizes) == 3 else nn.ReLU
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            linear, last = nn.Linear(inputs, outputs), len(layers) == 2 * (len(sizes) - 2)
            nn.init.orthogonal_(linear.weight, output_gain if last else math.sqrt(2))
            nn.init.zeros_(linear.bias)
            layers += [linear] if last else [linear, activation()]
        return nn.Sequential(*layers)

    def forward(
        self, features: Features, with_values: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the actions (B, A) and values (B,) in units of scaled reward.

        Without `with_values` the values are zeros.
        """
        parts = features._asdict()
        if "pixels" in self.features:
            parts["pixels"] = self._encode(features.frames)
        inputs = torch.cat([parts[feature] for feature in self.features], dim=1)
        log_probs = self.policy(inputs).float().log_softmax(dim=1)
        if not with_values:
            return log_probs, log_probs.new_zeros(len(log_probs))
        return log_probs, self.value(inputs).float().squeeze(1)

    @torch.no_grad()
    def sharpen(self, temperature: float) -> None:
        """Divide the policy's logits by a temperature: below 1 the likelier actions become likelier
        still. The weights are changed."""
        for weight in self.policy[-1].parameters():
            weight.div_(temperature)

    def _encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Features (B, hidden) of frames, from C's own encoder."""
        bfloat16 = computes_in_bfloat16(self.precision, frames.device)
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=bfloat16):
            return self.projection(self.encoder(frames)).float()

    def start_from(self, encoder: Encoder) -> None:
        """Initialise C's own encoder, if it has one, as a copy of V's."""
        if "pixels" in self.features:
            self.encoder.load_state_dict(encoder.trunk.state_dict())
