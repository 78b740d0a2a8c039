"""One C for several bodies (CrossFormer, arXiv 2408.11812): a head for each, the rest shared.

CrossFormer is a transformer that reads every body's sensors and has a readout and a head for each
body. Here V and M are the bundle's, frozen: they know the game at home alone, and see each body
with home's eyes. C's hidden layer is what bodies share. It clones recorded actions, as many
timesteps of each body; its rivals, the specialists, are the same with one body.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import pydantic
import torch
from torch import nn
from torch.nn import functional as F

from lab.body import BODIES, HOME, Body
from lab.data import Batch, Data, Seen
from lab.method import MEASURED, Scalars, Shape
from retro_common.config import FORBID_UNKNOWN


@dataclasses.dataclass
class Config:
    bodies: Annotated[list[str], pydantic.Field(min_length=1)] = dataclasses.field(
        default_factory=lambda: [HOME.name]
    )
    """bodies that it learns and plays, by name"""
    share: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    """share of each body's timesteps to learn from, the first ones of every act"""

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        if unknown := set(self.bodies) - set(BODIES):
            raise ValueError(f"no such body: {', '.join(unknown)}; there are {', '.join(BODIES)}")


class Net(nn.Module):
    """C's policy with an output layer for each body there is, of which only some may learn."""

    def __init__(self, shape: Shape):
        super().__init__()
        hidden = shape.agent.controller.hidden
        self.trunk = nn.Sequential(nn.Linear(shape.features, hidden), nn.Tanh())
        sizes = [len(body.combinations) or shape.actions for body in BODIES.values()]
        self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)
        self.actions = max(sizes)

    def forward(self, features: torch.Tensor, bodies: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (B, A) for features (B, F) of bodies int64 (B,); A are the actions of
        the body with the most, and those that a body lacks have probability 0."""
        hidden = self.trunk(features)
        found = [head(hidden) for head in self.heads]
        lacking = float("-inf")
        logits = torch.stack(
            [F.pad(each, (0, self.actions - each.shape[1]), value=lacking) for each in found]
        )
        return logits[bodies, torch.arange(len(bodies))].log_softmax(1)


class Bodies:
    def __init__(self, config: Config, shape: Shape):
        self.config, self.net = config, Net(shape)
        self.bodies: list[Body] = [BODIES[name] for name in config.bodies]
        self.rows: np.ndarray | None = None

    def parts(self) -> dict[str, nn.Module]:
        return {"net": self.net}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Batch:
        """`size` timesteps for each body, on the average."""
        if self.rows is None:
            found = [rows_of(data, body, self.config.share) for body in self.bodies]
            self.rows = np.concatenate(found)
        return data.batch(rng, size * len(self.bodies), rows=self.rows)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Scalars]:
        loss = F.nll_loss(self.policy(batch.seen), batch.actions)
        return loss, {"nll": loss}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """For each body the negative log-likelihood of the recorded actions, in nats."""
        found: Scalars = {}
        for body in self.bodies:
            batch = data.batch(rng, MEASURED, rows=rows_of(data, body, 1.0))
            found[f"nll {body.name}"] = self.loss(batch)[0]
        return found

    def policy(self, seen: Seen) -> torch.Tensor:
        return self.net(seen.features, seen.bodies)


def rows_of(data: Data, body: Body, share: float) -> np.ndarray:
    """Indices of the first timesteps of a body, this share of those of every act."""
    own, found = data.bodies == body.number, []
    for act in np.unique(data.acts):
        rows = np.flatnonzero(own & (data.acts == act))
        found.append(rows[: round(share * len(rows))])
    return np.concatenate(found)


def build(config: Config, shape: Shape) -> Bodies:
    return Bodies(config, shape)
