"""Following one thing through a film: the likeliest path, by Viterbi's algorithm."""

from __future__ import annotations

import torch
from torch.nn import functional as F

REACH = 2
"""cells that the thing moves at most in one timestep, in x and in y"""
COST = 0.3
"""nats per cell of distance"""
FLOOR = -8.0
"""nats; it is never less likely than this to be anywhere: for a while it may not be visible"""
IMPOSSIBLE = -1e9


def likeliest_paths(logits: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Where a thing was in each frame, if there is one in each frame and it does not jump.

    Args:
        logits: (N, T, S, S), of N films: how likely it is in each cell of each frame alone.
        starts: bool (N, T), whether a new episode begins with the frame; there it may jump.

    Returns:
        The cell of each frame, row * S + column, int64 (N, T). The film's likelihood is the product
        of the frames' (Viterbi, IEEE Transactions on Information Theory 13, 1967).
    """
    films, length, size, _ = logits.shape
    seen = logits.flatten(2).log_softmax(dim=2).clamp_min(FLOOR).view_as(logits)
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    steps = torch.arange(-REACH, REACH + 1).float()
    costs = COST * (steps[:, None].square() + steps[None].square()).sqrt().flatten()
    window, cells = 2 * REACH + 1, size * size
    best = torch.empty_like(seen)
    best[:, 0] = seen[:, 0]
    for t in range(1, length):
        before = F.pad(best[:, t - 1 : t], (REACH,) * 4, value=IMPOSSIBLE)
        before = F.unfold(before, window).view(films, window**2, cells)
        moved = (before - costs[:, None]).amax(dim=1).view(films, size, size)
        highest = best[:, t - 1].amax(dim=(1, 2), keepdim=True)
        moved = torch.where(starts[:, t, None, None], highest, moved)
        best[:, t] = seen[:, t] + moved - highest  # relative: sums of a long film stay exact
    paths = torch.empty(films, length, dtype=torch.int64)
    paths[:, -1] = best[:, -1].flatten(1).argmax(dim=1)
    for t in range(length - 2, -1, -1):
        following = paths[:, t + 1, None, None]
        down, across = (following // size - row).abs(), (following % size - column).abs()
        cost = COST * (down.square() + across.square()).sqrt()
        cost = cost.masked_fill((down > REACH) | (across > REACH), -IMPOSSIBLE)
        cost = torch.where(starts[:, t + 1, None, None], 0.0, cost)
        paths[:, t] = (best[:, t] - cost).flatten(1).argmax(dim=1)
    return paths
