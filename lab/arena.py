"""Worlds that policies play in, seen through the frozen V and M of a bundle, without the emulator.

All that knows of frames and worlds is here; a method sees features alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from agent.learning.rewards import RewardShaper
from agent.models.actor import Models
from agent.models.memory import State
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import to_input
from pangolin_dash.simulator import DIED, FINISHED, Worlds, pad_of
from pretrain.data.acts import Known
from pretrain.stage import seed_of

PATIENCE = 150
"""timesteps without new ground after which an episode is cut short, 10 seconds"""

Policy = Callable[[torch.Tensor, np.ndarray], torch.Tensor]
"""log-probabilities (N, A) of features (N, F) in the acts with these numbers (N,)"""


@dataclass
class Outcome:
    """What a timestep brought, each (N,)."""

    rewards: np.ndarray
    """the contest's, float32"""
    shaped: np.ndarray
    """those that methods learn from, see `agent.learning.rewards`, float32"""
    ends: np.ndarray
    """bool: a life was lost, or the level's end reached; nothing is earned after it"""
    cuts: np.ndarray
    """bool: the episode was cut short, by the time limit or without new ground"""


class Arena:
    """Worlds side by side; world w plays act w modulo their number, episode after episode.

    Attributes:
        features: float32 (N, F), z and h of every world.
        frames: uint8 (N, 64, 64, 3), what the worlds show.
        acts: int64 (N,), the worlds' acts.
    """

    def __init__(
        self,
        models: Models,
        known: Sequence[Known],
        worlds: int,
        *,
        seed: int,
        restart: bool = True,
    ):
        """
        Args:
            restart: episode follows episode. Otherwise a world whose episode has ended stays as
                it is; its features are of no use then.

        Raises:
            UsageError: gcc is not installed.
        """
        self.models, self.restart = models, restart
        self.worlds = Worlds(
            [each.act for each in known],
            worlds,
            seed=seed_of(seed, 0),
            patience=PATIENCE,
            frames=True,
        )
        self.acts = np.arange(worlds) % len(known)
        for world, act in enumerate(self.acts):
            self.worlds.load(world, int(act))
        models.vision.to(memory_format=torch.channels_last)
        self.shaper = RewardShaper(models.config.reward, worlds)
        self.pads = np.array([pad_of(each.split()) for each in models.config.actions], np.uint8)
        self.playing = np.ones(worlds, bool)
        """which worlds are within an episode"""
        self.state = models.memory.initial_state(worlds, torch.device("cpu"))
        self.frames = self.worlds.draw_small()
        self.z = torch.zeros(worlds, models.config.vision.latent)
        self._look()

    @torch.inference_mode()
    def _look(self) -> None:
        """The features of the worlds that are within an episode."""
        self.worlds.draw_small(self.frames)
        rows = torch.from_numpy(np.flatnonzero(self.playing))
        if len(rows):
            device = torch.device("cpu")
            bfloat16 = computes_in_bfloat16("auto", device)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                seen, _ = self.models.vision.encode(to_input(self.frames[rows.numpy()]))
            self.z[rows] = seen.float()
        self.features = torch.cat([self.z, self.state.h], dim=1)

    @torch.inference_mode()
    def step(self, actions: np.ndarray) -> Outcome:
        """Play a timestep: actions int64 (N,)."""
        worlds = self.worlds
        worlds.step(self.pads[actions], restart=self.restart)
        ended = (worlds.over > 0) & self.playing
        ends = ended & ((worlds.over == DIED) | (worlds.over == FINISHED))
        cuts = ended & ~ends
        rewards = np.where(self.playing, worlds.rewards, 0)
        shaped = self.shaper(rewards, ended, cuts)
        self.state = self.models.memory.step(self.z, torch.from_numpy(actions), self.state)
        if ended.any():
            keep = torch.from_numpy(~ended).float().unsqueeze(1)
            self.state = State(self.state.h * keep, self.state.c * keep)
        if not self.restart:
            self.playing &= ~ended
        self._look()
        return Outcome(rewards, shaped, ends, cuts)


def choose(log_probs: torch.Tensor, generator: torch.Generator) -> np.ndarray:
    """An action of each row, int64 (N,), drawn from log-probabilities (N, A)."""
    return torch.multinomial(log_probs.exp(), 1, generator=generator).squeeze(1).numpy()


@torch.inference_mode()
def scores(
    models: Models, known: Sequence[Known], policy: Policy, episodes: int, seed: int
) -> np.ndarray:
    """The contest's rewards of whole episodes from the acts' starts, float64 (acts, episodes)."""
    count = len(known) * episodes
    arena = Arena(models, known, count, seed=seed, restart=False)
    generator = torch.Generator().manual_seed(seed_of(seed, 1))
    total = np.zeros(count)
    while arena.playing.any():
        total += arena.step(choose(policy(arena.features, arena.acts), generator)).rewards
    return total.reshape(episodes, len(known)).T
