"""Worlds that policies play in, seen through the frozen V and M of a bundle.

Pangolin Dash is played natively, without the emulator; a body of another game needs it.

All that knows of frames and worlds is here; a method gets what `lab.data.Seen` holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from agent.actions import action_table
from agent.learning.rewards import TIME_LIMIT, RewardShaper
from agent.models.actor import Actor, Models
from agent.models.controller import Features
from agent.models.precision import computes_in_bfloat16
from lab.body import HOME, Body
from lab.data import Seen
from lab.emulated import EmulatedWorlds
from pangolin_dash.simulator import DIED, FINISHED, Worlds, pad_of
from pretrain.data.acts import Known
from pretrain.stage import seed_of
from retro_common.errors import UsageError

PATIENCE = 150
"""timesteps of the game without new ground after which an episode is cut short, 10 seconds. Of
another game nothing is known but the time limit"""

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
        levels: names of the acts, or of the other game's level.
        acts: int64 (N,), the worlds' places in `levels`.
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
            body: what the worlds are seen and steered through. One of another game plays its level
                in every world, and no act.

        Raises:
            UsageError: gcc is not installed, C has an encoder of its own, or it has fewer actions
                than the body.
        """
        if "pixels" in models.config.controller.features:
            raise UsageError("bundle: its C sees pixels; methods learn from what V and M see")
        self.restart, self.body = restart, body
        actions = body.combinations or models.config.actions
        if len(actions) > len(models.config.actions):
            raise UsageError(f"bundle: M knows fewer than {len(actions)} actions")
        self.levels = [body.level] if body.level else [each.name for each in known]
        self.acts = np.arange(worlds) % len(self.levels)
        self.worlds: Worlds | EmulatedWorlds
        if body.level:
            self.worlds = EmulatedWorlds(body.level, worlds, seed=seed_of(seed, 0))
            pressed = action_table(actions)
        else:
            self.worlds = native_worlds(known, self.acts, seed_of(seed, 0))
            pressed = np.array([pad_of(each.split()) for each in actions], np.uint8)
        self.pressed = pressed[body.order(models.config.actions)]
        models.vision.to(memory_format=torch.channels_last)
        self.actor = Actor(models, worlds, seed=seed_of(seed, 1))
        self.shaper = RewardShaper(models.config.reward, worlds, TIME_LIMIT // body.timesteps)
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
            worlds.step(self.pressed[actions], restart=self.restart and not left)
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

    def close(self) -> None:
        """End what plays the worlds."""
        if isinstance(self.worlds, EmulatedWorlds):
            self.worlds.close()


def native_worlds(known: Sequence[Known], acts: np.ndarray, seed: int) -> Worlds:
    """Worlds that show frames, each at the start of an act."""
    shown = {"frames": True, "patience": PATIENCE}
    worlds = Worlds([each.act for each in known], len(acts), seed=seed, **shown)
    for world, act in enumerate(acts):
        worlds.load(world, int(act))
    return worlds


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
    """The contest's rewards of whole episodes from the acts' starts, float64 (acts, episodes).

    A body of another game plays as many episodes, all of its one level: (1, acts * episodes).
    """
    count = len(known) * episodes
    arena = Arena(models, known, count, seed=seed, restart=False, body=body)
    generator = torch.Generator().manual_seed(seed_of(seed, 2))
    total = np.zeros(count)
    with contextlib.closing(arena):
        while arena.playing.any():
            total += arena.step(choose(policy(arena.seen), generator)).rewards
    return total.reshape(-1, len(arena.levels)).T
