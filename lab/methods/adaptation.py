"""M adapted to an act from three minutes of play (after drifting with 3 minutes of data: arXiv
2306.06330): which weights should learn from 2,700 timesteps?

Each act of the data gets an M of its own, which begins as the bundle's. In a gradient step every
one of them learns from sequences of its act.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Literal

import numpy as np
import torch
from torch import nn

from agent.models.memory import Memory, State, memory_loss
from lab.data import Data
from lab.dreams import AHEAD, dream, judged, latents_of, pixels, place_errors, states
from lab.method import Scalars, Shape
from retro_common.config import FORBID_UNKNOWN, Positive

PLACE_WEIGHT, REWARD_WEIGHT = 0.2, 30.0
"""as in M's pretraining, see `agent.models.memory.memory_loss`"""
OTHERS = 2048
"""timesteps of other acts that harm is measured on"""
CHUNK = 1024
"""timesteps whose NLL is computed at once"""


@dataclasses.dataclass
class Config:
    family: Literal["film", "heads", "full"] = "film"
    """the weights that learn: the biases of M's heads, which scale and shift what they compute
    (FiLM, arXiv 1709.07871); all of the heads'; or all"""
    sequence: Positive = 32
    """timesteps of a sequence"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Sequences:
    """A gradient step's timesteps of one act: B sequences of T."""

    latents: torch.Tensor
    """(B, T + 1, Z)"""
    actions: torch.Tensor
    """int64 (B, T)"""
    rewards: torch.Tensor
    """scaled, (B, T)"""
    before: State
    """the bundle's M's, before the first timestep, (B, H) each"""


class Adaptation:
    def __init__(self, config: Config, shape: Shape):
        assert shape.models is not None
        self.config, self.shipped = config, shape.models.memory.requires_grad_(False)
        self.scale = shape.agent.reward.scale
        self.adapted = nn.ModuleList(copy.deepcopy(self.shipped) for _ in range(shape.acts))
        for memory in self.adapted:
            for name, weight in memory.named_parameters():
                weight.requires_grad_(learns(config.family, name))
        self._states: dict[int, State] = {}
        self._starts: list[np.ndarray] = []

    def parts(self) -> dict[str, nn.Module]:
        return {"adapted": self.adapted}

    def states(self, data: Data) -> State:
        """The bundle's M's states before each timestep; computed once."""
        if id(data) not in self._states:
            self._states[id(data)] = states(self.shipped, data)
        return self._states[id(data)]

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> list[Sequences]:
        """For each act sequences of `size` timesteps in all."""
        config, before = self.config, self.states(data)
        if not self._starts:
            starts = data.followed(config.sequence)
            self._starts = [starts[data.acts[starts] == act] for act in range(len(self.adapted))]
        found = []
        for starts in self._starts:
            first = rng.choice(starts, max(1, size // config.sequence))
            rows = first[:, None] + np.arange(config.sequence + 1)
            here = rows[:, :-1]
            found.append(
                Sequences(
                    latents_of(self.shipped, data, rows.ravel()).view(*rows.shape, -1),
                    torch.from_numpy(data.actions[here]),
                    torch.from_numpy(data.rewards[here]) * self.scale,
                    State(before.h[first], before.c[first]),
                )
            )
        return found

    def loss(self, batch: list[Sequences]) -> tuple[torch.Tensor, Scalars]:
        """The sum over the acts: no weight is in two of them."""
        losses, found = [], []
        for memory, each in zip(self.adapted, batch, strict=True):
            seen = each.latents[:, :-1]
            hidden, _ = memory(seen, each.actions, each.before)
            mask = torch.ones_like(each.rewards)
            loss, scalars = memory_loss(
                memory.predict(hidden, seen),
                each.latents[:, 1:],
                each.rewards,
                torch.zeros_like(mask),
                mask,
                place_weight=PLACE_WEIGHT,
                reward_weight=REWARD_WEIGHT,
                end_weight=0.0,  # sequences do not reach an end
                end_positive_weight=1.0,
            )
            losses.append(loss)
            found.append(scalars)
        total = torch.stack(losses).sum()
        return total, {key: torch.stack([each[key] for each in found]).mean() for key in found[0]}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Each M on its own act; means over the acts.

        `nll` in nats per latent unit; `px1`, `px5`, the error of the player's place so many
        timesteps ahead in M's dreams (`lab.dreams.place_errors`).
        """
        found: list[Scalars] = []
        for act, memory in enumerate(self.adapted):
            rows, before = judged(data, act), self.states_of(memory, data)
            dreamt = pixels(dream(memory, data, before, rows, AHEAD[-1]))
            figures = place_errors(dreamt, data, rows)
            found.append({"nll": nll(memory, data, before, rows), **figures})
        sizes = [w.numel() for w in self.adapted[0].parameters() if w.requires_grad]
        means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
        return {**means, "weights": sum(sizes)}

    def measure_other(self, data: Data, rng: np.random.Generator) -> Scalars:
        """What adaptation to an act changes in others: `nll` of the bundle's M, and the mean of
        the adapted ones'."""
        rows = data.followed(1)
        rows = rng.choice(rows, min(OTHERS, len(rows)), replace=False)
        found = [
            nll(memory, data, self.states_of(memory, data), rows)
            for memory in (self.shipped, *self.adapted)
        ]
        return {"nll_before": found[0], "nll": float(np.mean(found[1:]))}

    def states_of(self, memory: Memory, data: Data) -> State:
        """The heads change no state."""
        return states(memory, data) if self.config.family == "full" else self.states(data)


def learns(family: str, name: str) -> bool:
    """Whether this weight of M, by its name, learns."""
    if family == "film":
        return name.endswith("bias") and not name.startswith("lstm")
    return family == "full" or not name.startswith("lstm")


@torch.no_grad()
def nll(memory: Memory, data: Data, before: State, rows: np.ndarray) -> float:
    """Nats per latent unit of the latents behind these timesteps."""
    total = 0.0
    for first in range(0, len(rows), CHUNK):
        here = rows[first : first + CHUNK]
        z, actions = latents_of(memory, data, here), torch.from_numpy(data.actions[here])
        after = memory.step(z, actions, State(before.h[here], before.c[here]))
        prediction = memory.predict(after.h, z)
        total -= float(prediction.log_prob(latents_of(memory, data, here + 1)).mean(1).sum())
    return total / len(rows)


def build(config: Config, shape: Shape) -> Adaptation:
    return Adaptation(config, shape)
