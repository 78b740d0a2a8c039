"""Values from recorded data, as a product of four choices: backup, distribution, conservatism, DR3.

====================  ================================================================
IQL (2110.06169)      expectile, scalar; policy: advantage-weighted
ILQL (2206.11871)     expectile, scalar, conservatism; policy: the clone's, reweighted
CQL (2006.04779)      max, scalar, conservatism; policy: softmax
Scaled QL (2211.15144)  max, categorical, conservatism, normalise
DR3 (2112.04716)      max, resampled or sarsa; scalar, dr3
====================  ================================================================
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import numpy as np
import pydantic
import torch
from torch import nn
from torch.nn import functional as F

from lab.critic import Critic, Critics, least, of_actions
from lab.data import Batch, Data, Seen
from lab.distributions import Kind
from lab.method import MEASURED, Heads, Scalars, Shape
from retro_common.config import FORBID_UNKNOWN, Fraction, NotNegative, Positive, Rate

MOST_WEIGHT = 100.0
"""advantage weights are cut off here, as in IQL's code"""


@dataclasses.dataclass
class Config:
    backup: Literal["expectile", "max", "sarsa", "resampled"] = "expectile"
    """what stands for the next state: V, an expectile of Q over the recorded actions; the best
    action (of the online network, valued by the target: double Q-learning), which nobody may have
    taken there; the recorded one; or the recorded one of another timestep of the batch"""
    distribution: Kind = "scalar"
    conservatism: NotNegative = 0.0
    """weight of logsumexp Q - Q(a), by which unseen actions are pushed down (CQL)"""
    dr3: NotNegative = 0.0
    """weight of |phi(s) . phi(s')|, phi the last hidden layer"""
    normalise: bool = False
    """divide phi by its norm"""
    hidden: Positive = 256
    """units of each of the two hidden layers of Q"""
    sees: Literal["features", "frames"] = "features"
    """what Q sees: what C sees; or frames, with an encoder that learns (end to end)"""
    heads: Literal["one", "act"] = "one"
    """an output layer for all acts, or one for each"""
    policy: Literal["advantage-weighted", "reweighted", "softmax"] = "advantage-weighted"
    """C learns from exp(temperature (Q - V)); or C clones, and plays by log pi + temperature
    (Q - V); or Q alone plays, by softmax(temperature Q)"""
    frozen: bool = False
    """C's policy stays as it was at the start"""
    temperature: Rate = 3.0
    """inverse temperature of the policy, as IQL and ILQL count it"""
    ramp: Annotated[int, pydantic.Field(ge=0)] = 0
    """steps over which the temperature rises from 0 where it reweights"""
    expectile: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.8
    gamma: Fraction = 0.99
    polyak: Fraction = 0.005
    """how far the targets follow with each step"""

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        if self.backup != "expectile" and self.policy != "softmax":
            raise ValueError(f"the policy {self.policy} needs V, and so the backup expectile")


