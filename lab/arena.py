"""Worlds that policies play in, seen through the frozen V and M of a bundle, without the emulator.

All that knows of frames and worlds is here; a method gets what `lab.data.Seen` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from agent.learning.rewards import TIME_LIMIT, RewardShaper
from agent.models.actor import Actor, Models
from agent.models.controller import Features
from agent.models.precision import computes_in_bfloat16
from lab.body import HOME, Body
from lab.data import Seen
from pangolin_dash.simulator import DIED, FINISHED, Worlds, pad_of
from pretrain.data.acts import Known
from pretrain.stage import seed_of
from retro_common.errors import UsageError

PATIENCE = 150
"""timesteps of the game without new ground after which an episode is cut short, 10 seconds"""

Policy = Callable[[Seen], torch.Tensor]
"""log-probabilities (N, A) of the actions, given what N worlds show"""


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
        features: what C sees of every world.
        frames: uint8 (N, 64, 64, 3), what the worlds show.
        acts: int64 (N,), the worlds' acts.
        earned: float64 (N,), the contest's rewards of the worlds' episodes so far.
        actor: holds M's state, and acts with the C of `models`.
    """

    def __init__(
        self,
        models: Models,
        known: Sequence[Known],
        worlds: int,
        *,
        seed: int,
        restart: bool = True,
        body: Body = HOME,
    ):
        """
        Args:
            restart: episode follows episode. Otherwise a world whose episode has ended stays as
                it is; its features are of no use then.
            body: what the worlds are seen and steered through.

        Raises:
            UsageError: gcc is not installed, or C has an encoder of its own.
        """
        if "pixels" in models.config.controller.features:
            raise UsageError("bundle: its C sees pixels; methods learn from what V and M see")
        self.restart, self.body = restart, body
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
        self.actor = Actor(models, worlds, seed=seed_of(seed, 1))
        self.shaper = RewardShaper(models.config.reward, worlds, TIME_LIMIT // body.timesteps)
        pads = np.array([pad_of(each.split()) for each in models.config.actions], np.uint8)
        self.pads = pads[body.order(models.config.actions)]
        self.earned = np.zeros(worlds)
        self.playing = np.ones(worlds, bool)
        """which worlds are within an episode"""
        self._drawn = self.worlds.draw_small()
        self._z = torch.zeros(worlds, models.config.vision.latent)
        self._look()

    @torch.inference_mode()
    def _look(self) -> None:
        """The features of the worlds that are within an episode."""
        self.worlds.draw_small(self._drawn)
        self.frames = self.body.sees(self._drawn)
        rows = np.flatnonzero(self.playing)
        # V takes nearly all of the time: it looks at nothing in vain, and in bfloat16 if it can.
        bfloat16 = computes_in_bfloat16("auto", torch.device("cpu"))
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            seen = self.actor.observe(self.frames[rows])
        self._z = self._z.index_copy(0, torch.from_numpy(rows), seen.z.float())
        self.features: Features = seen._replace(z=self._z)

    @property
    def seen(self) -> Seen:
        """What methods see of every world."""
        features = torch.cat([each for each in self.features if each is not None], dim=1)
        bodies = torch.full((len(self.acts),), self.body.number)
        return Seen(
            features,
            torch.from_numpy(self.acts),
            frames=self.frames,
            bodies=bodies,
            earned=self.earned,
            cells=self.actor.state.c,
        )

    def step(self, actions: np.ndarray) -> Outcome:
        """Play a timestep of the body: actions int64 (N,)."""
        worlds, played = self.worlds, np.zeros(len(self.acts), np.float32)
        for left in reversed(range(self.body.timesteps)):
            # A world whose episode is over waits for the next timestep of the body.
            worlds.step(self.pads[actions], restart=self.restart and not left)
            played += worlds.rewards
        ended = (worlds.over > 0) & self.playing
        ends = ended & ((worlds.over == DIED) | (worlds.over == FINISHED))
        cuts = ended & ~ends
        rewards = np.where(self.playing, played, 0)
        shaped = self.shaper(rewards, ended, cuts)
        self.earned = np.where(ended, 0, self.earned + rewards)
        self.actor.remember(self.features, torch.from_numpy(actions), rewards, ended)
        if not self.restart:
            self.playing &= ~ended
        self._look()
        return Outcome(rewards, shaped, ends, cuts)


def choose(log_probs: torch.Tensor, generator: torch.Generator) -> np.ndarray:
    """An action of each row, int64 (N,), drawn from log-probabilities (N, A)."""
    return torch.multinomial(log_probs.exp(), 1, generator=generator).squeeze(1).numpy()


@torch.inference_mode()
def scores(
    models: Models,
    known: Sequence[Known],
    policy: Policy,
    episodes: int,
    seed: int,
    body: Body = HOME,
) -> np.ndarray:
    """The contest's rewards of whole episodes from the acts' starts, float64 (acts, episodes)."""
    count = len(known) * episodes
    arena = Arena(models, known, count, seed=seed, restart=False, body=body)
    generator = torch.Generator().manual_seed(seed_of(seed, 2))
    total = np.zeros(count)
    while arena.playing.any():
        total += arena.step(choose(policy(arena.seen), generator)).rewards
    return total.reshape(episodes, len(known)).T
