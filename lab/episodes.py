"""Episodes of recorded data, found by act and place: what a policy can be prompted by.

A place is the sum of the contest's rewards that an episode has earned so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lab.data import Data

MOST = 4
"""episodes in a prompt"""
POOL = 12
"""best episodes that prompts to learn from are drawn from"""
NEAR = 100.0
"""points of the contest's reward, of the 9,000 of an act's length, within which an episode passes
a place; five timesteps or so"""
AROUND = np.arange(-3, 5)
"""timesteps of an episode in a prompt, around the one where it passes"""


@dataclass
class Prompts:
    """Timesteps of other episodes, K for each of B timesteps."""

    z: torch.Tensor
    """(B, K, Z)"""
    gaps: torch.Tensor
    """the rewards of their episodes so far less those of the timestep's, in `NEAR`, (B, K)"""
    actions: torch.Tensor
    """int64 (B, K)"""
    known: torch.Tensor
    """bool (B, K); the others are to be ignored"""


class Episodes:
    """The episodes of recorded data, found by act and place."""

    def __init__(self, data: Data):
        self.data, self.earned = data, data.earned()
        last = data.left() == 0
        self.stops = np.flatnonzero(last) + 1
        self.starts = np.concatenate([[0], self.stops[:-1]])
        self.of = np.repeat(np.arange(len(self.stops)), self.stops - self.starts)
        """the episode of each timestep, (N,)"""
        self.lowest = np.minimum.reduceat(self.earned, self.starts)
        self.highest = np.maximum.reduceat(self.earned, self.starts)
        # Within an episode by place: one search finds a place in any episode.
        self.span = 2 * np.abs(self.earned).max() + 2 * NEAR
        self.order = np.lexsort((self.earned, self.of))
        self.keys = self.of * self.span + self.earned[self.order]
        acts, returns = data.acts[self.starts], data.returns()[self.starts]
        own = [np.flatnonzero(acts == act) for act in range(acts.max() + 1)]
        self.ranked = np.full((len(own), max(map(len, own))), -1)
        """the episodes of each act, the best one first; -1 behind the last one"""
        for act, each in enumerate(own):
            self.ranked[act, : len(each)] = each[np.argsort(-returns[each], kind="stable")]

    def best(
        self,
        acts: np.ndarray,
        earned: np.ndarray,
        own: np.ndarray,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """The best episodes of acts (B,) that pass places (B,), int64 (B, MOST); -1 for none.

        Args:
            own: episodes (B,) that are not to be found, -1 for none.
            rng: draws them from the `POOL` best; none finds the best, the first ones first.
        """
        ranked, here = self.ranked[acts], earned[:, None]
        passes = (ranked >= 0) & (ranked != own[:, None])
        passes &= (self.lowest[ranked] <= here + NEAR) & (self.highest[ranked] >= here - NEAR)
        order = np.broadcast_to(np.linspace(0, 1, ranked.shape[1]), ranked.shape)
        if rng is not None:
            passes &= passes.cumsum(axis=1) <= POOL
            order = rng.random(ranked.shape)
        first = np.argsort(np.where(passes, order, 2), axis=1)[:, :MOST]
        found = np.take_along_axis(np.where(passes, ranked, -1), first, axis=1)
        return np.pad(found, ((0, 0), (0, MOST - found.shape[1])), constant_values=-1)

    def prompts(self, episodes: np.ndarray, earned: np.ndarray, latent: int) -> Prompts:
        """What episodes (B, P) did around places (B,); episodes -1 stay unknown."""
        rows, known = self.around(episodes, earned)
        data, gaps = self.data, (self.earned[rows] - earned[:, None]) / NEAR
        return Prompts(
            torch.from_numpy(data.features[:, :latent][rows].astype(np.float32)),
            torch.from_numpy(gaps.astype(np.float32)),
            torch.from_numpy(data.actions[rows]),
            torch.from_numpy(known),
        )

    def around(self, episodes: np.ndarray, earned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices (B, K) of timesteps around the places, and which of them there are."""
        start, stop = self.starts[episodes], self.stops[episodes]
        at = np.searchsorted(self.keys, episodes * self.span + earned[:, None])
        two = np.stack([at - 1, at]).clip(start, stop - 1)
        before, after = np.abs(self.earned[self.order[two]] - earned[:, None])
        nearest = self.order[np.where(before < after, *two)]
        rows = nearest[..., None] + AROUND
        known = (rows >= start[..., None]) & (rows < stop[..., None]) & (episodes >= 0)[..., None]
        shape = len(rows), episodes.shape[1] * len(AROUND)
        return np.where(known, rows, 0).reshape(shape), known.reshape(shape)
