"""Recorded episodes encoded by V and M, and M's open-loop predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from agent.models.actor import Models
from agent.models.memory import Memory
from agent.models.vision import sample, to_input
from analysis import measure
from pretrain.data.shards import Shard
from pretrain.stages.memory import CONTEXT, OPEN_LOOP
from retro_common.errors import UsageError

HORIZONS = (1, 5, 15, OPEN_LOOP)
"""timesteps ahead at which an open loop is evaluated"""
NEEDED = ("x", "y", "screen_x", "screen_y", "speed_x", "speed_y", "on_ground")


@dataclass
class EncodedEpisodes:
    """Some shards, encoded by V and M; N timesteps in all."""

    frames: np.ndarray
    """uint8 (N, 64, 64, 3)"""
    mean: np.ndarray
    """of V's posterior, (N, Z)"""
    logvar: np.ndarray
    """of V's posterior, (N, Z)"""
    z: np.ndarray
    """a sample of the posterior, (N, Z)"""
    before: np.ndarray
    """M's hidden state before each timestep, (N, H)"""
    after: np.ndarray
    """M's hidden state after each timestep, (N, H)"""
    actions: np.ndarray
    """int64 (N,)"""
    rewards: np.ndarray
    """scaled, (N,)"""
    ends: np.ndarray
    """whether the episode ended with the timestep, (N,)"""
    goes_on: np.ndarray
    """whether the next row is the next timestep of the same episode, bool (N,)"""
    screen: np.ndarray
    """the player's place on the screen in pixels, (N, 2)"""
    speed: np.ndarray
    """the player's speed, (N, 2)"""
    ground: np.ndarray
    """whether the player stands on ground, (N,)"""
    starts: np.ndarray
    """the row where the row's episode begins, (N,)"""
    level: np.ndarray
    """the level's name, str (N,)"""

    def half(self, which: int) -> EncodedEpisodes:
        """Every second episode."""
        number = np.unique(self.starts, return_inverse=True)[1]
        rows = number % 2 == which
        parts = {name: array[rows] for name, array in vars(self).items() if name != "starts"}
        position = np.cumsum(rows) - 1
        return EncodedEpisodes(**parts, starts=position[self.starts[rows]])


@torch.inference_mode()
def run_through(models: Models, shards: list[Shard], reward_scale: float) -> EncodedEpisodes:
    """Encode every frame and step M along every episode."""
    names = shards[0].variable_names
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise UsageError(f"report: the game has no RAM variable {missing[0]!r}: only Pangolin Dash")
    columns: dict[str, list[np.ndarray]] = {field: [] for field in EncodedEpisodes.__annotations__}
    generator, rows = torch.Generator().manual_seed(0), 0
    for shard in shards:
        for episode in shard.episodes(0):
            frames = shard.frames(episode.first, episode.last)
            parts = [models.vision.encode(to_input(chunk)) for chunk in chunks(frames, 256)]
            mean, logvar = (torch.cat(column) for column in zip(*parts, strict=True))
            span = slice(episode.first, episode.last)
            actions = torch.from_numpy(np.array(shard.actions[span]))
            after, _ = models.memory(
                mean.unsqueeze(0), actions.unsqueeze(0), models.memory.initial_state(1)
            )
            after = after[0]
            values = dict(zip(names, np.array(shard.variables[span]).T, strict=True))
            length = episode.last - episode.first
            columns["frames"].append(frames)
            columns["mean"].append(mean.numpy())
            columns["logvar"].append(logvar.numpy())
            columns["z"].append(sample(mean, logvar, generator).numpy())
            columns["after"].append(after.numpy())
            columns["before"].append(torch.cat([torch.zeros_like(after[:1]), after[:-1]]).numpy())
            columns["actions"].append(actions.numpy())
            columns["rewards"].append(np.array(shard.rewards[span]) * reward_scale)
            columns["ends"].append(np.array(shard.ends[span]))
            columns["goes_on"].append(np.arange(length) < length - 1)
            centre = values["y"] - measure.PLAYER_RADIUS - values["screen_y"]
            columns["screen"].append(np.stack([values["x"] - values["screen_x"], centre], axis=1))
            columns["speed"].append(np.stack([values["speed_x"], values["speed_y"]], axis=1))
            columns["ground"].append(values["on_ground"])
            columns["starts"].append(np.full(length, rows))
            columns["level"].append(np.full(length, shard.level.split("/")[-1]))
            rows += length
    return EncodedEpisodes(**{name: np.concatenate(parts) for name, parts in columns.items()})


def chunks(array: np.ndarray, size: int) -> list[np.ndarray]:
    return [array[first : first + size] for first in range(0, len(array), size)]


@torch.inference_mode()
def hidden_before(memory: Memory, data: EncodedEpisodes) -> np.ndarray:
    """Another M's hidden state before each timestep of the same rollouts, (N, H)."""
    hidden = np.zeros((len(data.mean), memory.config.hidden), np.float32)
    for first in np.unique(data.starts):
        rows = np.flatnonzero(data.starts == first)
        z, actions = torch.from_numpy(data.mean[rows]), torch.from_numpy(data.actions[rows])
        after, _ = memory(z.unsqueeze(0), actions.unsqueeze(0), memory.initial_state(1))
        hidden[rows[1:]] = after[0, :-1].numpy()
    return hidden


def transitions(data: EncodedEpisodes) -> tuple[np.ndarray, np.ndarray]:
    """Rows that have a next timestep, and the rows of those next timesteps."""
    now = np.flatnonzero(data.goes_on)
    return now, now + 1


def rollout_starts(data: EncodedEpisodes) -> np.ndarray:
    """Rows from which CONTEXT + HORIZONS[-1] timesteps of one episode follow, side by side."""
    length = CONTEXT + HORIZONS[-1]
    rows = np.arange(0, len(data.mean) - length, length)
    rows = rows[data.starts[rows] == data.starts[rows + length - 1]]
    if not len(rows):
        raise UsageError(f"report: no episode has {length} timesteps")
    return rows


@torch.inference_mode()
def imagine(memory: Memory, data: EncodedEpisodes, first: np.ndarray) -> list[torch.Tensor]:
    """Latents (R, Z) predicted for OPEN_LOOP timesteps, after CONTEXT timesteps from each row.

    M starts from an empty state.
    """
    mean, state, dreamt = torch.from_numpy(data.mean), memory.initial_state(len(first)), []
    for t in range(CONTEXT + HORIZONS[-1] - 1):
        z = dreamt[-1] if t >= CONTEXT else mean[first + t]
        state = memory.step(z, torch.from_numpy(data.actions[first + t]), state)
        if t >= CONTEXT - 1:
            dreamt.append(memory.predict(state.h, z).mean())
    return dreamt
