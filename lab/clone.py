"""Behaviour cloning, the baseline of all that learns from recorded data.

Maximum likelihood of the recorded actions: of all timesteps, or of those of the best episodes
(%BC of arXiv 2106.01345: the best tenth by return).
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import pydantic
import torch
from torch import nn
from torch.nn import functional as F

from agent.config import AgentConfig
from agent.models.controller import Controller, Features
from lab.data import Batch, Data
from lab.method import Scalars, Shape
from retro_common.config import FORBID_UNKNOWN

MEASURED = 8192
"""timesteps that figures are measured on"""


class Heads(Controller):
    """C itself, policy and value, on features side by side: what is learnt here can be shipped."""

    def __init__(self, agent: AgentConfig):
        super().__init__(agent)
        self.latent = agent.vision.latent

    def both(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (B, A) and values (B,) for z and h side by side (B, F)."""
        return self(Features(features[:, : self.latent], features[:, self.latent :]))


@dataclasses.dataclass
class Config:
    best: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    """share of each act's timesteps to learn from: those of the episodes with the highest return"""

    __pydantic_config__ = FORBID_UNKNOWN


class Clone:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.heads = config, Heads(shape.agent)
        self.rows: np.ndarray | None = None

    def parts(self) -> dict[str, nn.Module]:
        return {"heads": self.heads}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Batch:
        if self.config.best < 1 and self.rows is None:
            self.rows = data.best(self.config.best)
        return data.batch(rng, size, rows=self.rows)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Scalars]:
        loss = F.nll_loss(self.heads.both(batch.features)[0], batch.actions)
        return loss, {"nll": loss}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        batch = data.batch(rng, MEASURED)
        log_probs = self.policy(batch.features, batch.acts.numpy())
        return {"nll": F.nll_loss(log_probs, batch.actions)}

    def policy(self, features: torch.Tensor, acts: np.ndarray) -> torch.Tensor:
        return self.heads.both(features)[0]


def build(config: Config, shape: Shape) -> Clone:
    return Clone(config, shape)
