"""What a critic says of a return: its mean, a histogram of it, or its quantiles.

A target is a distribution of weighted atoms, so that each kind can learn from each backup: a
scalar from its mean, a histogram from its projection (C51, arXiv 1707.06887), quantiles by the
quantile Huber loss (arXiv 1710.10044).
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch.nn import functional as F

Kind = Literal["scalar", "categorical", "quantile"]
ATOMS, QUANTILES = 51, 32
LOW, HIGH = -1.0, 31.0
"""range of the histogram, in shaped reward: the 0.1 to 99.9% of the data's returns at a discount
of 0.99 lie within (-0.5 to 30.8)"""


class Distribution(Protocol):
    outputs: int
    """numbers that describe a return, K"""

    def start(self) -> torch.Tensor:
        """What to begin with: outputs (K,) of a return near 0."""

    def atoms(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and weights (..., J) of outputs (..., K); the weights sum to 1."""

    def loss(
        self, outputs: torch.Tensor, values: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """The distance of outputs (B, K) to targets (B, J), for each row (B,)."""


class Scalar:
    outputs = 1

    def start(self) -> torch.Tensor:
        return torch.zeros(1)

    def atoms(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return outputs, torch.ones_like(outputs)

    def loss(
        self, outputs: torch.Tensor, values: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return (outputs.squeeze(1) - (values * weights).sum(1)).square()


class Categorical:
    outputs = ATOMS

    def __init__(self) -> None:
        self.support = torch.linspace(LOW, HIGH, ATOMS)

    def start(self) -> torch.Tensor:
        """Outputs (K,) of a return near 0.

        A histogram without them has its mean in the middle of the range, at 15: bootstrapping
        carries that on for tens of thousands of steps.
        """
        return -self.support.abs()

    def atoms(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.support.expand_as(outputs), outputs.softmax(-1)

    def project(self, values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The weight of each atom of the support, (B, K): an atom in between goes to both."""
        place = (values.clamp(LOW, HIGH) - LOW) * ((ATOMS - 1) / (HIGH - LOW))
        near = place.floor().clamp(max=ATOMS - 2)
        upper, rows = (place - near) * weights, near.long()
        projected = values.new_zeros(len(values), ATOMS)
        return projected.scatter_add(1, rows, weights - upper).scatter_add(1, rows + 1, upper)

    def loss(
        self, outputs: torch.Tensor, values: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return -(self.project(values, weights) * outputs.log_softmax(1)).sum(1)


class Quantile:
    outputs = QUANTILES

    def __init__(self) -> None:
        self.levels = (torch.arange(QUANTILES) + 0.5) / QUANTILES

    def start(self) -> torch.Tensor:
        return torch.zeros(QUANTILES)

    def atoms(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return outputs, torch.full_like(outputs, 1 / QUANTILES)

    def loss(
        self, outputs: torch.Tensor, values: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        gap = values.unsqueeze(1) - outputs.unsqueeze(2)
        huber = F.huber_loss(gap, torch.zeros_like(gap), reduction="none")
        tilt = (self.levels[:, None] - (gap.detach() < 0).float()).abs()
        return (tilt * huber * weights.unsqueeze(1)).sum(2).mean(1)


KINDS: dict[str, type[Scalar] | type[Categorical] | type[Quantile]] = {
    "scalar": Scalar,
    "categorical": Categorical,
    "quantile": Quantile,
}


def mean(distribution: Distribution, outputs: torch.Tensor) -> torch.Tensor:
    """The expected return (...,) that outputs (..., K) stand for."""
    values, weights = distribution.atoms(outputs)
    return (values * weights).sum(-1)
