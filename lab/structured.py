"""Matrices of fewer numbers: low displacement rank (arXiv 1810.02309), low rank, and 8 bits.

Each stands for a dense weight (rows, columns) and gives it when it is called: on a CPU, and at a
few hundred units, a dense product is faster than a structured one, so a player computes the weight
once. What is saved is bytes.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

RIDGE = 1e-3
"""added to the inputs' second moments, as a share of their mean: some inputs hardly vary"""


def low_displacement(
    below_a: torch.Tensor, below_b: torch.Tensor, g: torch.Tensor, h: torch.Tensor
) -> torch.Tensor:
    """The matrices M = sum over i of K(A, g_i) K(B, h_i)', (N, n, n).

    K(A, g) = [g, A g, A² g, ...] is a Krylov matrix. A and B are zero but for the numbers below
    their diagonals (LDR-SD). M - A M B' is then g h', of rank r, so M is the sum of A^k g h' B'^k.
    A power moves elements down and to the right and multiplies them: the sum of 2m terms is that of
    m terms and the same moved by m, which takes O(n² log n) operations without Krylov matrices.

    Args:
        below_a, below_b: (N, n - 1).
        g, h: (N, n, r).
    """
    found, moves = g @ h.mT, 1
    a, b = below_a, below_b  # below the diagonals of A^moves and B^moves, (N, n - moves)
    while moves < found.shape[1]:
        moved = a[:, :, None] * b[:, None] * found[:, :-moves, :-moves]
        found = found + F.pad(moved, (moves, 0, moves, 0))
        a, b = (each[:, moves:] * each[:, :-moves] for each in (a, b))
        moves *= 2
    return found


def best_factors(
    weight: torch.Tensor, moments: torch.Tensor, rank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors (..., rows, rank) and (..., columns, rank) of the low-rank matrix whose outputs
    are nearest, in the mean square, to those of a weight.

    Args:
        weight: (..., rows, columns).
        moments: the inputs' second moments, (..., columns, columns).
    """
    columns = moments.shape[-1]
    level = moments.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    root = torch.linalg.cholesky(moments + RIDGE * level * torch.eye(columns))
    left, values, right = torch.linalg.svd(weight @ root, full_matrices=False)
    scale = values[..., :rank].sqrt()
    inverse = torch.linalg.solve_triangular(root, right[..., :rank, :], upper=False, left=False)
    return left[..., :rank] * scale[..., None, :], inverse.mT * scale[..., None, :]


class LowRank(nn.Module):
    """A product of two factors."""

    def __init__(self, weight: torch.Tensor, moments: torch.Tensor, rank: int):
        """
        Args:
            weight: what it stands for, (rows, columns); it begins as the nearest of its rank.
            moments: see `best_factors`.
        """
        super().__init__()
        left, right = best_factors(weight, moments, rank)
        self.left, self.right = nn.Parameter(left), nn.Parameter(right)

    def forward(self) -> torch.Tensor:
        return self.left @ self.right.mT


class LowDisplacement(nn.Module):
    """Square blocks of low displacement rank, the last of a row or column cut to what is needed."""

    def __init__(self, weight: torch.Tensor, moments: torch.Tensor, rank: int, size: int):
        """
        Args:
            weight, moments: as of `LowRank`. With A = 0 a block is a matrix of low rank: each
                begins as the nearest one to its part of the weight.
            rank: r of each block.
            size: rows and columns of a block, n.
        """
        super().__init__()
        self.shape, self.size = weight.shape, size
        down, across = (-(-length // size) for length in weight.shape)
        self.grid = (down, across)
        more = across * size - weight.shape[1]
        padded = F.pad(weight, (0, more, 0, down * size - len(weight)))
        blocks = padded.unflatten(0, (down, size)).unflatten(2, (across, size)).transpose(1, 2)
        # Columns that do not exist: their weights are 0, any moments will do.
        filled = torch.block_diag(moments, moments.diagonal().mean() * torch.eye(more))
        filled = filled.unflatten(0, (across, size)).unflatten(2, (across, size))
        own = filled.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        g, h = best_factors(blocks, own.expand(down, *own.shape), rank)
        self.g, self.h = nn.Parameter(g.flatten(0, 1)), nn.Parameter(h.flatten(0, 1))
        # A's gradient is a multiple of B and B's one of A: were both 0, neither would ever move.
        self.below_a = nn.Parameter(torch.zeros(down * across, size - 1))
        self.below_b = nn.Parameter(torch.ones(down * across, size - 1))

    def forward(self) -> torch.Tensor:
        blocks = low_displacement(self.below_a, self.below_b, self.g, self.h)
        whole = blocks.unflatten(0, self.grid).transpose(1, 2).flatten(2).flatten(0, 1)
        return whole[: self.shape[0], : self.shape[1]]


def eight_bits(weight: torch.Tensor) -> torch.Tensor:
    """A weight (rows, columns) as 8-bit numbers with a scale for each row would give it."""
    scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round() * scale
