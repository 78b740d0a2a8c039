"""Critics of discrete actions, shared by the methods that learn values."""

from __future__ import annotations

import copy

import torch
from torch import nn

from agent.models.precision import computes_in_bfloat16
from lab.distributions import KINDS, Kind, mean


class Critic(nn.Module):
    """The return of every action, as a distribution, on two hidden layers.

    The hidden layers compute in bfloat16 where the hardware does: three times faster.
    """

    def __init__(
        self,
        inputs: int,
        actions: int,
        kind: Kind,
        *,
        hidden: int,
        normalise: bool = False,
        heads: int = 1,
    ):
        """
        Args:
            normalise: divide the last hidden layer by its norm (arXiv 2211.15144).
            heads: output layers to choose from, for example one for each act.
        """
        super().__init__()
        self.distribution = KINDS[kind]()
        self.shape = (heads, actions, self.distribution.outputs)
        self.normalise = normalise
        self.trunk = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.head = nn.Linear(hidden, heads * actions * self.distribution.outputs)
        with torch.no_grad():
            self.head.bias += self.distribution.start().repeat(heads * actions)

    def hidden(self, features: torch.Tensor) -> torch.Tensor:
        """The last hidden layer phi, (B, H)."""
        bfloat16 = computes_in_bfloat16("auto", features.device)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            hidden = self.trunk(features)
        hidden = hidden.float()
        return nn.functional.normalize(hidden, dim=1) if self.normalise else hidden

    def outputs(self, hidden: torch.Tensor, heads: torch.Tensor | None = None) -> torch.Tensor:
        """The distributions (B, A, K) of each action; `heads` (B,) chooses each row's head."""
        found = self.head(hidden).unflatten(1, self.shape)
        if self.shape[0] == 1 or heads is None:
            return found.mean(dim=1)
        return found[torch.arange(len(hidden)), heads]

    def forward(self, features: torch.Tensor, heads: torch.Tensor | None = None) -> torch.Tensor:
        return self.outputs(self.hidden(features), heads)

    def means(self, outputs: torch.Tensor) -> torch.Tensor:
        """The expected returns (...,) of distributions (..., K)."""
        return mean(self.distribution, outputs)


class Critics(nn.Module):
    """Critics side by side and their targets, which follow slowly (Polyak averaging)."""

    def __init__(self, critics: list[Critic], rate: float):
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
