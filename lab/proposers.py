"""Proposers: given what a policy sees, a goal for each world and a word for it.

A vision-language model would be one more of them. Two need none: recorded states, whose words come
from the game's memory, and the ends of M's dreams, of which nobody knows more than M says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from agent.models.actor import Models
from agent.models.memory import State
from lab.data import Data, Seen
from lab.describe import WORDS, describe
from lab.dreams import Ends, imagine

REACH = 5.0, 15.0
"""expected timesteps to a recorded state that is proposed"""
CANDIDATES = 128
"""states that a proposal is chosen from, of the recorded ones and as many of the played ones"""
NEIGHBOURS = 5
"""a state is as rare as its distance, in z, to so many nearest of the others is long"""
DREAMT = 15
"""timesteps that M dreams"""
STANDS = 90.0
"""points of the contest's reward along the way: three timesteps at top speed"""
SAID_BY_M = ("the episode ends", "goes on", "goes back", "stays")
"""words of dreams"""


@dataclass
class Goals:
    """N goals."""

    features: torch.Tensor
    """float32 (N, F): z and h, side by side"""
    words: list[str]
    places: np.ndarray
    """how far along the way they lie, by the contest's rewards since the episode began, float64
    (N,); or are thought to lie"""


class Proposer(Protocol):
    """Whoever proposes goals."""

    def propose(self, seen: Seen, rng: np.random.Generator) -> Goals:
        """A goal and a word for each of N worlds.

        Args:
            seen: `frames` uint8 (N, 64, 64, 3); `features` (N, F), z and h; and for those who use
                it the number of the act, M's cells, and the rewards so far.
        """


Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""expected timesteps (N,) from features (N, F) to goals (N, F)"""


class Recorded:
    """Recorded and played states of the act: of those in reach the rarest, the frontier of what is
    known; if none is in reach, the nearest. The word is a rule's over the game's memory."""

    def __init__(self, sources: Sequence[Data], latent: int, distance: Distance):
        """
        Args:
            sources: may grow.
            latent: Z, the features that states are compared by.
        """
        self.sources, self.latent, self.distance = sources, latent, distance

    def propose(self, seen: Seen, rng: np.random.Generator) -> Goals:
        chosen = [self._one(seen.of(np.array([world])), rng) for world in range(len(seen.features))]
        features = torch.cat([each.features for each in chosen])
        places = np.concatenate([each.places for each in chosen])
        return Goals(features, [each.words[0] for each in chosen], places)

    def _one(self, seen: Seen, rng: np.random.Generator) -> Goals:
        """Of one world."""
        act, features, places, memory = int(seen.acts[0]), [], [], []
        for data in self.sources:
            rows = np.flatnonzero(data.acts[: len(data)] == act)
            if len(rows):
                rows = rng.choice(rows, CANDIDATES)
                features.append(data.seen(rows).features)
                places.append(data.earned()[rows])
                memory.append(data.memory[rows])
        found = torch.cat(features)
        latents = found[:, : self.latent]
        far = self.distance(seen.features.expand(len(found), -1), found)
        near = torch.nonzero((far >= REACH[0]) & (far <= REACH[1])).squeeze(1)
        if len(near):
            apart = torch.cdist(latents[near], latents).sort(dim=1).values
            best = int(near[int(apart[:, 1 : 1 + NEIGHBOURS].mean(1).argmax())])
        else:
            best = int((far - REACH[0]).abs().argmin())
        word = WORDS[describe(np.concatenate(memory)[[best]])[0]]
        return Goals(found[[best]], [word], np.concatenate(places)[[best]])


class Dreams:
    """Ends of M's dreams of what C would do from here.

    A dream has no memory to read, so the rules cannot name its end. M itself says the word: from
    its expected rewards, and from its chance that the episode ends. Both may be wrong.
    """

    def __init__(self, models: Models):
        self.models = models

    def propose(self, seen: Seen, rng: np.random.Generator) -> Goals:
        assert seen.cells is not None and seen.earned is not None, "worlds that are played"
        hidden = seen.cells.shape[1]
        z, h = seen.features.split([seen.features.shape[1] - hidden, hidden], dim=1)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        ends = imagine(self.models, z, State(h, seen.cells), DREAMT, generator)
        features = torch.cat([ends.z, ends.h], dim=1)
        return Goals(features, said_by_m(ends), seen.earned + ends.rewards.double().numpy())


def said_by_m(ends: Ends) -> list[str]:
    """A word for each of N dreams, of `SAID_BY_M`."""
    ending, rewards = ends.ending.numpy(), ends.rewards.numpy()
    true = [ending >= 0.5, rewards > STANDS, rewards < -STANDS, np.ones(len(rewards), bool)]
    return [SAID_BY_M[i] for i in np.argmax(np.stack(true), axis=0)]
