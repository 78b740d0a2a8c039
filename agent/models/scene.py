"""What is where in a frame, told as numbers: the blocks around the player, the floor ahead, things.

V's latent says what a frame looks like; in an act that it was not trained in, this tells C little
of what is where (docs/experiments.md). Here a network with a short reach, which cannot know an act
by heart, labels every place of the frame: the class of the block there (semantic segmentation,
arXiv 1411.4038), whether a thing stands there (objects as points, arXiv 1904.07850), where the grid
of blocks begins. It learns from the simulator's labels in training acts (stage `scene`). What C
reads is then computed without weights: the same block is the same number in every act.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

WIDTH, HEIGHT = 320, 224
"""pixels of the whole frame; all distances are in these"""
BLOCK = 16
"""pixels per side of a block"""
BLOCKS = (
    "nothing",
    "solid",
    "slope",
    "one-way",
    "liquid",
    "breakable",
    "door",
    "special",
    "mirrored",
)
"""classes of blocks; `pangolin_dash/src/scene.c` has the same"""
THINGS = 11
"""types of things: the player, nine types of objects, rings"""
ZONES = 6
OWN = 24
"""numbers of the player's own state: on the ground, rolling, hurt and so on"""
CELLS = 32
"""cells per side of the maps of things"""
CELL = (WIDTH / CELLS, HEIGHT / CELLS)
CHANNELS = 32

COLUMNS, ROWS = (-7, 13), (-8, 13)
"""the blocks that C is told of, counted from the player's: first, and one after the last"""
ABOVE = 6
"""blocks above the player's from which on a floor is looked for"""
HARD = (0.0, 1.0, 0.7, 0.4, -1.0, 1.0, 1.0, 1.0, 1.0)
"""how hard a class of blocks is; a liquid is the opposite"""
EXTRA = (0.0, 0.0, 0.0, 0.0, 0.0, 2.0, -2.0, 1.0, -1.0)
"""what else a class of blocks does"""
SLOTS = (0, 2, 1, 3, 3, 2, 4, 4, 1, 3, 2)
"""how many things of a type C is told of"""
PEAKS = 5
"""things of a type that are looked at"""
LIKELY = -0.8
"""logit above which a thing is told of"""
BEHIND = 32
"""pixels behind the player from which on things count as twice as far"""
UNIT, FAR = 64, 4.0
"""pixels that are 1, and where distances are cut off"""


class Maps(NamedTuple):
    """What the network says of every place."""

    blocks: torch.Tensor
    """logits of the blocks' classes in each cell's four quarters, (B, 4 K, 32, 32), as
    `pixel_shuffle` takes them"""
    things: torch.Tensor
    """logits of a thing of a type standing in a cell, (B, T, 32, 32)"""
    offsets: torch.Tensor
    """x and y of that thing from the cell's middle, in cells, (B, 2, 32, 32)"""
    waves: torch.Tensor
    """cosines of the place's x and y within its block, then sines, (B, 4, 32, 32); the shorter the
    less sure"""
    hidden: torch.Tensor
    """the last layer, (B, CHANNELS, 32, 32)"""
    zone: torch.Tensor
    """logits of the zones, (B, ZONES)"""


