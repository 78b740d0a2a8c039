"""RCAD: be unsure where an adversary would lead (arXiv 2206.01367), on V's player finder.

The finder is a softmax over 16 x 16 cells; see `agent.models.vision.PlayerFinder`. RCAD moves each
input a long way along the gradient of its own loss, x' = x + alpha g / |g|, where a network that
has learnt the wrong thing is sure and wrong, and maximises the entropy of what is predicted there:
loss = cross-entropy(x) + weight (log K - H(p(x'))), no gradient passing through x'.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agent.models.precision import computes_in_bfloat16
from agent.models.vision import MAP_SIZE, PlayerFinder, place_target, to_input
from lab.data import Data
from lab.dreams import SCREEN
from lab.method import Scalars, Shape
from retro_common.config import FORBID_UNKNOWN, Fraction, NotNegative, Rate

FAR = 8.0
"""pixels of the game's screen from the player on which the finder has missed it"""
BINS = 15
"""of equal width, of the confidence, in the calibration error"""
FRAMES, NOISE, CHUNK = 4096, 256, 256
"""frames that figures are taken on, frames of noise, and frames at once"""


@dataclasses.dataclass
class Config:
    loss: Literal["plain", "smoothing", "rcad"] = "rcad"
    """cross-entropy; with label smoothing; or with RCAD's term"""
    smoothing: Fraction = 0.1
    """share of the labels that label smoothing spreads over all cells"""
    step: Rate = 1.0
    """alpha, in the L2 norm of a whole frame (3, 64, 64) of values in 0..1"""
    weight: NotNegative = 0.2
    """of the entropy's term"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Frames:
    """Frames (B, 3, 64, 64) in 0..1, and the players' places as shares of cells, (B, K)."""

    inputs: torch.Tensor
    targets: torch.Tensor


class RCAD:
    def __init__(self, config: Config, shape: Shape):
        self.config = config
        self.finder = PlayerFinder().to(memory_format=torch.channels_last)
        self.bfloat16 = computes_in_bfloat16("auto", torch.device("cpu"))

    def parts(self) -> dict[str, nn.Module]:
        return {"finder": self.finder}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Frames:
        return self.frames(data, rng.integers(len(data), size=size))

    def frames(self, data: Data, rows: np.ndarray) -> Frames:
        assert data.frames is not None, "frames are not kept while playing"
        places = torch.from_numpy(data.places[rows]) / torch.tensor(SCREEN) * 2 - 1
        return Frames(to_input(data.frames(rows)), place_target(places, MAP_SIZE).flatten(1))

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, K) of K cells."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            return self.finder(inputs).flatten(1).float()

    def loss(self, batch: Frames) -> tuple[torch.Tensor, Scalars]:
        config, inputs = self.config, batch.inputs
        smoothing = config.smoothing if config.loss == "smoothing" else 0.0
        rcad = config.loss == "rcad"
        inputs.requires_grad_(rcad)
        loss = F.cross_entropy(self.logits(inputs), batch.targets, label_smoothing=smoothing)
        scalars: Scalars = {"cross_entropy": loss}
        if rcad:
            gradient = torch.autograd.grad(loss, inputs, retain_graph=True)[0]
            gradient = F.normalize(gradient.flatten(1), dim=1).view_as(inputs)
            moved = (inputs + config.step * gradient).detach()
            scalars["entropy"] = entropy(self.logits(moved)).mean()
            loss = loss + config.weight * (math.log(MAP_SIZE**2) - scalars["entropy"])
        return loss, scalars

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """`far`, the share of frames in which the place, next to the likeliest cell, is more than
        `FAR` from the true one; `px`, the median distance; `nll` of the true places;
        `calibration`, see `calibration_error`; `confidence`, the mean share of the likeliest cell,
        and the same on frames of noise, `noise`."""
        rows = np.sort(rng.choice(len(data), min(FRAMES, len(data)), replace=False))
        logits, targets = [], []
        for first in range(0, len(rows), CHUNK):
            batch = self.frames(data, rows[first : first + CHUNK])
            logits.append(self.logits(batch.inputs))
            targets.append(batch.targets)
        found, target = torch.cat(logits), torch.cat(targets)
        maps = found.unflatten(1, (MAP_SIZE, MAP_SIZE))
        places = self.finder.place_near(maps, found.argmax(1))
        off = (places + 1) / 2 * torch.tensor(SCREEN) - torch.from_numpy(data.places[rows])
        distance = off.norm(dim=1)
        noise = rng.integers(256, size=(NOISE, 64, 64, 3), dtype=np.uint8)
        return {
            "far": (distance > FAR).float().mean(),
            "px": distance.median(),
            "nll": F.cross_entropy(found, target),
            "calibration": calibration_error(found.softmax(1), target),
            "confidence": found.softmax(1).amax(1).mean(),
            "noise": self.logits(to_input(noise)).softmax(1).amax(1).mean(),
        }


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """In nats, (B,), of logits (B, K)."""
    log_probs = logits.log_softmax(1)
    return -(log_probs.exp() * log_probs).sum(1)


def calibration_error(shares: torch.Tensor, targets: torch.Tensor) -> float:
    """The expected calibration error (arXiv 1706.04599): the mean difference between the share of
    the likeliest cell, (B, K), and how much of the player's place it holds, in bins of that share.

    A place between cells is shared by the nearest four, and so is what the likeliest cell holds.
    """
    confidence, cell = shares.max(dim=1)
    held = targets.gather(1, cell.unsqueeze(1)).squeeze(1)
    number = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS).index_add_(0, number, confidence - held)
    return float(gaps.abs().sum() / len(confidence))


def build(config: Config, shape: Shape) -> RCAD:
    return RCAD(config, shape)
