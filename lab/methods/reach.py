"""GNM (arXiv 2210.03370): how many timesteps away a goal is, and the next actions on the way there.

Both are learnt by hindsight: what came later in an episode was a goal. Goals that are too far are a
class of their own; half of them lie in the same act, so that places that look alike are told apart.
A pointer on a recorded episode (a route) follows another run by the distance.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lab.data import Data, Seen
from lab.goals import Net, of_same_act, pairs
from lab.method import MEASURED, Scalars, Shape, alike
from retro_common.config import FORBID_UNKNOWN, Fraction, Positive

MOST = 20
"""timesteps up to which distances are told; the class behind stands for all that is farther"""
AHEAD = 5
"""actions that are predicted"""
WINDOW = 2
"""timesteps that the pointer moves by, around one forward; and that it may be wrong by"""


@dataclasses.dataclass
class Config:
    hidden: Positive = 256
    """units of each of the two hidden layers"""
    far: Fraction = 0.25
    """share of goals that are too far"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Tries:
    """Timesteps with goals, and what hindsight says of them."""

    inputs: torch.Tensor
    """what is seen, and the goal's z beside it, (B, F + Z)"""
    distances: torch.Tensor
    """timesteps to the goal, `MOST` + 1 if it is too far, int64 (B,)"""
    actions: torch.Tensor
    """those that were taken, int64 (B, AHEAD)"""
    known: torch.Tensor
    """bool (B, AHEAD): the action lies before the goal, and the goal is not too far"""


