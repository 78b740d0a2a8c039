"""V: a convolutional variational autoencoder on 64x64 RGB frames (arXiv 1312.6114, 1803.10122)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agent.config import VisionConfig

MIN_LOGVAR, MAX_LOGVAR = -8.0, 4.0
"""bounds of the posterior's log-variance, so that one bad batch cannot make it infinite"""
PLACE_EDGE = 2.0
"""a place's coordinate at the frame's edges: places then vary about as much as other units"""
PLACE_LOGVAR = MIN_LOGVAR
"""log-variance of a place: its standard deviation is 0.3 pixels of the shrunk frame"""
MAP_SIZE = 16
"""cells per side of the map of possible places of the player sprite"""
WINDOW = 16
"""pixels per side of the window around the player sprite"""
APPEARANCE_HIDDEN = 128
"""hidden units of the network that encodes the window"""
SUMMARY = 64
"""units of the decoder's summary of all cells"""


def to_input(
    frames: np.ndarray | torch.Tensor, device: torch.device | str | None = None
) -> torch.Tensor:
    """Shrunk uint8 frames (B, 64, 64, 3) as floats (B, 3, 64, 64) in 0..1, channels last in memory.

    Bytes travel to the device, if one is given; the conversion happens there.
    """
    if isinstance(frames, np.ndarray):
        frames = torch.from_numpy(np.ascontiguousarray(frames))
    return frames.to(device).permute(0, 3, 1, 2).float().div_(255)


