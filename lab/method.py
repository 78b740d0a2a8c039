"""The form of a method: what the loop (`lab.run`) asks of a file of the laboratory.

A method knows nothing of files, time or the emulator. Its module has a dataclass `Config` of its
settings and a function ``build(config, shape) -> Method``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from agent.config import AgentConfig
from agent.models.actor import Models
from agent.models.controller import Controller, Features, Proprioception
from lab.body import Body
from lab.data import Data, Seen

Scalars = dict[str, Any]
"""numbers or scalar tensors by name"""
MEASURED = 8192
"""timesteps that a method's measures are taken on"""


@dataclass(frozen=True)
class Shape:
    """The sizes of the data."""

    features: int
    """F, see `lab.data.Seen`"""
    memory: int
    """O"""
    acts: int
    agent: AgentConfig
    """the agent whose V and M made the features"""
    models: Models | None = None
    """its V and M, for methods that are about these"""

    @property
    def actions(self) -> int:
        return len(self.agent.actions)


class Heads(Controller):
    """C itself, policy and value, on features side by side: what is learnt here can be shipped."""

    def __init__(self, agent: AgentConfig):
        super().__init__(agent)
        self.sizes = [agent.vision.latent, agent.memory.hidden]
        if "proprioception" in agent.controller.features:
            self.sizes.append(Proprioception.size(len(agent.actions)))

    def both(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (B, A) and values (B,) for features (B, F)."""
        return self(Features(*features.split(self.sizes, dim=1)))


def alike(seen: Seen, actions: int) -> torch.Tensor:
    """Log-probabilities (N, A) of a method that has no policy: all actions are alike."""
    return torch.zeros(len(seen.features), actions).log_softmax(1)


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
        """Called after every gradient step: for target networks.

        Args:
            step: its number; while playing, the number of timesteps before it.
        """

    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Figures on data that was held back."""

    def policy(self, seen: Seen) -> torch.Tensor:
        """Log-probabilities of the actions, (N, A); of methods that play."""


@runtime_checkable
class MeasuresOther(Protocol):
    """A method with figures of their own for acts that it has not learnt in."""

    def measure_other(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Figures on data of other acts, in place of `measure`."""


@runtime_checkable
class Adapts(Protocol):
    """A method that is given recorded data before it plays: rewards that it has learnt without, or
    what prompts it."""

    def adapt(self, data: Data) -> None:
        """Called before every score.

        Args:
            data: recorded in the acts that are played, which have the same numbers in both.
        """


@runtime_checkable
class Commands(Protocol):
    """A method that plays towards goals of its own."""

    def begin(self, recorded: Data, store: Data, worlds: int, facts: dict[str, Any]) -> None:
        """Called before the first timestep.

        Args:
            recorded: of the acts that are played.
            store: what is played, as it grows.
            facts: goes into the results, and is carried on where the run is.
        """

    def command(
        self, seen: Seen, begins: np.ndarray, share: float, rng: np.random.Generator
    ) -> None:
        """Called before each timestep: judge what was tried, propose what to try.

        Args:
            begins: bool (N,), the worlds whose episode begins.
            share: how much of the timesteps was played, from 0 to below 1.
        """


@runtime_checkable
class OwnModels(Protocol):
    """A method that plays with a V or M of its own. Its agent is kept as a bundle of its run."""

    def models(self, models: Models) -> Models:
        """The networks that worlds are seen through in its scores, and its C where it has one,
        given the bundle's."""


@runtime_checkable
class OwnBodies(Protocol):
    """A method that plays in other bodies than the game's own."""

    bodies: list[Body]
