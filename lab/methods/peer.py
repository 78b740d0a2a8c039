"""A peer: what a public implementation has learnt on the same arrays plays in the same worlds.

`lab/peers/train.py` trains it, in an environment of its own, and writes its layers to
OUT/peer-NAME-SEED.safetensors, where this looks for them.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import safetensors
import torch
from torch import nn
from torch.nn import functional as F

from lab.data import Data, Seen
from lab.method import MEASURED, Scalars, Shape
from lab.run import Run
from retro_common.config import FORBID_UNKNOWN
from retro_common.errors import UsageError

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


@dataclasses.dataclass
class Config:
    peer: str
    """name of the peer in lab/peers/train.py"""

    __pydantic_config__ = FORBID_UNKNOWN


class Peer:
    """A policy, or Q, of linear layers, which `drive` reads."""

    def __init__(self, shape: Shape):
        self.actions, self.temperature = shape.actions, 1.0
        self.layers = nn.Sequential()

    def parts(self) -> dict[str, nn.Module]:
        return {"layers": self.layers}

    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Of the timesteps that a clone is measured on."""
        batch = data.batch(rng, MEASURED)
        return {"nll": F.nll_loss(self.policy(batch.seen), batch.actions)}

    @torch.no_grad()
    def policy(self, seen: Seen) -> torch.Tensor:
        """Softmax of the outputs; an action's quantiles are averaged."""
        outputs = self.layers(seen.features).unflatten(1, (self.actions, -1)).mean(2)
        return (self.temperature * outputs).log_softmax(1)


def build(config: Config, shape: Shape) -> Peer:
    return Peer(shape)


def read(job: Run, program: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The facts and arrays that a program of the peers' environment wrote for this run.

    Raises:
        UsageError: it wrote none, or learnt from other data.
    """
    path = job.config.out / f"{job.name}-{job.config.seed}.safetensors"
    try:
        with safetensors.safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: no peer: {program} writes it ({error})") from None
    if facts["data"] != job.data.sha256:
        raise UsageError(f"{path}: the peer was trained on other data")
    return facts, arrays


def drive(job: Run) -> None:
    """Read what the peer has learnt, and play with it; see `read`."""
    facts, layers = read(job, "lab/peers/train.py")
    peer: Peer = job.method  # type: ignore[assignment]
    peer.temperature = facts["temperature"]
    count = len(layers) // 2
    for number in range(count):
        weight, bias = layers[f"{number}.weight"], layers[f"{number}.bias"]
        layer = nn.Linear(*reversed(weight.shape))
        layer.load_state_dict({"weight": weight, "bias": bias})
        peer.layers.append(layer)
        if number < count - 1:
            peer.layers.append(ACTIVATIONS[facts["activation"]]())
    job.look(facts["steps"])
    job.facts |= {"peer": facts["version"], "peer_seconds": round(facts["processor_seconds"])}