class Scene(nn.Module):
    """Reads frames: `forward` for the maps, `read` for what C is told."""

    size = (
        5
        + OWN
        + ZONES
        + 2 * (ROWS[1] - ROWS[0]) * (COLUMNS[1] - COLUMNS[0])
        + 2 * (COLUMNS[1] - COLUMNS[0])
        + 3 * sum(SLOTS)
    )
    """numbers that C is told"""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, CHANNELS, 5, stride=2, padding=2),  # 64 -> 32
            nn.ReLU(inplace=True),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Conv2d(CHANNELS, 4 * len(BLOCKS), 1)
        self.things = nn.Conv2d(CHANNELS, THINGS, 1)
        self.rest = nn.Conv2d(CHANNELS, 2 + 4, 1)
        self.own = nn.Linear(CHANNELS, OWN)
        self.zone = nn.Linear(CHANNELS, ZONES)
        nn.init.constant_(self.things.bias, -5.0)  # things are rare
        columns, rows = torch.arange(*COLUMNS), torch.arange(*ROWS)
        values = torch.tensor([HARD, EXTRA])
        for name, value in {"columns": columns, "rows": rows, "values": values}.items():
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("turns", turns(), persistent=False)

    def forward(self, frames: torch.Tensor) -> Maps:
        """The maps of frames (B, 3, 64, 64) in 0..1."""
        hidden = self.layers(frames - 0.5)
        offsets, waves = self.rest(hidden).split((2, 4), dim=1)
        zone = self.zone(hidden.mean(dim=(2, 3)))
        return Maps(self.blocks(hidden), self.things(hidden), offsets, waves, hidden, zone)

    @torch.no_grad()
    def read(self, maps: Maps) -> torch.Tensor:
        """What C is told, (B, size), each about -4 to 4; distances are from the player's feet."""
        player = maps.things[:, 0].flatten(1).max(dim=1)
        place = _points(player.indices.unsqueeze(1), maps.offsets).squeeze(1)
        own = self.state_at(maps, player.indices)
        camera = self.camera(maps.waves)
        # A foot stands on the first row of pixels of the block below.
        inside = place + camera - place.new_tensor([0, 1])
        block = (inside / BLOCK).floor()
        corner = block * BLOCK - camera
        x = corner[:, :1] + (self.columns + 0.5) * BLOCK
        y = corner[:, 1:] + (self.rows + 0.5) * BLOCK
        around, seen = self._blocks(maps.blocks, x, y)
        hard, extra = torch.einsum("brck,mk->mbrc", around, self.values)
        known = [
            place / place.new_tensor([WIDTH, HEIGHT]),
            (inside - block * BLOCK) / BLOCK,
            player.values.float().sigmoid().unsqueeze(1),
            own,
            maps.zone.float().softmax(dim=1),
            hard.flatten(1),
            extra.flatten(1),
            self._floor(around, seen, corner[:, 1:] - place[:, 1:], y),
            self._things(maps, place),
        ]
        return torch.cat(known, dim=1)

    def state_at(self, maps: Maps, cells: torch.Tensor) -> torch.Tensor:
        """The player's own state, (B, OWN), if it stands in cells (B,)."""
        return self.own(rows_at(maps.hidden, cells.unsqueeze(1)).squeeze(1).float())

    def camera(self, waves: torch.Tensor) -> torch.Tensor:
        """The frame's left and upper edges within a block, (B, 2) pixels, from all places."""
        cosines, sines = waves.float().chunk(2, dim=1)
        cos, sin = self.turns
        real = (cosines * cos + sines * sin).sum(dim=(2, 3))
        imaginary = (sines * cos - cosines * sin).sum(dim=(2, 3))
        return torch.atan2(imaginary, real) / (2 * math.pi) % 1 * BLOCK

    def _blocks(
        self, logits: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The chances of each class at columns x (B, C) and rows y (B, R), (B, R, C, K), 0 beyond
        the frame, and what lies in it, bool (B, R, C)."""
        shape = (-1, y.shape[1], x.shape[1])
        seen = ((x > 0) & (x < WIDTH)).unsqueeze(1) & ((y > 0) & (y < HEIGHT)).unsqueeze(2)
        column = (x * (2 * CELLS / WIDTH)).long().clamp(0, 2 * CELLS - 1).unsqueeze(1)
        row = (y * (2 * CELLS / HEIGHT)).long().clamp(0, 2 * CELLS - 1).unsqueeze(2)
        cells = (row // 2 * CELLS + column // 2).expand(shape).flatten(1)
        quarters = (row % 2 * 2 + column % 2).expand(shape).flatten(1)
        found = rows_at(logits, cells).unflatten(2, (len(BLOCKS), 4))
        quarters = quarters[:, :, None, None].expand(-1, -1, len(BLOCKS), 1)
        found = found.gather(3, quarters).squeeze(3).float().clamp(-20, 20).exp()
        found = (found / found.sum(dim=2, keepdim=True)).unflatten(1, shape[1:])
        return found * seen.unsqueeze(3), seen

    def _floor(
        self, around: torch.Tensor, seen: torch.Tensor, corner: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        """For each column how far below the feet the first floor lies, and whether there is none,
        or liquid before it, (B, 2 C)."""
        wet = around[..., BLOCKS.index("liquid")] > 0.5
        stands = around[..., 0] + around[..., BLOCKS.index("liquid")] < 0.5
        rows = self.rows.unsqueeze(1)
        looked = seen & (rows >= -ABOVE)
        free = (looked & ~stands).cumsum(dim=1) > 0
        floor = looked & (wet | (stands & (free | (rows > 0))))
        first = floor.byte().argmax(dim=1)
        none = ~floor.any(dim=1)
        depth = (corner + self.rows[first] * BLOCK) / UNIT
        depth = torch.where(none, FAR, depth).clamp(-FAR, FAR)
        bad = none | wet.gather(1, first.unsqueeze(1)).squeeze(1)
        shown = seen.any(dim=1)
        return torch.cat([depth * shown, (bad & shown).float()], dim=1)

    def _things(self, maps: Maps, place: torch.Tensor) -> torch.Tensor:
        """Presence, dx and dy of the nearest things of each type, (B, 3 * sum(SLOTS))."""
        logits = maps.things[:, 1:].contiguous()
        beside = F.pad(logits, (1, 1, 1, 1), value=-torch.inf)
        for axis in (2, 3):  # the greatest of three: faster than max_pool2d here
            length = beside.shape[axis]
            a, b, c = (beside.narrow(axis, first, length - 2) for first in range(3))
            beside = torch.maximum(torch.maximum(a, b), c)
        peaks = logits.masked_fill(beside > logits, -torch.inf)
        strength, cells = peaks.flatten(2).topk(PEAKS, dim=2)
        points = _points(cells.flatten(1), maps.offsets).unflatten(1, cells.shape[1:])
        away = points - place[:, None, None]
        ahead = away[..., 0]
        distance = torch.where(ahead < -BEHIND, -2 * ahead, ahead.abs())
        distance = distance.masked_fill(strength < LIKELY, torch.inf)
        distance, order = distance.sort(dim=2)
        here = distance.isfinite().unsqueeze(3)
        away = away.gather(2, order.unsqueeze(3).expand_as(away)) / UNIT
        told = torch.cat([here.float(), away.clamp(-FAR, FAR) * here], dim=3)
        parts = [told[:, kind, :slots].flatten(1) for kind, slots in enumerate(SLOTS[1:])]
        return torch.cat(parts, dim=1)


def turns() -> torch.Tensor:
    """Cosines and sines of the places of cells within blocks, if the camera is at 0, of x and y:
    (2, 2, 32, 32)."""
    angles = [2 * math.pi / BLOCK * size * (torch.arange(CELLS) + 0.5) for size in CELL]
    both = torch.stack(torch.meshgrid(*angles, indexing="xy"))
    return torch.stack([both.cos(), both.sin()])


def rows_at(maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Maps (B, C, 32, 32) at cells (B, N), row * 32 + column: (B, N, C)."""
    batch = torch.arange(len(maps), device=maps.device).unsqueeze(1)
    return maps.permute(0, 2, 3, 1).flatten(1, 2)[batch, cells]


def _points(cells: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """The x and y in pixels, (B, N, 2), of things in cells (B, N)."""
    moved = rows_at(offsets, cells).float()
    x = (cells % CELLS + 0.5 + moved[..., 0]) * CELL[0]
    y = (cells // CELLS + 0.5 + moved[..., 1]) * CELL[1]
    return torch.stack([x, y], dim=2)
