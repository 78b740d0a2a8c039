"""M's states along recorded episodes, its dreams from them, and its dreams of what C would do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from agent.models.actor import Models
from agent.models.controller import Features
from agent.models.memory import Memory, State
from agent.models.vision import PLACE_EDGE
from lab.data import Data

SCREEN = (320, 224)
"""pixels of the game's screen"""
ROWS = 1024
"""dreams side by side"""
AHEAD = (1, 5)
"""timesteps ahead at which the player's place is judged"""
EVERY = 3
"""one of so many timesteps is judged"""


def pixels(latents: torch.Tensor) -> torch.Tensor:
    """The player's place in latents (..., Z) whose last two units are it, as `Data.places` has it:
    x and y in pixels of the game's screen, (..., 2)."""
    return (latents[..., -2:] / PLACE_EDGE + 1) / 2 * latents.new_tensor(SCREEN)


def latents_of(memory: Memory, data: Data, rows: np.ndarray) -> torch.Tensor:
    """z, the first units of the features: float32 (B, Z)."""
    return torch.from_numpy(data.features[rows, : memory.latent].astype(np.float32))


@torch.no_grad()
def states(memory: Memory, data: Data) -> State:
    """M's state before each recorded timestep, (N, H) each, from 0 at an episode's start on."""
    last = (data.ends | data.cuts)[: data.count]
    first = np.flatnonzero(np.append(True, last[:-1]))
    lengths = np.diff(np.append(first, data.count))
    order = np.argsort(-lengths, kind="stable")
    first, lengths = first[order], lengths[order]
    before = memory.initial_state(data.count)
    state = memory.initial_state(len(first))
    for t in range(lengths[0]):
        rows = first[lengths > t] + t  # the longest episodes come first
        state = State(state.h[: len(rows)], state.c[: len(rows)])
        before.h[rows], before.c[rows] = state
        actions = torch.from_numpy(data.actions[rows])
        state = memory.step(latents_of(memory, data, rows), actions, state)
    return before


@torch.no_grad()
def dream(
    memory: Memory, data: Data, before: State, rows: np.ndarray, timesteps: int
) -> torch.Tensor:
    """The latents that M expects after the timesteps of these rows, with the recorded actions.

    It sees the row's latent, and then reads its own predicted means.

    Args:
        before: see `states`.
        rows: (R,), each with so many timesteps behind it (`Data.followed`).

    Returns:
        (timesteps, R, Z): latents of 1, 2, ... timesteps later.
    """
    found = torch.empty(timesteps, len(rows), memory.latent)
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        here = rows[part]
        z, state = latents_of(memory, data, here), State(before.h[here], before.c[here])
        for t in range(timesteps):
            state = memory.step(z, torch.from_numpy(data.actions[here + t]), state)
            z = memory.predict(state.h, z).mean()
            found[t, part] = z
    return found


@dataclass
class Ends:
    """Where N dreams have come to, and what M expects on the way."""

    z: torch.Tensor
    """(N, Z)"""
    h: torch.Tensor
    """(N, H), M's hidden state, which C would see beside z"""
    rewards: torch.Tensor
    """sum of the contest's rewards, (N,)"""
    ending: torch.Tensor
    """chance that the episode ends on the way, (N,); too high, since ends weighed ten times as much
    when M learnt"""


@torch.no_grad()
def imagine(
    models: Models, z: torch.Tensor, state: State, timesteps: int, generator: torch.Generator
) -> Ends:
    """Dream on from latents (N, Z) and M's states (N, H): C acts, and M reads its own means.

    Args:
        models: C sees z and h alone.
        generator: draws C's actions.
    """
    memory, scale = models.memory, models.config.reward.scale
    rewards, lasting = torch.zeros(len(z)), torch.ones(len(z))
    for _ in range(timesteps):
        log_probs, _ = models.controller(Features(z, state.h))
        actions = torch.multinomial(log_probs.exp(), 1, generator=generator).squeeze(1)
        state = memory.step(z, actions, state)
        said = memory.predict(state.h, z)
        z, rewards = said.mean(), rewards + said.reward / scale
        lasting = lasting * (1 - said.end_logit.sigmoid())
    return Ends(z, state.h, rewards, 1 - lasting)


def judged(data: Data, act: int) -> np.ndarray:
    """Timesteps of an act from which the player's place is predicted: one is known before each,
    and `AHEAD` behind."""
    rows = data.followed(AHEAD[-1] + 1) + 1
    return rows[data.acts[rows] == act][::EVERY]


def place_errors(places: torch.Tensor, data: Data, rows: np.ndarray) -> dict[str, float]:
    """`px1`, `px5`: mean absolute error of x and y in pixels, so many timesteps ahead.

    Args:
        places: predicted for 1, 2, ... timesteps after these rows, (`AHEAD`, R, 2).
    """
    found = {}
    for ahead in AHEAD:
        truth = torch.from_numpy(data.places[rows + ahead])
        found[f"px{ahead}"] = float((places[ahead - 1] - truth).abs().mean())
    return found
