"""U2O (arXiv 2408.14785): a skill learnt without rewards, fine-tuned by PPO.

An act's first rewards choose the skill w* (`lab.methods.skills`); PPO then goes on with pi(a | s,
w*) and the skill's own value, in all acts at once. That value counts what the skill earns, <phi(s')
- phi(s), w*>, so the act's rewards are given the mean and the spread of these.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agent.config import AgentConfig
from agent.learning.ppo import Rollout
from agent.models.controller import Features
from lab.arena import Arena, Outcome
from lab.data import Data
from lab.goals import Net
from lab.method import Shape
from lab.methods.ppo import Config, drive
from lab.methods.skills import Config as SkillsConfig
from lab.methods.skills import Skills, beside

__all__ = ["U2O", "Config", "build", "drive"]


class SkilledHeads(nn.Module):
    """The skills' policy and value in the form of C, the skill in place of proprioception."""

    def __init__(self, actor: Net, value: Net):
        super().__init__()
        self.actor, self.value = actor, value
        # PPO compares probabilities before and after a step: their small differences matter.
        self.actor.exact = self.value.exact = True

    def forward(
        self, features: Features, with_values: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (B, A) and values (B,)."""
        inputs = torch.cat([features.z, features.h, features.proprioception], dim=1)
        return self.actor(inputs).log_softmax(1), self.value(inputs).squeeze(1)


class U2O(Skills):
    def __init__(self, shape: Shape):
        super().__init__(SkillsConfig(), shape)
        self.heads = SkilledHeads(self.actor, self.value)
        self.scale, self.shift = np.ones(shape.acts), np.zeros(shape.acts)
        """of each act's rewards"""

    def parts(self) -> dict[str, nn.Module]:
        """Named as HILP's, with which a run starts."""
        return {"phis": self.phis, "value": self.value, "actor": self.actor}

    @torch.no_grad()
    def prepare(self, data: Data) -> None:
        """Choose the skills, and how rewards are rescaled, by the first ones of each act."""
        self.adapt(data)
        phi = self.phis.online[0]
        for act, rows in enumerate(data.of_acts(self.config.told)):
            rows = rows[data.left()[rows] > 0]
            at, later = (phi(data.seen(each).features) for each in (rows, data.ahead(rows, 1)))
            earned = ((later - at) @ self.chosen[act]).numpy()
            rewards = data.shaped[rows]
            self.scale[act] = earned.std() / max(rewards.std(), 1e-6)
            self.shift[act] = earned.mean() - self.scale[act] * rewards.mean()

    def rollout(self, agent: AgentConfig, length: int, worlds: int) -> Rollout:
        sizes = agent.vision.latent, agent.memory.hidden
        return Rollout(length, worlds, *sizes, proprioception=self.config.dimensions)

    def sees(self, arena: Arena) -> Features:
        return arena.features._replace(proprioception=beside(self.chosen[arena.acts]))

    def rewards(self, outcome: Outcome, acts: np.ndarray) -> np.ndarray:
        scaled = self.scale[acts] * outcome.shaped + self.shift[acts]
        return scaled.astype(np.float32)


def build(config: Config, shape: Shape) -> U2O:
    return U2O(shape)
