"""The form of a method: what the loop (`lab.run`) asks of a file of the laboratory.

A method knows nothing of files, time or the emulator. Its module has a dataclass `Config` of its
settings and a function ``build(config, shape) -> Method``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from agent.config import AgentConfig
from lab.data import Data

Scalars = dict[str, Any]
"""numbers or scalar tensors by name"""


@dataclass(frozen=True)
class Shape:
    """The sizes of the data."""

    features: int
    """F, z and h together"""
    observations: int
    """O, of the game's memory"""
    acts: int
    agent: AgentConfig
    """the agent whose V and M made the features"""

    @property
    def actions(self) -> int:
        return len(self.agent.actions)


class Method(Protocol):
    """A system of the field."""

    def parts(self) -> dict[str, nn.Module]:
        """The networks, by their names in a checkpoint. Adam trains those of their weights that
        require a gradient."""

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Any:
        """The timesteps of a gradient step."""

    def loss(self, batch: Any) -> tuple[torch.Tensor, Scalars]:
        """What a gradient step minimises, and numbers for the log."""

    def after_step(self, step: int) -> None:
        """Called after every gradient step, with its number: for target networks."""

    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Figures on data that was held back."""

    def policy(self, features: torch.Tensor, acts: np.ndarray) -> torch.Tensor:
        """Log-probabilities (N, A) for features (N, F) in the acts with these numbers (N,)."""
