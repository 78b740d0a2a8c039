"""A smaller agent that plays like the bundle's: M's and C's largest matrices of fewer numbers.

These are both matrices of the LSTM and the first layers of C's policy and value. They begin as the
nearest of their kind; then the smaller M and C learn from the bundle's, on recorded sequences: M's
hidden states, C's probabilities and values. All else stays as it is. What a layer can be, and where
it comes from, `lab.structured` says.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Literal, cast

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from agent.models.actor import Models
from agent.models.controller import Features
from agent.models.memory import Memory
from lab.data import Data, Seen, Sequences
from lab.method import MEASURED, Heads, Scalars, Shape
from lab.run import Run, learn
from lab.structured import LowDisplacement, LowRank, eight_bits
from pretrain.stage import seed_of
from retro_common.config import FORBID_UNKNOWN, Positive

INPUT, RECURRENT = "lstm.weight_ih_l0", "lstm.weight_hh_l0"
FIRST = ("policy.0.weight", "value.0.weight")


@dataclasses.dataclass
class Config:
    layer: Literal["dense", "low-rank", "ldr-sd", "int8"] = "ldr-sd"
    """what the matrices become; `dense` leaves them, `int8` rounds all of M's and C's"""
    rank: Positive = 16
    """r of each block of low displacement rank, which has as many rows as the LSTM, or C's last
    hidden layer, has units. Low rank gets as many numbers, rounded up to a whole rank"""
    length: Positive = 32
    """timesteps of a sequence that is learnt from"""

    __pydantic_config__ = FORBID_UNKNOWN


class Compress:
    def __init__(self, config: Config, shape: Shape):
        agent = shape.agent
        self.config, self.agent = config, agent
        self.memory = Memory(agent.memory, agent.vision, shape.actions).requires_grad_(False)
        self.heads = Heads(agent).requires_grad_(False)
        self.layers = nn.ModuleDict()
        """what stands for a matrix, by the matrix's name"""
        self._smaller: tuple[Memory, Heads] | None = None

    def parts(self) -> dict[str, nn.Module]:
        return {"memory": self.memory, "heads": self.heads, "layers": self.layers}

    def fit(self, data: Data, rng: np.random.Generator) -> None:
        """Make the layers, each the nearest of its kind to its matrix on recorded inputs."""
        batch = data.batch(rng, MEASURED)
        features, actions = batch.seen.features, batch.actions
        z, h, _ = self._split(features)
        known = F.one_hot(actions, self.memory.actions).to(z.dtype)
        inputs = {INPUT: torch.cat([z, known], 1), RECURRENT: h} | dict.fromkeys(FIRST, features)
        weights = dict(self.memory.named_parameters()) | dict(self.heads.named_parameters())
        for name, seen in inputs.items():
            weight, moments = weights[name].detach(), seen.T @ seen / len(seen)
            size = self.agent.controller.hidden if name in FIRST else self.agent.memory.hidden
            rank, blocks = self.config.rank, -(-len(weight) // size) * -(-weight.shape[1] // size)
            key, numbers = name.replace(".", "-"), blocks * (2 * size * rank + 2 * (size - 1))
            if self.config.layer == "ldr-sd":
                self.layers[key] = LowDisplacement(weight, moments, rank, size)
            elif self.config.layer == "low-rank":
                self.layers[key] = LowRank(weight, moments, -(-numbers // sum(weight.shape)))

    def _split(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features (..., F) as z, h and what else C reads."""
        z, h = self.heads.sizes[:2]
        return features.split([z, h, features.shape[-1] - z - h], dim=-1)

    def _weights(self) -> dict[str, torch.Tensor]:
        """The matrices that layers stand for, by name."""
        return {key.replace("-", "."): layer() for key, layer in self.layers.items()}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Sequences:
        return data.sequences(rng, max(1, size // self.config.length), self.config.length)

    def _hidden(self, batch: Sequences, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        """Hidden states (B, T, H) after each timestep from an empty state, M having these."""
        z = self._split(batch.features)[0][:, :-1]
        known = F.one_hot(batch.actions, self.memory.actions).to(z.dtype)
        own = dict(self.memory.named_parameters()) | weights
        names = (INPUT, RECURRENT, "lstm.bias_ih_l0", "lstm.bias_hh_l0")
        empty = tuple(each.unsqueeze(0) for each in self.memory.initial_state(len(z)))
        found = torch.lstm(
            torch.cat([z, known], dim=2),
            empty,
            [own[name].contiguous() for name in names],
            *(True, 1, 0.0, False, False, True),
        )
        return found[0]

    def _act(
        self, batch: Sequences, hidden: torch.Tensor, weights: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (N, A) and values (N,) of C on these hidden states."""
        z, _, rest = self._split(batch.features[:, :-1])
        before = F.pad(hidden[:, :-1], (0, 0, 1, 0))
        features = torch.cat([z, before, rest], dim=2).flatten(0, 1)
        own = {name: weights[name] for name in FIRST if name in weights}
        inputs = Features(*features.split(self.heads.sizes, dim=1))
        return functional_call(self.heads, own, (inputs,))

    def loss(self, batch: Sequences) -> tuple[torch.Tensor, Scalars]:
        with torch.no_grad():
            hidden = self._hidden(batch, {})
            log_probs, values = self._act(batch, hidden, {})
        weights = self._weights()
        mine = self._hidden(batch, weights)
        my_log_probs, my_values = self._act(batch, mine, weights)
        scalars = {
            "hidden": F.mse_loss(mine, hidden) / hidden.var(),
            "kl": F.kl_div(my_log_probs, log_probs, reduction="batchmean", log_target=True),
            "value": F.mse_loss(my_values, values) / values.var(),
        }
        return cast(torch.Tensor, sum(scalars.values())), scalars

    def after_step(self, step: int) -> None:
        self._smaller = None

    @torch.no_grad()
    def smaller(self) -> tuple[Memory, Heads]:
        """M and C with the matrices that the layers stand for."""
        if self._smaller is None:
            memory, heads = copy.deepcopy(self.memory), copy.deepcopy(self.heads)
            known = dict(memory.named_parameters()) | dict(heads.named_parameters())
            for name, weight in self._weights().items():
                known[name].copy_(weight)
            if self.config.layer == "int8":
                for weight in (*memory.parameters(), *heads.parameters()):
                    if weight.ndim > 1:
                        weight.copy_(eight_bits(weight.flatten(1)).view_as(weight))
            self._smaller = memory, heads
        return self._smaller

    def megabytes(self) -> float:
        """What the weights of the bundle take: 4 bytes a number; or 1 in a matrix of 8 bits, and 4
        for each of its rows."""
        vision = Models.plan(self.agent).vision
        sizes = [4 * weight.numel() for weight in vision.parameters()]
        replaced = {key.replace("-", ".") for key in self.layers}
        for network in (self.memory, self.heads):
            for name, weight in network.named_parameters():
                if self.config.layer == "int8" and weight.ndim > 1:
                    sizes.append(weight.numel() + 4 * len(weight))
                elif name not in replaced:
                    sizes.append(4 * weight.numel())
        return (sum(sizes) + sum(4 * each.numel() for each in self.layers.parameters())) / 1e6

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """`nll`, nats per unit of the next latent, and `kl` of C from the bundle's: of the second
        halves of sequences twice as long as those that are learnt from."""
        length = self.config.length
        batch = data.sequences(rng, max(1, MEASURED // (2 * length)), 2 * length)
        memory, heads = self.smaller()
        late, z = slice(length, None), self._split(batch.features)[0]
        hidden, _ = memory(z[:, :-1], batch.actions, memory.initial_state(len(z)))
        found = memory.predict(hidden[:, late], z[:, :-1][:, late]).log_prob(z[:, 1:][:, late])
        theirs = self._act(batch, self._hidden(batch, {}), {})[0]
        mine = self._act(batch, hidden, dict(heads.named_parameters()))[0]
        theirs, mine = (each.unflatten(0, (len(z), -1))[:, late] for each in (theirs, mine))
        kl = (theirs.exp() * (theirs - mine)).sum(2).mean()
        return {"nll": -found.mean(), "kl": kl, "megabytes": self.megabytes()}

    def models(self, models: Models) -> Models:
        memory, heads = self.smaller()
        return dataclasses.replace(models, memory=memory, controller=heads)

    @torch.no_grad()
    def policy(self, seen: Seen) -> torch.Tensor:
        return self.smaller()[1].both(seen.features)[0]


def build(config: Config, shape: Shape) -> Compress:
    return Compress(config, shape)


def drive(job: Run) -> None:
    """Make the layers, and let them learn, if they are to."""
    method = cast(Compress, job.method)
    method.fit(job.data.training, np.random.default_rng(seed_of(job.config.seed, 7)))
    if job.config.steps:
        learn(job)
    else:
        job.look(0)
