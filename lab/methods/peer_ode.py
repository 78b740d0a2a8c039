"""A peer of `lab.methods.motion`: a neural ODE of the player's motion, judged as ours is.

`lab/peers/ode.py` fits it, in an environment of its own, and writes the places that it expects in
the data that was held back to OUT/NAME-SEED.safetensors, where this looks for them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from lab.data import Data
from lab.dreams import judged, place_errors
from lab.method import Scalars, Shape
from lab.methods.peer import read
from lab.run import Run
from retro_common.config import FORBID_UNKNOWN
from retro_common.errors import UsageError


@dataclasses.dataclass
class Config:
    __pydantic_config__ = FORBID_UNKNOWN


class Ode:
    """What it expects, which `drive` reads: rows (R,) and places (AHEAD, R, 2)."""

    def __init__(self, shape: Shape):
        self.acts, self.weights = shape.acts, 0
        self.rows, self.places = np.empty(0, np.int64), torch.empty(0)

    def parts(self) -> dict[str, nn.Module]:
        return {}

    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """As `lab.methods.motion` measures.

        Raises:
            UsageError: these are other timesteps than those it was asked for.
        """
        rows = [judged(data, act) for act in range(self.acts)]
        if not np.array_equal(np.concatenate(rows), self.rows):
            raise UsageError("the peer's places are of other timesteps: run lab/peers/ode.py anew")
        places = self.places.split([len(each) for each in rows], dim=1)
        found = [place_errors(each, data, here) for each, here in zip(places, rows, strict=True)]
        means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
        return {**means, "weights": self.weights}


def build(config: Config, shape: Shape) -> Ode:
    return Ode(shape)


def drive(job: Run) -> None:
    """Read what the peer expects, and judge it; see `lab.methods.peer.read`."""
    facts, arrays = read(job, "lab/peers/ode.py")
    ode: Ode = job.method  # type: ignore[assignment]
    ode.rows, ode.places, ode.weights = arrays["rows"].numpy(), arrays["places"], facts["weights"]
    job.look(facts["steps"])
    job.facts |= {"peer": facts["version"], "fitting_seconds": facts["fitting_seconds"]}
