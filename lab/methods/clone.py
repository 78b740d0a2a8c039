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

from lab.data import Batch, Data, Seen
from lab.method import MEASURED, Heads, Scalars, Shape
from retro_common.config import FORBID_UNKNOWN


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
        loss = F.nll_loss(self.policy(batch.seen), batch.actions)
        return loss, {"nll": loss}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        return self.loss(data.batch(rng, MEASURED))[1]

    def policy(self, seen: Seen) -> torch.Tensor:
        return self.heads.both(seen.features)[0]


def build(config: Config, shape: Shape) -> Clone:
    return Clone(config, shape)
