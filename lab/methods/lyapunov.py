"""A Lyapunov density model (arXiv 2206.10524): how rare a state will have to be crossed?

E(s, a) = -log p(s) - log pi(a|s) says how rare a timestep is in the data: p is a mixture of
Gaussians on principal components of C's features, pi the clone. The model is the greatest E on the
best way on, G(s, a) = max(E(s, a), gamma min_a' G(s', a')), by fitted iteration on the data. Here
it should say from where M's dreams go wrong, better than E alone, and than the disagreement of
three Ms whose heads were trained further on other timesteps each.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agent.models.memory import Memory
from lab.data import Batch, Data, Seen
from lab.dreams import dream, latents_of, states
from lab.goals import spearman
from lab.method import Heads, Scalars, Shape
from lab.mixture import Mixture
from retro_common.config import FORBID_UNKNOWN, Fraction, Positive

MEMBERS = 3
"""Ms that may disagree"""
DREAMS, TIMESTEPS = 768, 15
"""dreams that figures are taken on, and their length"""
ADMITTED = 0.6
"""share of the dreams that are admitted: those with the lowest G, or E, or disagreement"""


@dataclasses.dataclass
class Config:
    units: Positive = 64
    """principal components of the features"""
    components: Positive = 32
    """Gaussians in the mixture"""
    hidden: Positive = 128
    """units of each of the two hidden layers of G"""
    member_batch: Positive = 64
    """timesteps of a gradient step of each M"""
    gamma: Fraction = 0.99
    polyak: Fraction = 0.02
    """how far the target follows with each step"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Drawn:
    """A gradient step's timesteps: those that G learns from, and for each M latents and M's states
    behind them, (B, Z) and (B, H), and the latents that followed."""

    batch: Batch
    members: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


class Lyapunov:
    def __init__(self, config: Config, shape: Shape):
        assert shape.models is not None
        self.config, self.memory = config, shape.models.memory.requires_grad_(False)
        self.heads = Heads(shape.agent).requires_grad_(False)
        """the clone, which a run has to `start` with"""
        self.mixture = Mixture(shape.features, config.units, config.components)
        layers = [nn.Linear(self.mixture.units, config.hidden), nn.ReLU()]
        layers += [nn.Linear(config.hidden, config.hidden), nn.ReLU()]
        self.excess = nn.Sequential(*layers, nn.Linear(config.hidden, shape.actions))
        """G - E of each action, before a softplus: G is nowhere less than E, for actions that
        nobody took as well"""
        self.target = copy.deepcopy(self.excess).requires_grad_(False)
        self.members = nn.ModuleList(copy.deepcopy(self.memory) for _ in range(MEMBERS))
        for member in self.members:
            member.mixture.requires_grad_(True)

    def parts(self) -> dict[str, nn.Module]:
        names = ("heads", "mixture", "excess", "target", "members")
        return {name: getattr(self, name) for name in names}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Drawn:
        if not self.mixture.fitted:
            self.mixture.fit(data.features[: data.count])
        members, rows = [], data.followed(1)
        for _ in self.members:
            here = rng.choice(rows, self.config.member_batch)
            first = self.memory.latent
            hidden = data.features[here + 1, first : first + self.memory.config.hidden]
            after = torch.from_numpy(hidden.astype(np.float32))
            z, later = (latents_of(self.memory, data, each) for each in (here, here + 1))
            members.append((z, after, later))
        return Drawn(data.batch(rng, size, gamma=self.config.gamma), members)

    def energies(self, seen: Seen) -> tuple[torch.Tensor, torch.Tensor]:
        """E of each action, (B, A), in units of its spread in the data, about 0 where the data is
        densest; and the principal components."""
        x = self.mixture.components(seen.features)
        surprise = -self.heads.both(seen.features)[0]
        return self.mixture.rarity(x).unsqueeze(1) + surprise / self.mixture.spread, x

    def g(self, seen: Seen, network: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """G and E of each action, (B, A)."""
        energy, x = self.energies(seen)
        return energy + F.softplus(network(x)), energy

    def loss(self, drawn: Drawn) -> tuple[torch.Tensor, Scalars]:
        batch = drawn.batch
        found, energy = self.g(batch.seen, self.excess)
        with torch.no_grad():
            ahead = batch.discounts * self.g(batch.following, self.target)[0].amin(1)
            here = of_actions(energy, batch.actions)
            wanted = torch.maximum(here, ahead)
        td = F.smooth_l1_loss(of_actions(found, batch.actions), wanted)
        nll = sum(
            -member.predict(after, z).log_prob(later).mean()
            for member, (z, after, later) in zip(self.members, drawn.members, strict=True)
        )
        return td + nll, {"td": td, "nll": nll / MEMBERS, "g": wanted.mean(), "e": here.mean()}

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        for mine, other in zip(self.target.parameters(), self.excess.parameters(), strict=True):
            mine.lerp_(other, self.config.polyak)

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """What predicts M's dreams' error, the mean squared error of a latent unit over
        `TIMESTEPS` timesteps from a start, with the recorded actions.

        `rank_...`: Spearman's correlation with the error, for G and E of the start, and for the
        disagreement of the Ms' dreams; `error`, the mean error; `error_...`, that of the
        `ADMITTED`.
        """
        if not self.mixture.fitted:
            return {}  # before the first step
        rows = data.followed(TIMESTEPS)
        rows = np.sort(rng.choice(rows, min(DREAMS, len(rows)), replace=False))
        before = states(self.memory, data)
        truth = torch.stack([latents_of(self.memory, data, rows + t + 1) for t in range(TIMESTEPS)])

        def dreamt(memory: Memory) -> torch.Tensor:
            return dream(memory, data, before, rows, TIMESTEPS)

        error = (dreamt(self.memory) - truth).square().mean((0, 2))
        apart = torch.stack([dreamt(each) for each in self.members]).var(0).mean((0, 2))
        seen = Seen(torch.from_numpy(data.features[rows].astype(np.float32)), torch.empty(0))
        found, energy = self.g(seen, self.excess)
        actions = torch.from_numpy(data.actions[rows])
        signs = {
            "g": of_actions(found, actions),
            "e": of_actions(energy, actions),
            "disagreement": apart,
        }
        figures: Scalars = {"error": error.mean()}
        for name, sign in signs.items():
            figures[f"rank_{name}"] = spearman(sign.numpy(), error.numpy())
            admitted = sign.argsort()[: round(ADMITTED * len(rows))]
            figures[f"error_{name}"] = error[admitted].mean()
        return figures


def of_actions(values: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """The values (B,) of actions (B,), of (B, A)."""
    return values.gather(1, actions.unsqueeze(1)).squeeze(1)


def build(config: Config, shape: Shape) -> Lyapunov:
    return Lyapunov(config, shape)
