"""Critics of discrete actions, shared by the methods that learn values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Trunk, to_input
from lab.data import Seen
from lab.distributions import KINDS, Kind, mean
from lab.method import Shape

Inputs = Literal["features", "memory", "frames"]
"""what a critic sees: the features; these and the game's memory; or frames alone"""


class Critic(nn.Module):
    """The return of every action, as a distribution, on two hidden layers.

    The hidden layers compute in bfloat16 where the hardware does: three times faster.
    """

    def __init__(
        self,
        shape: Shape,
        kind: Kind,
        *,
        hidden: int,
        sees: Inputs = "features",
        normalise: bool = False,
        heads: int = 1,
    ):
        """
        Args:
            hidden: units of each hidden layer, H.
            normalise: divide the last hidden layer by its norm (arXiv 2211.15144).
            heads: output layers, one for each act; or one for all.
        """
        super().__init__()
        self.distribution = KINDS[kind]()
        self.shape = (heads, shape.actions, self.distribution.outputs)
        self.sees, self.normalise = sees, normalise
        inputs, layers = shape.features, []
        if sees == "memory":
            inputs += shape.memory
        elif sees == "frames":
            vision = shape.agent.vision
            layers, inputs = [Trunk(vision), nn.Flatten()], vision.channels[1] * vision.grid**2
        self.trunk = nn.Sequential(
            *layers, nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        outputs = heads * shape.actions * self.distribution.outputs
        self.head = nn.Linear(hidden, outputs)
        with torch.no_grad():
            self.head.bias += self.distribution.start().repeat(heads * shape.actions)

    def _inputs(self, seen: Seen) -> torch.Tensor:
        if self.sees == "memory":
            assert seen.memory is not None
            return torch.cat([seen.features, seen.memory], dim=1)
        if self.sees == "frames":
            assert seen.frames is not None
            return to_input(seen.frames, self.head.weight.device)
        return seen.features

    def hidden(self, seen: Seen) -> torch.Tensor:
        """The last hidden layer phi, (B, H)."""
        bfloat16 = computes_in_bfloat16("auto", torch.device("cpu"))
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            hidden = self.trunk(self._inputs(seen))
        return F.normalize(hidden.float(), dim=1) if self.normalise else hidden.float()

    def outputs(self, hidden: torch.Tensor, acts: torch.Tensor) -> torch.Tensor:
        """The distributions (B, A, K) of each action, from phi and the acts' numbers (B,)."""
        if self.shape[0] == 1:
            return self.head(hidden).unflatten(1, self.shape[1:])
        weight, bias = (
            each.unflatten(0, self.shape) for each in (self.head.weight, self.head.bias)
        )
        found = hidden.new_empty(len(hidden), *self.shape[1:])
        for act in acts.unique():
            rows = acts == act
            outputs = F.linear(hidden[rows], weight[act].flatten(0, 1), bias[act].flatten())
            found[rows] = outputs.unflatten(1, self.shape[1:])
        return found

    def forward(self, seen: Seen) -> torch.Tensor:
        return self.outputs(self.hidden(seen), seen.acts)

    def means(self, outputs: torch.Tensor) -> torch.Tensor:
        """The expected returns (...,) of distributions (..., K)."""
        return mean(self.distribution, outputs)


class Critics(nn.Module):
    """Critics, or other networks, side by side and their targets, which follow slowly (Polyak
    averaging)."""

    def __init__(self, critics: Sequence[nn.Module], rate: float):
        super().__init__()
        self.online = nn.ModuleList(critics)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.rate = rate

    @torch.no_grad()
    def follow(self) -> None:
        for mine, other in zip(self.target.parameters(), self.online.parameters(), strict=True):
            mine.lerp_(other, self.rate)


def of_actions(outputs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """The distributions (B, K) of actions (B,), of outputs (B, A, K)."""
    return outputs[torch.arange(len(actions)), actions]


def least(critic: Critic, outputs: list[torch.Tensor]) -> torch.Tensor:
    """Of each row and action the distribution with the smallest mean, (B, A, K)."""
    stacked = torch.stack(outputs)
    which = critic.means(stacked).argmin(dim=0)
    index = which[None, ..., None].expand(1, *outputs[0].shape)
    return stacked.gather(0, index)[0]