class Residual(nn.Module):
    """A residual block of two convolutions that keeps the shape, (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.ReLU(),  # not in place: the block's input is added below
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.block(maps)


class Trunk(nn.Module):
    """Frames (B, 3, 64, 64) in 0..1 to feature maps (B, channels[1], G, G), not negative."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        c1, c2 = config.channels
        strides = 1 if config.grid == 8 else 2  # 16 -> 8, or -> 4
        down = [nn.Conv2d(c1, c2, 4, stride=2, padding=1)]
        for _ in range(strides - 1):
            down += [nn.ReLU(inplace=True), nn.Conv2d(c2, c2, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(
            nn.Conv2d(3, c1, 4, stride=4),  # 64 -> 16
            nn.ReLU(inplace=True),
            *down,
            Residual(c2),
            nn.ReLU(inplace=True),
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.layers(frames - 0.5)


class PlayerFinder(nn.Module):
    """Locates the player sprite in a frame. Trained by the stage `find_player` alone.

    It shares no weights with the rest of V, so later training cannot change it.
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2),  # 64 -> 32
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),  # 32 -> 16
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 1, 1),
        )
        self.prior = nn.Parameter(torch.zeros(MAP_SIZE, MAP_SIZE))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits over the cells that the player may be in, (B, MAP_SIZE, MAP_SIZE)."""
        return self.layers(frames - 0.5).squeeze(1) + self.prior

    def place(self, logits: torch.Tensor) -> torch.Tensor:
        """The expected x and y, (B, 2), between -1 and 1, the frame's edges."""
        share = logits.flatten(1).softmax(dim=1).view_as(logits)
        axis = edge_to_edge(logits.shape[-1], logits)
        return torch.stack([share.sum(dim=1) @ axis, share.sum(dim=2) @ axis], dim=1)

    def place_near(self, logits: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """`place`, given that it is in or next to these cells (B,), row * MAP_SIZE + column."""
        size = logits.shape[-1]
        axis = torch.arange(size, device=logits.device)
        near_row = (axis - (cells // size).unsqueeze(1)).abs() <= 1
        near_column = (axis - (cells % size).unsqueeze(1)).abs() <= 1
        near = near_row.unsqueeze(2) & near_column.unsqueeze(1)
        return self.place(logits.masked_fill(~near, -torch.inf))


def edge_to_edge(size: int, like: torch.Tensor) -> torch.Tensor:
    """The centres of `size` pixels between the edges -1 and 1, (size,)."""
    centres = torch.arange(size, device=like.device, dtype=like.dtype) + 0.5
    return centres * (2 / size) - 1


def crop(frames: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The windows (B, C, WINDOW, WINDOW) around places (B, 2) of frames (B, C, H, W).

    Places may lie between pixels; pixels beyond the frame are 0.
    """
    reach = WINDOW / frames.shape[-1]
    offsets = edge_to_edge(WINDOW, places) * reach
    x, y = places[:, :1] + offsets, places[:, 1:] + offsets
    grid = torch.stack(
        [x.unsqueeze(1).expand(-1, WINDOW, -1), y.unsqueeze(2).expand(-1, -1, WINDOW)], dim=3
    )
    return F.grid_sample(frames, grid, align_corners=False)


def paste(windows: torch.Tensor, places: torch.Tensor, size: int) -> torch.Tensor:
    """Frames (B, C, size, size), 0 outside of the windows (B, C, h, w) around places (B, 2)."""
    scale = size / WINDOW
    axis = edge_to_edge(size, places)
    x, y = (axis - places[:, :1]) * scale, (axis - places[:, 1:]) * scale
    grid = torch.stack(
        [x.unsqueeze(1).expand(-1, size, -1), y.unsqueeze(2).expand(-1, -1, size)], dim=3
    )
    return F.grid_sample(windows, grid, align_corners=False)


class Encoder(nn.Module):
    """Frames (B, 3, 64, 64) in 0..1 to the posterior's mean and log-variance, each (B, Z).

    The first units are a grid of G x G cells, a few units for each part of the frame. The last
    `player_units` units are the player sprite: its appearance, from a window that follows it, then
    its x and y, -2 at the left or upper edge and 2 at the opposite one. As the player moves, cells
    change abruptly, but x and y change smoothly.
    """

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.trunk = Trunk(config)
        self.cells = nn.Conv2d(config.channels[1], 2 * config.cell_units, 1)
        self.player_finder = self.appearance = None
        if config.player_units:
            self.player_finder = PlayerFinder()
            self.appearance = nn.Sequential(
                nn.Flatten(),
                nn.Linear(3 * WINDOW**2, APPEARANCE_HIDDEN),
                nn.ReLU(inplace=True),
                nn.Linear(APPEARANCE_HIDDEN, 2 * (config.player_units - 2)),
            )

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means, logvars = ([x.flatten(1)] for x in self.cells(self.trunk(frames)).chunk(2, dim=1))
        if self.player_finder is not None:
            # No gradient: reconstruction and KL would both pull the place away from the player.
            with torch.no_grad():
                place = self.player_finder.place(self.player_finder(frames).float())
                window = crop(frames, place)
            mean, logvar = self.appearance(window - 0.5).chunk(2, dim=1)
            means += [mean, PLACE_EDGE * place]
            logvars += [logvar, torch.full_like(place, PLACE_LOGVAR)]
        means, logvars = (torch.cat([x.float() for x in parts], 1) for parts in (means, logvars))
        return means, logvars.clamp(MIN_LOGVAR, MAX_LOGVAR)


class Decoder(nn.Module):
    """Latents (B, Z) to frames (B, 3, 64, 64); values lie in 0..1 up to the model's error.

    Every cell is drawn from its own units and its neighbours', from its position (a learnt map:
    the sky is above) and from a summary of all cells (the zone's palette and the scroll of its
    textures). The player units become a sprite, colours and opacity, that is laid over the cells.
    """

    def __init__(self, config: VisionConfig):
        super().__init__()
        c1, c2 = config.decoder_channels
        self.shape = (config.cell_units, config.grid, config.grid)
        self.player_units = config.player_units
        units = config.latent - config.player_units
        self.cells = nn.Conv2d(config.cell_units, c2, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(c2, config.grid, config.grid))
        self.summary = nn.Sequential(
            nn.Linear(units, SUMMARY), nn.ReLU(inplace=True), nn.Linear(SUMMARY, c2)
        )
        grow = [Residual(c2)]
        if config.grid == 4:
            grow += [nn.Conv2d(c2, 4 * c2, 1), nn.PixelShuffle(2), Residual(c2)]
        self.draw = nn.Sequential(
            *grow,
            nn.ReLU(inplace=True),
            nn.Conv2d(c2, 4 * c1, 1),
            nn.PixelShuffle(2),
            Residual(c1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c1, 3 * 16, 3, padding=1),
            nn.PixelShuffle(4),  # 16 -> 64
        )
        self.sprite = None
        if config.player_units:
            half = WINDOW // 2
            # Twice as fine as the frame: laid between its pixels it must not blur.
            self.sprite = nn.Sequential(
                nn.Linear(config.player_units - 2, 16 * half**2),
                nn.ReLU(inplace=True),
                nn.Unflatten(1, (16, half, half)),
                nn.Conv2d(16, 4 * 16, 3, padding=1),
                nn.PixelShuffle(4),
            )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        cells = latents[:, : latents.shape[1] - self.player_units]
        summary = self.summary(cells)[:, :, None, None]
        maps = self.cells(cells.unflatten(1, self.shape)) + self.place + summary
        drawn = self.draw(maps).float() + 0.5
        if self.sprite is None:
            return drawn
        appearance, place = latents[:, -self.player_units : -2], latents[:, -2:] / PLACE_EDGE
        colours, opacity = self.sprite(appearance).float().split((3, 1), dim=1)
        opacity = opacity.sigmoid()
        layers = torch.cat([(colours + 0.5) * opacity, opacity], dim=1)
        colours, opacity = paste(layers, place.float(), drawn.shape[-1]).split((3, 1), dim=1)
        return drawn * (1 - opacity) + colours


class Vision(nn.Module):
    """V: `encode` for playing, `forward` for training, `decode` to see a latent."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior mean and log-variance, each (B, Z). Playing takes the mean."""
        return self.encoder(frames)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Frames (B, 3, 64, 64), cut to 0..1, of latents (B, Z)."""
        return self.decoder(latents).clamp(0, 1)

    def places(self, latents: torch.Tensor) -> torch.Tensor | None:
        """The player's x and y in latents (B, Z), (B, 2), -1 and 1 at the frame's edges; None
        without player units."""
        return latents[:, -2:] / PLACE_EDGE if self.config.player_units else None

    def forward(
        self, frames: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Reconstruction of a sampled latent, and the posterior's mean and log-variance."""
        mean, logvar = self.encode(frames)
        return self.decoder(sample(mean, logvar, generator)), mean, logvar


def sample(
    mean: torch.Tensor, logvar: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """A sample of the posterior; the standard deviation is exp(logvar / 2)."""
    noise = torch.empty_like(mean).normal_(generator=generator)
    return mean + torch.exp(0.5 * logvar) * noise


def kl_per_unit(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) of each unit in nats, same shape as `mean`.

    Appendix B of arXiv 1312.6114.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar)


def vision_loss(
    reconstruction: torch.Tensor,
    frames: torch.Tensor,
    mean: torch.Tensor,
    logvar: torch.Tensor,
    *,
    kl_weight: float,
    free_nats: float,
    error_weight: float,
    focus: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The beta-VAE loss of a batch, in which some pixels count more.

    The player is a few pixels of 4096: under a plain mean it costs nearly nothing to leave it
    out. So each pixel's squared error is weighted by
    ``1 + focus + error_weight * (its error / the frame's mean error)``, the last term cut at
    ``16 * error_weight``, without gradient through the weight.

    Args:
        reconstruction, frames: (B, 3, 64, 64).
        mean, logvar: the posterior's, (B, Z).
        kl_weight: beta, weight of the KL term against the summed squared error (beta-VAE, Higgins
            et al., ICLR 2017).
        free_nats: KL below this many nats per unit (mean over the batch) costs nothing, so that a
            unit does not collapse before it is useful (arXiv 1606.04934, section 8).
        error_weight: see above; 0 is the plain squared error.
        focus: extra weight of each pixel, (B, 1, 64, 64); see `player_focus`.

    Returns:
        The loss (a scalar), and the scalars to log: `mse`, `kl`, `active_units`.
    """
    squared = (reconstruction - frames).square()
    error = squared.detach().mean(dim=1, keepdim=True)
    relative = error / error.mean(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    weight = 1.0 + error_weight * relative.clamp(max=16.0)
    if focus is not None:
        weight = weight + focus
    reconstruction_loss = (weight * squared).sum(dim=(1, 2, 3)).mean()
    kl = kl_per_unit(mean, logvar).mean(dim=0)
    loss = reconstruction_loss + kl_weight * kl.clamp_min(free_nats).sum()
    scalars = {
        "mse": squared.detach().mean(),
        "kl": kl.detach().sum(),
        "active_units": (mean.detach().var(dim=0) > 0.01).float().sum(),
    }
    return loss, scalars


def player_focus(mean: torch.Tensor, weight: float) -> torch.Tensor:
    """`weight` for the pixels of the player's window, 0 for the others: (B, 1, 64, 64).

    Args:
        mean: (B, Z), of a V with player units.
    """
    place = mean.detach()[:, -2:] / PLACE_EDGE
    return weight * paste(place.new_ones(len(place), 1, WINDOW, WINDOW), place, 64)


def place_target(places: torch.Tensor, size: int) -> torch.Tensor:
    """How much of each of `size` x `size` cells is due to a player at known places (B, 2).

    A place between cells is shared by the nearest four, so that their mean is the place.

    Returns:
        (B, size, size), of sum 1.
    """
    cells = torch.arange(size, device=places.device)
    position = ((places + 1) * (size / 2) - 0.5).clamp(0, size - 1)
    column, row = ((1 - (cells - position[:, i : i + 1]).abs()).clamp_min(0) for i in (0, 1))
    return row.unsqueeze(2) * column.unsqueeze(1)


def place_loss(logits: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of `PlayerFinder`'s logits (B, S, S) for a player at known places (B, 2).

    Returns:
        A scalar, in nats.
    """
    target = place_target(places, logits.shape[-1])
    return F.cross_entropy(logits.flatten(1), target.flatten(1))


def psnr(mse: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in decibels of a mean squared error of values in 0..1."""
    return -10.0 * torch.log10(mse.clamp_min(1e-10))