class Values:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.strength = config, 0.0 if config.ramp else 1.0

        def critic() -> Critic:
            return Critic(
                shape,
                config.distribution,
                hidden=config.hidden,
                sees=config.sees,
                normalise=config.normalise,
                heads=1 if config.heads == "one" else shape.acts,
            )

        # The smaller of two critics, where V looks for good actions among them.
        count = 2 if config.backup == "expectile" else 1
        self.critics = Critics([critic() for _ in range(count)], config.polyak)
        self.heads = Heads(shape.agent) if config.backup == "expectile" else None
        """C's two heads: the policy, and V"""
        if self.heads is not None and config.frozen:
            self.heads.policy.requires_grad_(False)

    def parts(self) -> dict[str, nn.Module]:
        parts: dict[str, nn.Module] = {"critics": self.critics}
        return parts if self.heads is None else {**parts, "heads": self.heads}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Batch:
        return data.batch(rng, size, gamma=self.config.gamma, sees=(self.config.sees,))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Scalars]:
        config, actions, online = self.config, batch.actions, self.critics.online
        critic, hidden = online[0], [each.hidden(batch.seen) for each in online]
        outputs = [
            each.outputs(phi, batch.seen.acts) for each, phi in zip(online, hidden, strict=True)
        ]
        values, weights = self.target(batch)
        loss = sum(
            critic.distribution.loss(of_actions(each, actions), values, weights).mean()
            for each in outputs
        )
        scalars: Scalars = {"td": loss}
        if config.conservatism:
            means = [critic.means(each) for each in outputs]
            gap = sum((q.logsumexp(1) - of_actions(q, actions)).mean() for q in means)
            loss, scalars["gap"] = loss + config.conservatism * gap, gap
        if config.dr3:
            dots = (hidden[0] * critic.hidden(batch.following)).sum(1).abs().mean()
            loss, scalars["dots"] = loss + config.dr3 * dots, dots
        if self.heads is not None:
            log_probs, v = self.heads.both(batch.seen.features)
            advantages = self.advantages(batch, v)
            tilt = torch.where(advantages > 0, config.expectile, 1 - config.expectile)
            scalars["value"] = (tilt * advantages.square()).mean()
            nll = -of_actions(log_probs, actions)
            if config.policy == "advantage-weighted":
                exponent = config.temperature * advantages.detach()
                nll = nll * exponent.exp().clamp(max=MOST_WEIGHT)
            loss = loss + scalars["value"] + (0 if config.frozen else nll.mean())
        return loss, scalars

    def advantages(self, batch: Batch, v: torch.Tensor) -> torch.Tensor:
        """The target critics' Q of the recorded actions, less V: (B,)."""
        with torch.no_grad():
            outputs = [each(batch.seen) for each in self.critics.target]
            critic = self.critics.target[0]
            q = of_actions(critic.means(least(critic, outputs)), batch.actions)
        return q - v

    @torch.no_grad()
    def target(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Atoms and their weights (B, J) of the return that Q is to learn."""
        backup, following = self.config.backup, batch.following
        if backup == "expectile":
            assert self.heads is not None
            values = self.heads.both(following.features)[1].unsqueeze(1)
            weights = torch.ones_like(values)
        else:
            critic, actions = self.critics.target[0], batch.following_actions
            if backup == "max":
                online = self.critics.online[0]
                actions = online.means(online(following)).argmax(1)
            elif backup == "resampled":
                actions = actions[torch.randperm(len(actions))]
            values, weights = critic.distribution.atoms(of_actions(critic(following), actions))
        return batch.rewards.unsqueeze(1) + batch.discounts.unsqueeze(1) * values, weights

    def after_step(self, step: int) -> None:
        self.critics.follow()
        if self.config.ramp:
            self.strength = min(1.0, (step + 1) / self.config.ramp)

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        batch = self.draw(data, rng, MEASURED if self.config.sees != "frames" else MEASURED // 8)
        critic = self.critics.online[0]
        phi, later = critic.hidden(batch.seen), critic.hidden(batch.following)
        q = critic.means(critic.outputs(phi, batch.seen.acts))
        shares = torch.linalg.svdvals(phi).cumsum(0)
        return {
            "dots": (phi * later).sum(1).mean(),
            "cosine": F.cosine_similarity(phi, later).mean(),
            # Effective rank (arXiv 2010.14498): singular values that hold 99% of their sum.
            "rank": int((shares < 0.99 * shares[-1]).sum()) + 1,
            "q": of_actions(q, batch.actions).mean(),
            "best_q": q.amax(1).mean(),
        }

    @torch.no_grad()
    def policy(self, seen: Seen) -> torch.Tensor:
        config = self.config
        if config.policy == "advantage-weighted":
            assert self.heads is not None
            return self.heads.both(seen.features)[0]
        critic = self.critics.target[0]
        q = critic.means(least(critic, [each(seen) for each in self.critics.target]))
        if config.policy == "softmax":
            return (config.temperature * q).log_softmax(1)
        assert self.heads is not None
        log_probs = self.heads.both(seen.features)[0]
        return (log_probs + self.strength * config.temperature * q).log_softmax(1)


def build(config: Config, shape: Shape) -> Values:
    return Values(config, shape)