class Reach:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.actions = config, shape.actions
        self.latent = shape.agent.vision.latent
        inputs = shape.features + self.latent
        self.distance = Net(inputs, config.hidden, MOST + 2)
        self.actor = Net(inputs, config.hidden, AHEAD * shape.actions)

    def parts(self) -> dict[str, nn.Module]:
        return {"distance": self.distance, "actor": self.actor}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Tries:
        """Of recorded data, where timesteps follow each other."""
        drawn = pairs(data, rng, size, 0, MOST)
        first, later, gaps = drawn.first, drawn.later, drawn.gaps.copy()
        far = rng.random(size) < self.config.far
        others = np.where(
            rng.random(size) < 0.5,
            of_same_act(data, rng, first),
            rng.integers(len(data), size=size),
        )
        near = (others >= first) & (others - first <= np.minimum(MOST, data.left()[first]))
        far &= ~near
        later, gaps = np.where(far, others, later), np.where(far, MOST + 1, gaps)
        return self.tries(data, first, later, gaps)

    def tries(self, data: Data, first: np.ndarray, goals: np.ndarray, gaps: np.ndarray) -> Tries:
        """Timesteps (B,), their goals (B,), and the timesteps in between (B,)."""
        steps = np.arange(AHEAD)
        known = (steps < gaps[:, None]) & (gaps[:, None] <= MOST)
        taken = data.ahead(first[:, None], np.where(known, steps, 0))
        return Tries(
            self.inputs(data.seen(first).features, data.seen(goals).features),
            *map(torch.from_numpy, (gaps, data.actions[taken], known)),
        )

    def inputs(self, features: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
        """(B, F + Z) of what is seen (B, F) and of goals, whose first Z numbers are z."""
        return torch.cat([features, goals[:, : self.latent]], dim=1)

    def loss(self, batch: Tries) -> tuple[torch.Tensor, Scalars]:
        distance = F.cross_entropy(self.distance(batch.inputs), batch.distances)
        actions = self.cloning(batch)
        return distance + actions, {"distance": distance, "actions": actions}

    def cloning(self, batch: Tries) -> torch.Tensor:
        """Mean cross-entropy of the known actions."""
        logits = self.actor(batch.inputs).unflatten(1, (AHEAD, self.actions))
        return F.cross_entropy(logits[batch.known], batch.actions[batch.known])

    def after_step(self, step: int) -> None:
        pass

    def mean(self, inputs: torch.Tensor) -> torch.Tensor:
        """Expected timesteps (B,), what is too far being `MOST` + 1."""
        return self.distance(inputs).softmax(1) @ torch.arange(MOST + 2.0)

    def median(self, inputs: torch.Tensor) -> torch.Tensor:
        """The distribution's median (B,): the class with the least expected error."""
        return (self.distance(inputs).softmax(1).cumsum(1) < 0.5).sum(1)

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Mean error in timesteps, too far counting as `MOST` + 1; how many goals are called too
        far, of those that are not and of those that are; and the pointer."""
        drawn = pairs(data, rng, MEASURED, 0, MOST)
        batch = self.tries(data, drawn.first, drawn.later, drawn.gaps)
        found = self.median(batch.inputs)
        others = of_same_act(data, rng, drawn.first)
        gaps = others - drawn.first
        far = (gaps < 0) | (gaps > np.minimum(MOST, data.left()[drawn.first]))
        away = self.tries(data, drawn.first[far], others[far], np.full(far.sum(), MOST + 1))
        return {
            "error": (found - batch.distances).abs().float().mean(),
            "missed": (found > MOST).float().mean(),
            "caught": (self.median(away.inputs) > MOST).float().mean(),
            "nll": self.cloning(batch),
            **self.pointers(data),
        }

    def pointers(self, data: Data) -> Scalars:
        """How often the pointer on each act's best episode is where the second best one is.

        By x, the sum of the contest's rewards: it is right if the run's x lies within the route's
        x of `WINDOW` timesteps before and after the pointer. Only timesteps whose x the route
        passes count. `clock` is a pointer that moves on by one with every timestep. Nothing is said
        of data without an act that has two episodes.
        """
        found: dict[str, list[float]] = {"pointer": [], "clock": []}
        for route, run in best_two(data):
            places, here = data.earned()[route], data.earned()[run]
            passed = (here >= places.min()) & (here <= places.max())
            clock = np.minimum(np.arange(len(run)), len(route) - 1)
            for name, pointer in (("pointer", self.follow(data, route, run)), ("clock", clock)):
                around = pointer[:, None] + np.arange(-WINDOW, WINDOW + 1)
                near = places[around.clip(0, len(route) - 1)]
                right = (near.min(1) <= here) & (here <= near.max(1))
                found[name].append(right[passed].mean())
        return {name: np.mean(shares) for name, shares in found.items() if shares}

    def follow(self, data: Data, route: np.ndarray, run: np.ndarray) -> np.ndarray:
        """Where on the route (indices) each timestep of the run (indices) is, int64 (N,)."""
        goals, at, places = data.seen(route).features, 0, []
        for seen in data.seen(run).features:
            window = (at + 1 + np.arange(-WINDOW, WINDOW + 1)).clip(0, len(route) - 1)
            inputs = self.inputs(seen.expand(len(window), -1), goals[window])
            at = int(window[int(self.mean(inputs).argmin())])
            places.append(at)
        return np.array(places)

    def policy(self, seen: Seen) -> torch.Tensor:
        return alike(seen, self.actions)  # it plays nowhere without a goal


def best_two(data: Data) -> list[tuple[np.ndarray, np.ndarray]]:
    """The timesteps (indices) of the best and of the second best episode of each act."""
    episodes = np.split(np.arange(len(data)), np.flatnonzero(data.left() == 0)[:-1] + 1)
    returns = np.array([data.rewards[rows].sum() for rows in episodes])
    found = []
    for act in np.unique(data.acts):
        mine = [i for i, rows in enumerate(episodes) if data.acts[rows[0]] == act]
        if len(mine) > 1:
            best, second = sorted(mine, key=lambda i: -returns[i])[:2]
            found.append((episodes[best], episodes[second]))
    return found


def build(config: Config, shape: Shape) -> Reach:
    return Reach(config, shape)
