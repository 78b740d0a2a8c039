"""QR-SAC with discrete actions and an asymmetric critic (Gran Turismo: arXiv 2406.12563).

Soft actor-critic whose twin critics learn the quantiles of the return. The actor sees the features
alone; the critics may see the game's memory as well, which only training needs. With discrete
actions the actor's expectation is exact: sum_a pi(a) (alpha log pi(a) - min_i E Z_i(a)).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import nn

from lab.critic import Critic, Critics, Inputs, least, of_actions
from lab.data import Batch, Data, Seen
from lab.method import MEASURED, Heads, Scalars, Shape
from retro_common.config import FORBID_UNKNOWN, Fraction, NotNegative, Positive


@dataclasses.dataclass
class Config:
    asymmetric: bool = True
    """the critics see the game's memory, too: course ahead, objects, speeds"""
    hidden: Positive = 256
    """units of each of the critics' two hidden layers"""
    n: Positive = 5
    """timesteps whose rewards are summed up"""
    gamma: Fraction = 0.99
    polyak: Fraction = 0.005
    entropy: NotNegative = 0.5
    """entropy that alpha is fitted to, as a share of that of uniform play"""

    __pydantic_config__ = FORBID_UNKNOWN


class Temperature(nn.Module):
    """alpha, the worth of a nat of entropy."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(0.02)))


class QRSAC:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.heads = config, Heads(shape.agent)
        self.heads.value.requires_grad_(False)  # SAC has no V
        self.sees: Inputs = "memory" if config.asymmetric else "features"
        self.critics = Critics(
            [Critic(shape, "quantile", hidden=config.hidden, sees=self.sees) for _ in range(2)],
            config.polyak,
        )
        self.temperature = Temperature()
        self.wanted = config.entropy * math.log(shape.actions)

    def parts(self) -> dict[str, nn.Module]:
        return {"heads": self.heads, "critics": self.critics, "temperature": self.temperature}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Batch:
        return data.batch(rng, size, n=self.config.n, gamma=self.config.gamma, sees=(self.sees,))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Scalars]:
        critic = self.critics.online[0]
        values, weights = self.target(batch)
        outputs = [each(batch.seen) for each in self.critics.online]
        td = sum(
            critic.distribution.loss(of_actions(each, batch.actions), values, weights).mean()
            for each in outputs
        )
        q = critic.means(least(critic, [each.detach() for each in outputs]))
        log_probs = self.policy(batch.seen)
        probs, alpha = log_probs.exp(), self.temperature.log.exp()
        actor = (probs * (alpha.detach() * log_probs - q)).sum(1).mean()
        entropy = -(probs * log_probs).sum(1).mean().detach()
        loss = td + actor + alpha * (entropy - self.wanted)
        return loss, {"td": td, "actor": actor, "entropy": entropy, "alpha": alpha}

    @torch.no_grad()
    def target(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The return's atoms and weights (B, J), by an action drawn from the policy."""
        log_probs = self.policy(batch.following)
        actions = torch.multinomial(log_probs.exp(), 1).squeeze(1)
        critic = self.critics.target[0]
        outputs = least(critic, [each(batch.following) for each in self.critics.target])
        values, weights = critic.distribution.atoms(of_actions(outputs, actions))
        surprise = self.temperature.log.exp() * of_actions(log_probs, actions)
        values = values - surprise.unsqueeze(1)
        return batch.rewards.unsqueeze(1) + batch.discounts.unsqueeze(1) * values, weights

    def after_step(self, step: int) -> None:
        self.critics.follow()

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        batch = self.draw(data, rng, MEASURED)
        log_probs = self.policy(batch.seen)
        critic = self.critics.online[0]
        return {
            "entropy": -(log_probs.exp() * log_probs).sum(1).mean(),
            "q": of_actions(critic.means(critic(batch.seen)), batch.actions).mean(),
        }

    def policy(self, seen: Seen) -> torch.Tensor:
        return self.heads.both(seen.features)[0]


def build(config: Config, shape: Shape) -> QRSAC:
    return QRSAC(config, shape)
