"""Ridge regression of the time between two timesteps, the baseline of distances that are learnt.

Its inputs are the latents z of both and how far each of their numbers lies apart.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import pydantic
import torch
from torch import nn

from lab.data import Data, Seen
from lab.goals import Pairs, pairs, spearman
from lab.method import MEASURED, Scalars, Shape, alike
from lab.run import Run
from retro_common.config import FORBID_UNKNOWN, Positive

WEIGHT = 1e-3
"""of the squared weights, beside the mean squared error"""


@dataclasses.dataclass
class Config:
    least: Annotated[int, pydantic.Field(ge=0)]
    """timesteps in between, at least"""
    most: Positive
    """and at most"""

    __pydantic_config__ = FORBID_UNKNOWN


class Ridge:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.latent = config, shape.agent.vision.latent
        self.line = nn.Linear(3 * self.latent, 1)
        self.actions = shape.actions

    def parts(self) -> dict[str, nn.Module]:
        return {"line": self.line}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Pairs:
        return pairs(data, rng, size, self.config.least, self.config.most)

    def inputs(self, data: Data, drawn: Pairs) -> torch.Tensor:
        """Numbers (B, 3 Z) of pairs of timesteps."""
        one, other = (
            data.seen(rows).features[:, : self.latent] for rows in (drawn.first, drawn.later)
        )
        return torch.cat([one, other, (one - other).abs()], dim=1)

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Mean error in timesteps, also that of the best constant; and the rank correlation with
        the gaps, also that of the way along x, by the contest's rewards."""
        drawn = self.draw(data, rng, MEASURED)
        way = np.abs(data.earned()[drawn.later] - data.earned()[drawn.first])
        found = self.line(self.inputs(data, drawn)).squeeze(1).numpy()
        found = found.clip(self.config.least, self.config.most)
        return {
            "error": np.abs(found - drawn.gaps).mean(),
            "constant": np.abs(np.median(drawn.gaps) - drawn.gaps).mean(),
            "spearman": spearman(found, drawn.gaps),
            "way": spearman(way, drawn.gaps),
        }

    def policy(self, seen: Seen) -> torch.Tensor:
        return alike(seen, self.actions)


def build(config: Config, shape: Shape) -> Ridge:
    return Ridge(config, shape)


@torch.no_grad()
def drive(job: Run) -> None:
    """Solve the normal equations of as many pairs as `steps` batches hold."""
    ridge: Ridge = job.method  # type: ignore[assignment]
    config, size = job.config, 3 * ridge.latent + 1
    squares, products = torch.zeros(size, size), torch.zeros(size)
    for step in range(config.steps):
        rng = np.random.default_rng([config.seed, 1, step])
        drawn = ridge.draw(job.data.training, rng, config.batch)
        inputs = ridge.inputs(job.data.training, drawn)
        inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
        squares += inputs.T @ inputs / config.steps / config.batch
        products += inputs.T @ torch.from_numpy(drawn.gaps).float() / config.steps / config.batch
    penalty = torch.full((size,), WEIGHT)
    penalty[-1] = 0  # of the constant
    found = torch.linalg.solve(squares.double() + penalty.double().diag(), products.double())
    ridge.line.weight.copy_(found[:-1])
    ridge.line.bias.copy_(found[-1:])
    job.look(config.steps)
