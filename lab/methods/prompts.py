"""ICRT (arXiv 2408.15980): imitation in context, prompted by other episodes of the same act.

ICRT is a transformer of 12 layers over whole demonstrations. Here one layer attends to the
timesteps of up to four episodes, those around the place where the player is. What an act's best
episodes did there is known without a gradient step. Places are told by the contest's rewards of an
episode so far; they find the timesteps, and the policy sees how far these are away. Prompts carry
no loss. Prompts of none to four episodes are drawn, so that one network plays with and without.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import pydantic
import torch
from torch import nn
from torch.nn import functional as F

from agent.models.precision import computes_in_bfloat16
from lab.data import Data, Seen
from lab.episodes import MOST, Episodes, Prompts
from lab.method import MEASURED, Scalars, Shape
from retro_common.config import FORBID_UNKNOWN

WIDTH, HEADS = 64, 4
"""of the attention"""
AT_ONCE = 1024
"""timesteps that are measured at once: their prompts are large"""


@dataclasses.dataclass
class Config:
    prompts: Annotated[int, pydantic.Field(ge=0, le=MOST)] = MOST
    """episodes that it is prompted by while it plays; 0 for none"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Tries:
    """Timesteps of a gradient step, their prompts, and the actions that were taken."""

    features: torch.Tensor
    """(B, F)"""
    prompts: Prompts
    actions: torch.Tensor
    """int64 (B,)"""


class Net(nn.Module):
    """C's hidden layer, and beside it what attention finds in the prompt."""

    def __init__(self, shape: Shape):
        super().__init__()
        hidden, self.latent = shape.agent.controller.hidden, shape.agent.vision.latent
        self.actions = shape.actions
        self.trunk = nn.Sequential(nn.Linear(shape.features, hidden), nn.Tanh())
        # One projection for both sides: what looks alike is near from the first step on.
        self.looks = nn.Linear(self.latent, WIDTH)
        self.query, self.key = nn.Linear(hidden, WIDTH), nn.Linear(1 + self.actions, WIDTH)
        self.value = nn.Linear(WIDTH + 1 + self.actions, WIDTH)
        self.nothing = nn.Parameter(torch.zeros(2, WIDTH))
        """key and value that are always there: a prompt can be ignored"""
        self.head = nn.Linear(hidden + WIDTH, self.actions)

    def forward(self, features: torch.Tensor, prompts: Prompts) -> torch.Tensor:
        """Log-probabilities (B, A) for features (B, F)."""
        hidden, count = self.trunk(features), len(features)
        queries = self.looks(features[:, : self.latent]) + self.query(hidden)
        bfloat16 = computes_in_bfloat16("auto", torch.device("cpu"))
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            looks = self.looks(prompts.z)
        looks = looks.float()
        actions = F.one_hot(prompts.actions, self.actions).float()
        facts = torch.cat([prompts.gaps.clamp(-3, 3)[..., None], actions], dim=2)
        sides = looks + self.key(facts), self.value(torch.cat([looks, facts], dim=2))
        keys, values = (
            torch.cat([own.expand(count, 1, -1), side], dim=1)
            .unflatten(2, (HEADS, -1))
            .transpose(1, 2)
            for own, side in zip(self.nothing, sides, strict=True)
        )
        known = torch.cat([torch.ones(count, 1, dtype=torch.bool), prompts.known], dim=1)
        found = F.scaled_dot_product_attention(
            *(queries.view(count, HEADS, 1, -1), keys, values), attn_mask=known[:, None, None]
        )
        return self.head(torch.cat([hidden, found.flatten(1)], dim=1)).log_softmax(1)


class ICRT:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.net = config, Net(shape)
        self.episodes: Episodes | None = None
        self.recorded: Episodes | None = None
        """what it is prompted by while it plays"""

    def parts(self) -> dict[str, nn.Module]:
        return {"net": self.net}

    def adapt(self, data: Data) -> None:
        """Take over what it is prompted by while it plays: no weight is changed."""
        self.recorded = Episodes(data)

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Tries:
        """Of recorded data, where timesteps follow each other."""
        if self.episodes is None:
            self.episodes = Episodes(data)
        known, rows = self.episodes, rng.integers(len(data), size=size)
        found = known.best(data.acts[rows], known.earned[rows], known.of[rows], rng)
        wanted = np.arange(MOST) < rng.integers(MOST + 1, size=(size, 1))
        return self.tries(known, rows, np.where(wanted, found, -1))

    def tries(self, known: Episodes, rows: np.ndarray, episodes: np.ndarray) -> Tries:
        """Timesteps (B,) of recorded data with the episodes (B, P) of their prompts."""
        prompts = known.prompts(episodes, known.earned[rows], self.net.latent)
        data = known.data
        return Tries(data.seen(rows).features, prompts, torch.from_numpy(data.actions[rows]))

    def loss(self, batch: Tries) -> tuple[torch.Tensor, Scalars]:
        loss = F.nll_loss(self.net(batch.features, batch.prompts), batch.actions)
        return loss, {"nll": loss}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """The negative log-likelihood of the recorded actions in nats: prompted by the best four
        other episodes that pass, by the best one, by none, and by the best four of another act;
        and how many of the four there are."""
        known, rows = Episodes(data), data.batch(rng, MEASURED).rows
        acts, places, own = data.acts[rows], known.earned[rows], known.of[rows]
        best = known.best(acts, places, own)
        asked = {f"nll {count}": best[:, :count] for count in (MOST, 1, 0)}
        there = np.unique(data.acts)
        if len(there) > 1:
            moves = rng.integers(1, len(there), size=len(rows))
            wrong = there[(np.searchsorted(there, acts) + moves) % len(there)]
            asked["nll wrong"] = known.best(wrong, places, own)
        return {
            **{name: self.nll(known, rows, episodes) for name, episodes in asked.items()},
            "prompts": (best >= 0).sum(axis=1).mean(),
        }

    def nll(self, known: Episodes, rows: np.ndarray, episodes: np.ndarray) -> float:
        """Mean over timesteps (B,) that are prompted by episodes (B, P)."""
        total = 0.0
        for first in range(0, len(rows), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            batch = self.tries(known, rows[some], episodes[some])
            total += float(self.loss(batch)[0]) * len(batch.actions)
        return total / len(rows)

    def policy(self, seen: Seen) -> torch.Tensor:
        """Prompted by the best of what it was given, see `adapt`."""
        assert self.recorded is not None and seen.earned is not None
        acts, none = seen.acts.numpy(), np.full(len(seen.acts), -1)
        best = self.recorded.best(acts, seen.earned, none)[:, : self.config.prompts]
        return self.net(seen.features, self.recorded.prompts(best, seen.earned, self.net.latent))


def build(config: Config, shape: Shape) -> ICRT:
    return ICRT(config, shape)
