"""The player's own motion as a few curves of a known shape, fitted to three minutes of an act
(drifting with 3 minutes of data: arXiv 2306.06330).

The paper learns a tyre's force as a function of its slip within a family that physics allows: a
tanh times an exponential, whose few coefficients are learnt (*ExpTanh*). Here the change of the
player's speed on the screen is such a function of the speed, one for each action, on ground and in
the air, and of the distance to the place that the camera holds the player at. All is in pixels of
the game's screen, and read from V's latents alone: no memory of the game, and no M.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lab.data import Data
from lab.dreams import AHEAD, judged, pixels, place_errors
from lab.method import Scalars, Shape
from retro_common.config import FORBID_UNKNOWN

REST = (160.0, 120.0)
"""where the camera holds a player who runs on level ground"""
LEVEL, STILL = 12.0, 3.0
"""a player is taken to stand on ground within so many pixels of `REST`'s height, and who rises or
falls less than so many pixels a timestep"""
BETA = 2.0
"""error in pixels from which on the loss is linear: V sometimes takes another thing for the player
"""
UNIT = 10.0
"""pixels that the curves are learnt in, so that all coefficients are about as large"""


@dataclasses.dataclass
class Config:
    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Paths:
    """Places on the way: `places` (AHEAD + 2, B, 2) of successive timesteps, of which two are seen,
    `actions` (AHEAD, B) and `acts` (B,)."""

    places: torch.Tensor
    actions: torch.Tensor
    acts: torch.Tensor


def exp_tanh(c: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """c0 + c1 exp(-|c2 x|) tanh(c3 x), for coefficients (..., 4) and x (...)."""
    return c[..., 0] + c[..., 1] * torch.exp(-(c[..., 2] * x).abs()) * torch.tanh(c[..., 3] * x)


class Curves(nn.Module):
    """The coefficients of each act: 148 with eight actions."""

    def __init__(self, acts: int, actions: int):
        super().__init__()
        # Flat curves, whose tanh has a slope to begin with.
        flat = torch.tensor([0.0, 0.0, 0.5, 1.0])
        self.speed = nn.Parameter(flat.repeat(acts, 2, actions, 2, 1))
        self.place = nn.Parameter(flat.repeat(acts, 2, 2, 1))
        self.keep = nn.Parameter(torch.full((acts, 2, 2), 0.5))
        """share of the speed that stays"""

    def forward(
        self, places: torch.Tensor, speeds: torch.Tensor, actions: torch.Tensor, acts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Places and speeds (B, 2) a timestep later."""
        off = places - places.new_tensor(REST)
        ground = ((off[:, 1].abs() < LEVEL) & (speeds[:, 1].abs() < STILL)).long()
        change = exp_tanh(self.speed[acts, ground, actions], speeds / UNIT)
        change = change + exp_tanh(self.place[acts, ground], off / UNIT)
        speeds = self.keep[acts, ground] * speeds + UNIT * change
        return places + speeds, speeds


class Motion:
    def __init__(self, config: Config, shape: Shape):
        self.latent, self.curves = shape.agent.vision.latent, Curves(shape.acts, shape.actions)
        self._starts: list[np.ndarray] = []

    def parts(self) -> dict[str, nn.Module]:
        return {"curves": self.curves}

    def paths(self, data: Data, rows: np.ndarray) -> Paths:
        """What is seen of and after these rows, and one timestep before."""
        steps = np.arange(-1, AHEAD[-1] + 1)[:, None] + rows
        places = data.features[steps, self.latent - 2 : self.latent].astype(np.float32)
        actions = torch.from_numpy(data.actions[steps[1:-1]])
        return Paths(pixels(torch.from_numpy(places)), actions, torch.from_numpy(data.acts[rows]))

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Paths:
        """Of each act so many timesteps."""
        if not self._starts:
            rows = data.followed(AHEAD[-1] + 1) + 1
            acts = range(len(self.curves.keep))
            self._starts = [rows[data.acts[rows] == act] for act in acts]
        return self.paths(data, np.concatenate([rng.choice(each, size) for each in self._starts]))

    def predict(self, paths: Paths) -> torch.Tensor:
        """The places after 1, 2, ... timesteps, (AHEAD, B, 2)."""
        places, speeds, found = paths.places[1], paths.places[1] - paths.places[0], []
        for actions in paths.actions:
            places, speeds = self.curves(places, speeds, actions, paths.acts)
            found.append(places)
        return torch.stack(found)

    def loss(self, batch: Paths) -> tuple[torch.Tensor, Scalars]:
        """Huber's loss of all predicted places, summed over the acts: none shares coefficients."""
        loss = F.smooth_l1_loss(self.predict(batch), batch.places[2:], beta=BETA)
        return loss * len(self.curves.keep), {"huber": loss}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """`px1`, `px5`, means over the acts, see `lab.dreams.place_errors`; `still1`, `still5` of a
        player who stays where V sees it."""
        found = []
        for act in range(len(self.curves.keep)):
            rows = judged(data, act)
            paths = self.paths(data, rows)
            still = place_errors(paths.places[1].expand(AHEAD[-1], -1, -1), data, rows)
            figures = {key.replace("px", "still"): value for key, value in still.items()}
            found.append({**place_errors(self.predict(paths), data, rows), **figures})
        means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
        return {**means, "weights": sum(w[0].numel() for w in self.curves.parameters())}


def build(config: Config, shape: Shape) -> Motion:
    return Motion(config, shape)
