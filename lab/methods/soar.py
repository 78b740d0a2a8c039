"""SOAR (arXiv 2407.20635): getting better at reaching goals by trying, without labels or rewards.

While playing, a goal is proposed, tried, and judged by GNM's distance (`lab.methods.reach`, which
stays as it was learnt); what was played teaches the policy by hindsight: every timestep, whether
its goal was reached or not. A proposal is a recorded or played state of the act that is in reach,
and of these the rarest: the frontier of what is known. The paper proposes goals by a
vision-language model and pictures them by a diffusion model; neither runs here.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from lab.data import Data, Seen
from lab.goals import pairs
from lab.method import MEASURED, Scalars, Shape
from lab.methods import reach
from retro_common.config import FORBID_UNKNOWN, Positive

NEAR = 3.0
"""expected timesteps to a goal that is reached"""
REACH = 5.0, 15.0
"""expected timesteps to a goal that is proposed"""
CANDIDATES = 128
"""states that a proposal is chosen from, of the recorded ones and as many of the played ones"""
NEIGHBOURS = 5
"""a state is as rare as its distance, in z, to so many nearest of the others is long"""
SAME_PLACE = 90.0
"""points of the contest's reward along the way: three timesteps at top speed"""
PARTS = 4
"""equal parts of the timesteps, of each of which tries are counted"""


@dataclasses.dataclass
class Config:
    hidden: Positive = 256
    """units of each hidden layer, as GNM's"""
    patience: Positive = 30
    """timesteps after which a try has failed"""

    __pydantic_config__ = FORBID_UNKNOWN


class SOAR:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.actions = config, shape.actions
        self.reach = reach.Reach(reach.Config(hidden=config.hidden), shape)
        self.reach.distance.requires_grad_(False)
        self.latent = self.reach.latent

    def parts(self) -> dict[str, nn.Module]:
        return self.reach.parts()

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> reach.Tries:
        drawn = pairs(data, rng, size, 1, reach.MOST)
        return self.reach.tries(data, drawn.first, drawn.later, drawn.gaps)

    def loss(self, batch: reach.Tries) -> tuple[torch.Tensor, Scalars]:
        loss = self.reach.cloning(batch)
        return loss, {"nll": loss}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        return self.loss(self.draw(data, rng, MEASURED))[1]

    def begin(self, recorded: Data, worlds: int, facts: dict[str, Any]) -> None:
        self.recorded = recorded
        self.goals, self.places = torch.zeros(worlds, self.latent), np.zeros(worlds)
        self.age, self.trying = np.zeros(worlds, np.int64), np.zeros(worlds, bool)
        self.counts: dict[str, list[int]] = {
            name: facts.setdefault(name, [0] * PARTS) for name in ("tried", "reached", "truly")
        }
        """tries that ended in each part of the timesteps; those that the distance calls reached;
        and of these those that are, by x"""

    @torch.no_grad()
    def command(
        self,
        seen: Seen,
        begins: np.ndarray,
        store: Data,
        share: float,
        rng: np.random.Generator,
    ) -> None:
        far = self.reach.mean(self.reach.inputs(seen.features, self.goals)).numpy()
        self.age += 1
        reached = self.trying & ~begins & (far <= NEAR)
        over = begins | reached | (self.age >= self.config.patience) | ~self.trying
        truly = reached & (np.abs(seen.earned - self.places) <= SAME_PLACE)
        part = int(share * PARTS)
        for name, which in (("tried", over & self.trying), ("reached", reached), ("truly", truly)):
            self.counts[name][part] += int(which.sum())
        for world in np.flatnonzero(over):
            self.propose(int(world), seen, store, rng)

    def propose(self, world: int, seen: Seen, store: Data, rng: np.random.Generator) -> None:
        """A goal for this world: of states in reach the rarest; if none is, the nearest."""
        act, latents, places = int(seen.acts[world]), [], []
        for data in (self.recorded, store):
            rows = np.flatnonzero(data.acts[: len(data)] == act)
            if len(rows):
                rows = rng.choice(rows, CANDIDATES)
                latents.append(data.seen(rows).features[:, : self.latent])
                places.append(data.earned()[rows])
        found = torch.cat(latents)
        here = seen.features[world].expand(len(found), -1)
        far = self.reach.mean(self.reach.inputs(here, found))
        near = torch.nonzero((far >= REACH[0]) & (far <= REACH[1])).squeeze(1)
        if len(near):
            apart = torch.cdist(found[near], found).sort(dim=1).values
            chosen = int(near[int(apart[:, 1 : 1 + NEIGHBOURS].mean(1).argmax())])
        else:
            chosen = int((far - REACH[0]).abs().argmin())
        self.goals[world], self.places[world] = found[chosen], np.concatenate(places)[chosen]
        self.age[world], self.trying[world] = 0, True

    @torch.no_grad()
    def policy(self, seen: Seen) -> torch.Tensor:
        """Towards the goals of the worlds."""
        logits = self.reach.actor(self.reach.inputs(seen.features, self.goals))
        return logits[:, : self.actions].log_softmax(1)


def build(config: Config, shape: Shape) -> SOAR:
    return SOAR(config, shape)
