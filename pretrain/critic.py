"""A critic that knows more than C may: RAM variables and the level's number (arXiv 1710.06542).

It lives during pretraining only, and only its values are used: better advantages, the same policy
network. C's own value head, which has to do without, is trained on the same returns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from agent.config import PPOConfig
from agent.learning.ppo import Rollout, gae
from agent.models.controller import Features
from retro_contest.levels import Level

WIDEST = 5.0
"""standard deviations at which a normalised variable is cut off"""


def variables_of(levels: Sequence[Level]) -> list[str]:
    """Names of the RAM variables of these levels' games, sorted."""
    names: set[str] = set()
    for folder in {level.folder for level in levels}:
        names |= json.loads((folder / "data.json").read_text())["info"].keys()
    return sorted(names)


class Knowledge(NamedTuple):
    """What only the critic sees: `variables` (T, N, V), NaN where a game has none of that name, and
    numbers of the `levels`, int64 (T, N)."""

    variables: torch.Tensor
    levels: torch.Tensor

    @classmethod
    def empty(cls, length: int, envs: int, variables: int) -> Knowledge:
        return cls(
            torch.zeros(length, envs, variables), torch.zeros(length, envs, dtype=torch.int64)
        )

    def part(self, columns: slice) -> Knowledge:
        """These environments' columns; they share the memory."""
        return Knowledge(self.variables[:, columns], self.levels[:, columns])

    def row(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.variables[t], self.levels[t]


class PrivilegedCritic(nn.Module):
    """Values from z, h, the normalised RAM variables and the level."""

    def __init__(self, features: int, variables: int, levels: int, hidden: int, config: PPOConfig):
        super().__init__()
        self.levels, self.config = levels, config
        self.layers = nn.Sequential(
            nn.Linear(features + variables + levels, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, 1),
        )
        # Running moments of the variables, over what was seen of each; in float64, since scores
        # and positions are large numbers and the variance is a difference of their squares.
        nothing = torch.zeros(variables, dtype=torch.float64)
        self.register_buffer("count", nothing.clone())
        self.register_buffer("mean", nothing.clone())
        self.register_buffer("square", nothing.clone())
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, eps=1e-5)

    def forward(
        self, features: Features, variables: torch.Tensor, levels: torch.Tensor
    ) -> torch.Tensor:
        """Values (B,) of features, variables (B, V) and levels (B,)."""
        device = self.mean.device
        spread = (self.square - self.mean.square()).clamp_min(1e-6).sqrt()
        known = (variables.to(device) - self.mean) / spread
        known = known.clamp(-WIDEST, WIDEST).nan_to_num(0.0).float()
        level = F.one_hot(levels.to(device), self.levels).float()
        seen = [features.z.to(device), features.h.to(device), known, level]
        return self.layers(torch.cat(seen, dim=1)).squeeze(1)

    @torch.inference_mode()
    def values(
        self, features: Features, variables: torch.Tensor, levels: torch.Tensor
    ) -> torch.Tensor:
        """`forward`, for playing."""
        return self(features, variables, levels)

    @torch.no_grad()
    def get_used_to(self, variables: torch.Tensor) -> None:
        """Take variables (..., V) into the moments that normalise them."""
        rows = variables.flatten(0, -2).to(self.mean.device)
        there = ~rows.isnan()
        counted = there.sum(dim=0)
        rows = rows.nan_to_num(0.0).double()
        total = (self.count + counted).clamp_min(1)
        self.mean += ((rows - self.mean) * there).sum(dim=0) / total
        self.square += ((rows.square() - self.square) * there).sum(dim=0) / total
        self.count += counted

    def learn(
        self, rollout: Rollout, knowledge: Knowledge, progress: float, generator: torch.Generator
    ) -> dict[str, float]:
        """Fit the values to the rollout's returns.

        Args:
            progress: share of the run that is done; the learning rate falls with it, as C's does.

        Returns:
            `privileged_value`: the mean loss.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - progress if config.anneal else 1)
        advantages = gae(
            rollout.rewards,
            rollout.values,
            rollout.ends,
            rollout.last_values,
            config.gamma,
            config.gae_lambda,
        )
        returns = (advantages + rollout.values).flatten().to(self.mean.device)
        variables, levels = knowledge.variables.flatten(0, 1), knowledge.levels.flatten()
        z, h = rollout.z.flatten(0, 1), rollout.h.flatten(0, 1)
        losses = []
        for _ in range(config.epochs):
            order = torch.randperm(len(returns), generator=generator)
            for rows in order.chunk(config.minibatches):
                values = self(Features(z[rows], h[rows]), variables[rows], levels[rows])
                loss = 0.5 * F.mse_loss(values, returns[rows.to(returns.device)])
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.parameters(), config.max_grad_norm)
                self.optimizer.step()
                losses.append(loss.item())
        self.get_used_to(knowledge.variables)
        return {"privileged_value": sum(losses) / len(losses)}
