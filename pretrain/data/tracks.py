"""Tracking the player through recorded frames: the likeliest path, by Viterbi's algorithm."""

from __future__ import annotations

import torch
from torch.nn import functional as F

REACH = 2
"""cells that the player moves at most in one timestep, in x and in y"""
COST = 0.3
"""nats per cell of distance"""
FLOOR = -8.0
"""nats; floor of the log-likelihood of every cell: the player may be hidden for a while"""
IMPOSSIBLE = -1e9


def likeliest_paths(logits: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """The cell of the player in each frame, given that it is in every frame and does not jump.

    Args:
        logits: (N, T, S, S) of N sequences, for each frame by itself.
        starts: bool (N, T), whether an episode begins with the frame; there the player may jump.

    Returns:
        The cell of each frame, row * S + column, int64 (N, T); the likelihood of a sequence is the
        product of the frames' (Viterbi, IEEE Transactions on Information Theory 13, 1967).
    """
    count, length, size, _ = logits.shape
    observed = logits.flatten(2).log_softmax(dim=2).clamp_min(FLOOR).view_as(logits)
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    steps = torch.arange(-REACH, REACH + 1).float()
    costs = COST * (steps[:, None].square() + steps[None].square()).sqrt().flatten()
    window, cells = 2 * REACH + 1, size * size
    best = torch.empty_like(observed)
    best[:, 0] = observed[:, 0]
    for t in range(1, length):
        before = F.pad(best[:, t - 1 : t], (REACH,) * 4, value=IMPOSSIBLE)
        before = F.unfold(before, window).view(count, window**2, cells)
        moved = (before - costs[:, None]).amax(dim=1).view(count, size, size)
        highest = best[:, t - 1].amax(dim=(1, 2), keepdim=True)
        moved = torch.where(starts[:, t, None, None], highest, moved)
        best[:, t] = observed[:, t] + moved - highest  # relative, so that long sums stay exact
    paths = torch.empty(count, length, dtype=torch.int64)
    paths[:, -1] = best[:, -1].flatten(1).argmax(dim=1)
    for t in range(length - 2, -1, -1):
        following = paths[:, t + 1, None, None]
        down, across = (following // size - row).abs(), (following % size - column).abs()
        cost = COST * (down.square() + across.square()).sqrt()
        cost = cost.masked_fill((down > REACH) | (across > REACH), -IMPOSSIBLE)
        cost = torch.where(starts[:, t + 1, None, None], 0.0, cost)
        paths[:, t] = (best[:, t] - cost).flatten(1).argmax(dim=1)
    return paths
