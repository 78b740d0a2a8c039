"""What is around the player: V's grid cells, moved so that the player is in the middle."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from agent.config import VisionConfig
from agent.models.vision import PLACE_EDGE

ROWS, COLUMNS = 11, 13
"""places of the canvas; one is as large as a cell of V, and the player is in the middle one"""
CHANNELS = (32, 32, 6)
"""of the three convolutions; the last one halves the canvas"""


class Surroundings(nn.Module):
    """Three convolutions over the cells around the player, for C.

    In the latent the same spikes stand in another cell each timestep. Seen from the player they
    have one place for one decision, so that C learns it from fewer examples.
    """

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.cells = (config.cell_units, config.grid, config.grid)
        first, second, third = CHANNELS
        self.layers = nn.Sequential(
            nn.Conv2d(config.cell_units + 1, first, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.size = third * ((ROWS + 1) // 2) * ((COLUMNS + 1) // 2)
        """numbers for C"""
        rows, columns = ((torch.arange(n) - n // 2) * (2 / config.grid) for n in (ROWS, COLUMNS))
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        self.register_buffer("offsets", grid, persistent=False)

    def canvas(self, z: torch.Tensor) -> torch.Tensor:
        """The cells of latents (B, Z) around the player, (B, units + 1, ROWS, COLUMNS).

        Between cells they are interpolated. The last map is 1 within the frame and 0 beyond it.
        """
        units, side, _ = self.cells
        cells = z[:, : units * side**2].unflatten(1, self.cells)
        cells = torch.cat([cells, torch.ones_like(cells[:, :1])], dim=1)
        places = z[:, -2:] / PLACE_EDGE
        grid = places[:, None, None, :] + self.offsets
        return F.grid_sample(cells, grid, padding_mode="zeros", align_corners=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Features (B, size) of latents (B, Z)."""
        return self.layers(self.canvas(z).contiguous(memory_format=torch.channels_last))
