"""A density of features: a mixture of Gaussians on their principal components."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

ROWS, ROUNDS = 16384, 20
"""timesteps that the density is fitted to, and rounds of expectation and maximisation"""
LEAST_VARIANCE = 1e-2
"""of a component, where all of the data has 1"""


class Mixture(nn.Module):
    """`fit` once to data; all its numbers are buffers, so that a checkpoint holds them."""

    def __init__(self, features: int, units: int, components: int):
        super().__init__()
        self.units = min(units, features)
        for name, shape in {
            "centre": (features,),
            "axes": (features, self.units),
            "means": (components, self.units),
            "variances": (components, self.units),
            "log_weights": (components,),
            "least": (),
            "spread": (),
        }.items():
            self.register_buffer(name, torch.zeros(shape))

    @property
    def fitted(self) -> bool:
        return bool(self.spread > 0)

    def components(self, features: torch.Tensor) -> torch.Tensor:
        """The principal components of features (N, F), of variance 1 in the data: (N, U)."""
        return (features - self.centre) @ self.axes

    def log_joint(self, x: torch.Tensor) -> torch.Tensor:
        """log of weight times density of each Gaussian (N, K) at principal components (N, U)."""
        precision = 1 / self.variances
        distance = (
            x.square() @ precision.T
            - 2 * x @ (self.means * precision).T
            + (self.means.square() * precision).sum(1)
        )
        scale = self.variances.log().sum(1) + x.shape[1] * math.log(2 * math.pi)
        return self.log_weights - 0.5 * (distance + scale)

    def rarity(self, x: torch.Tensor) -> torch.Tensor:
        """-log p of principal components (N, U), less the data's least, in units of its spread:
        (N,)."""
        return (-self.log_joint(x).logsumexp(1) - self.least) / self.spread

    @torch.no_grad()
    def fit(self, features: np.ndarray) -> None:
        """Fit to features (N, F) by expectation and maximisation, from every (N/K)-th on."""
        rows = np.linspace(0, len(features) - 1, min(ROWS, len(features))).astype(int)
        data = torch.from_numpy(features[rows].astype(np.float32))
        self.centre.copy_(data.mean(0))
        values, vectors = torch.linalg.eigh(torch.cov(data.T))
        self.axes.copy_(vectors[:, -self.units :] / values[-self.units :].clamp_min(1e-6).sqrt())
        x, count = self.components(data), len(self.means)
        self.means.copy_(x[np.linspace(0, len(x) - 1, count).astype(int)])
        self.variances.fill_(1.0)
        self.log_weights.fill_(-math.log(count))
        for _ in range(ROUNDS):
            shares = self.log_joint(x).softmax(1)
            total = shares.sum(0).clamp_min(1e-6)
            self.means.copy_(shares.T @ x / total.unsqueeze(1))
            spread = shares.T @ x.square() / total.unsqueeze(1) - self.means.square()
            self.variances.copy_(spread.clamp_min(LEAST_VARIANCE))
            self.log_weights.copy_((total / total.sum()).log())
        rarity = -self.log_joint(x).logsumexp(1)
        self.least.copy_(rarity.quantile(0.001))
        self.spread.copy_(rarity.std())
