"""What goal-conditioned methods share: goals from hindsight, and how well distances are known.

What came later in an episode was a goal, and was reached after so many timesteps (hindsight, arXiv
1707.01495): rewards and labels are not needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from agent.models.precision import computes_in_bfloat16
from lab.data import Data


@dataclass
class Pairs:
    """Timesteps, and later ones of the same episodes."""

    first: np.ndarray
    """indices, int64 (B,)"""
    later: np.ndarray
    gaps: np.ndarray
    """timesteps in between"""


def pairs(data: Data, rng: np.random.Generator, size: int, least: int, most: int) -> Pairs:
    """Pairs whose gaps are drawn evenly from `least` to `most`, as far as episodes are as long."""
    left = data.left()
    gaps = rng.integers(least, min(most, int(left.max())) + 1, size)
    first = rng.integers(len(data), size=size)
    while (short := left[first] < gaps).any():
        first[short] = rng.integers(len(data), size=short.sum())
    return Pairs(first, data.ahead(first, gaps), gaps)


def goals(
    data: Data, rng: np.random.Generator, rows: np.ndarray, same: float, gamma: float
) -> np.ndarray:
    """Indices (B,) of a goal for each of these timesteps (B,).

    With the chance `same` a later timestep of the episode, its gap geometric with 1 - `gamma` (that
    of the episode's end at most; an episode's last timestep is its own goal); else any timestep.
    """
    gaps = np.minimum(rng.geometric(1 - gamma, len(rows)), data.left()[rows])
    others = rng.integers(len(data), size=len(rows))
    return np.where(rng.random(len(rows)) < same, data.ahead(rows, gaps), others)


def of_same_act(data: Data, rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    """Indices (B,) of any timesteps of the acts that these (B,) are of."""
    others = rng.integers(len(data), size=len(rows))
    while (wrong := data.acts[others] != data.acts[rows]).any():
        others[wrong] = rng.integers(len(data), size=wrong.sum())
    return others


class Net(nn.Module):
    """Two hidden layers, the first one normalised, as in HILP's code."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, exact: bool = False):
        """
        Args:
            exact: compute in float32, also where bfloat16 is faster: for outputs whose small
                differences matter.
        """
        super().__init__()
        self.exact = exact
        self.trunk = nn.Sequential(
            *(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.Tanh()),
            *(nn.Linear(hidden, hidden), nn.ReLU()),
        )
        self.head = nn.Linear(hidden, outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        bfloat16 = computes_in_bfloat16("auto", torch.device("cpu")) and not self.exact
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            hidden = self.trunk(inputs)
        return self.head(hidden.float())


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each of the values (N,), from 0; equal ones share the mean of theirs."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[where]


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """The rank correlation of values (N,); 0 if either are all the same."""
    a, b = (ranks(np.asarray(each)) for each in (one, other))
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale else 0.0
