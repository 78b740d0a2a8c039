"""SOAR (arXiv 2407.20635): getting better at reaching goals by trying, without labels or rewards.

While playing, a goal is proposed (`lab.proposers`), tried, and judged by GNM's distance
(`lab.methods.reach`, which stays as it was learnt); what was played teaches the policy by
hindsight: every timestep, whether its goal was reached or not. The paper proposes goals by a
vision-language model and pictures them by a diffusion model; neither runs here.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from lab.data import Data, Seen
from lab.goals import pairs
from lab.method import MEASURED, Scalars, Shape
from lab.methods import reach
from lab.proposers import Dreams, Goals, Proposer, Recorded
from retro_common.config import FORBID_UNKNOWN, Positive

NEAR = 3.0
"""expected timesteps to a goal that is reached"""
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
    proposer: Literal["recorded", "dreams"] = "recorded"
    """goals are recorded and played states, or the ends of M's dreams"""

    __pydantic_config__ = FORBID_UNKNOWN


class SOAR:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.actions, self.shipped = config, shape.actions, shape.models
        self.reach = reach.Reach(reach.Config(hidden=config.hidden), shape)
        self.reach.distance.requires_grad_(False)

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

    def far(self, features: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
        """Expected timesteps (N,) from features (N, F) to goals (N, F)."""
        return self.reach.mean(self.reach.inputs(features, goals))

    def begin(self, recorded: Data, store: Data, worlds: int, facts: dict[str, Any]) -> None:
        self.proposer: Proposer
        if self.config.proposer == "recorded":
            self.proposer = Recorded([recorded, store], self.reach.latent, self.far)
        else:
            assert self.shipped is not None
            self.proposer = Dreams(self.shipped)
        self.goals = torch.zeros(worlds, recorded.features.shape[1])
        self.places, self.words = np.zeros(worlds), [""] * worlds
        self.age, self.trying = np.zeros(worlds, np.int64), np.zeros(worlds, bool)
        self.counts: dict[str, list[int]] = {
            name: facts.setdefault(name, [0] * PARTS) for name in ("tried", "reached", "truly")
        }
        """tries that ended in each part of the timesteps; those that the distance calls reached;
        and of these those that are, by x (of a dream: by where M thought that it ends)"""
        self.by_word: dict[str, list[int]] = facts.setdefault("words", {})
        """tries and successes, by the goals' words"""

    @torch.no_grad()
    def command(
        self, seen: Seen, begins: np.ndarray, share: float, rng: np.random.Generator
    ) -> None:
        self.age += 1
        near = (self.far(seen.features, self.goals) <= NEAR).numpy()
        reached = self.trying & ~begins & near
        over = begins | reached | (self.age >= self.config.patience) | ~self.trying
        truly = reached & (np.abs(seen.earned - self.places) <= SAME_PLACE)
        part, tried = int(share * PARTS), over & self.trying
        for name, which in (("tried", tried), ("reached", reached), ("truly", truly)):
            self.counts[name][part] += int(which.sum())
        for world in np.flatnonzero(tried):
            counts = self.by_word.setdefault(self.words[world], [0, 0])
            counts[0] += 1
            counts[1] += int(reached[world])
        worlds = np.flatnonzero(over)
        if len(worlds):
            self.take(worlds, self.proposer.propose(seen.of(worlds), rng))

    def take(self, worlds: np.ndarray, goals: Goals) -> None:
        """Try these goals in these worlds (indices)."""
        self.goals[worlds], self.places[worlds] = goals.features, goals.places
        for world, word in zip(worlds, goals.words, strict=True):
            self.words[world] = word
        self.age[worlds], self.trying[worlds] = 0, True

    @torch.no_grad()
    def policy(self, seen: Seen) -> torch.Tensor:
        """Towards the goals of the worlds."""
        logits = self.reach.actor(self.reach.inputs(seen.features, self.goals))
        return logits[:, : self.actions].log_softmax(1)


def build(config: Config, shape: Shape) -> SOAR:
    return SOAR(config, shape)
