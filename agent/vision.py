"""V: a convolutional variational autoencoder on 64x64 RGB frames (arXiv 1312.6114, 1803.10122)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agent.config import VisionConfig

MIN_LOGVAR, MAX_LOGVAR = -8.0, 4.0
"""bounds of the posterior's log-variance, so that one bad batch cannot make it infinite"""
PLACE_EDGE = 2.0
"""a keypoint's coordinate at the frame's edges: places then vary about as much as other units"""
SPOT = 0.15
"""standard deviation of a keypoint's spot; the frame's edges lie at -1 and 1"""
SUMMARY = 64
"""units of the decoder's summary of all cells"""


def to_input(frames: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """Shrunk uint8 frames (B, 64, 64, 3) as floats (B, 3, 64, 64) in 0..1, channels last in memory.

    Bytes travel to the device; the conversion happens there.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    return tensor.permute(0, 3, 1, 2).float().div_(255)


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


class Encoder(nn.Module):
    """Frames (B, 3, 64, 64) in 0..1 to the posterior's mean and log-variance, each (B, Z).

    The first units are a grid: what each part of the frame looks like, G x G cells of a few units.
    The last `2 * keypoints` are places: the x and then the y of that many points, each the mean
    of a spatial softmax (arXiv 1504.00702, section 5.2), -2 at the left or upper edge, 2 at the
    other. A place moves a little when the thing it sits on does; the cells it crosses jump.
    """

    def __init__(self, config: VisionConfig):
        super().__init__()
        c1, c2 = config.channels
        self.keypoints = config.keypoints
        self.stem = nn.Sequential(
            nn.Conv2d(3, c1, 4, stride=4),  # 64 -> 16
            nn.ReLU(inplace=True),
        )
        strides = 1 if config.grid == 8 else 2  # 16 -> 8, or -> 4
        down = [nn.Conv2d(c1, c2, 4, stride=2, padding=1)]
        for _ in range(strides - 1):
            down += [nn.ReLU(inplace=True), nn.Conv2d(c2, c2, 4, stride=2, padding=1)]
        self.trunk = nn.Sequential(*down, Residual(c2), nn.ReLU(inplace=True))
        self.cells = nn.Conv2d(c2, 2 * config.cell_units, 1)
        if self.keypoints:
            self.heat = nn.Sequential(
                nn.Conv2d(c1, c1 // 2, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(c1 // 2, self.keypoints, 1),
            )
            self.place_logvar = nn.Parameter(torch.full((2 * self.keypoints,), -4.0))
        self.feature_size = c2 * config.grid**2

    def features(self, frames: torch.Tensor) -> torch.Tensor:
        """What the trunk makes of the frames before the latent, (B, feature_size), not negative."""
        return self.trunk(self.stem(frames - 0.5)).flatten(1)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stem = self.stem(frames - 0.5)
        mean, logvar = (half.flatten(1) for half in self.cells(self.trunk(stem)).chunk(2, dim=1))
        if self.keypoints:
            heat = self.heat(stem)
            size = heat.shape[-1]
            share = heat.flatten(2).softmax(dim=2).unflatten(2, (size, size))
            axis = PLACE_EDGE * edge_to_edge(size, heat)
            x, y = (share.sum(dim=2) * axis).sum(dim=2), (share.sum(dim=3) * axis).sum(dim=2)
            mean = torch.cat([mean, x, y], dim=1)
            logvar = torch.cat([logvar, self.place_logvar.expand(len(x), -1)], dim=1)
        return mean, logvar.clamp(MIN_LOGVAR, MAX_LOGVAR)


def edge_to_edge(size: int, like: torch.Tensor) -> torch.Tensor:
    """The centres of `size` pixels between the edges -1 and 1, (size,)."""
    centres = torch.arange(size, device=like.device, dtype=like.dtype) + 0.5
    return centres * (2 / size) - 1


class Decoder(nn.Module):
    """Latents (B, Z) to frames (B, 3, 64, 64); values lie in 0..1 up to the model's error.

    Every cell is drawn from its own units and its neighbours', from where it lies (a learnt map:
    the sky is above) and from a summary of all cells (the zone's palette and the scroll of its
    textures). At a keypoint a Gaussian spot is drawn into the maps.
    """

    def __init__(self, config: VisionConfig):
        super().__init__()
        c1, c2 = config.channels
        self.shape = (config.cell_units, config.grid, config.grid)
        self.split = [config.latent - 2 * config.keypoints, config.keypoints, config.keypoints]
        self.cells = nn.Conv2d(config.cell_units, c2, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(c2, config.grid, config.grid))
        self.summary = nn.Sequential(
            nn.Linear(self.split[0], SUMMARY), nn.ReLU(inplace=True), nn.Linear(SUMMARY, c2)
        )
        grow = [Residual(c2)]
        if config.grid == 4:
            grow += [nn.Conv2d(c2, 4 * c2, 1), nn.PixelShuffle(2), Residual(c2)]
        self.grow = nn.Sequential(
            *grow, nn.ReLU(inplace=True), nn.Conv2d(c2, 4 * c1, 1), nn.PixelShuffle(2)
        )
        self.spots = nn.Conv2d(config.keypoints, c1, 1) if config.keypoints else None
        self.draw = nn.Sequential(
            Residual(c1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c1, 3 * 16, 3, padding=1),
            nn.PixelShuffle(4),  # 16 -> 64
        )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        cells, x, y = latents.split(self.split, dim=1)
        summary = self.summary(cells)[:, :, None, None]
        maps = self.grow(self.cells(cells.unflatten(1, self.shape)) + self.place + summary)
        if self.spots is not None:
            axis = edge_to_edge(maps.shape[-1], maps)
            across, down = (
                torch.exp(-0.5 * ((axis - place.unsqueeze(2) / PLACE_EDGE) / SPOT).square())
                for place in (x, y)
            )
            maps = maps + self.spots(down.unsqueeze(3) * across.unsqueeze(2))
        return self.draw(maps) + 0.5


class Vision(nn.Module):
    """V: `encode` for playing, `forward` for training, `decode` for looking at latents."""

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
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The beta-VAE loss of a batch, in which badly drawn pixels count more.

    A small thing that moves (the player) is a few pixels of 4096: under a plain mean it costs
    nothing to leave it out. So each pixel's squared error is weighted by
    ``1 + error_weight * (its error / the frame's mean error)``, cut at ``1 + 16 * error_weight``,
    without gradient through the weight.

    Args:
        reconstruction, frames: (B, 3, 64, 64).
        mean, logvar: the posterior's, (B, Z).
        kl_weight: beta, weight of the KL term against the summed squared error (beta-VAE, Higgins
            et al., ICLR 2017).
        free_nats: KL below this many nats per unit (mean over the batch) is not paid for, so that
            a unit is not switched off before it is of use (arXiv 1606.04934, section 8).
        error_weight: see above; 0 is the plain squared error.

    Returns:
        The loss (a scalar), and the scalars to log: `mse`, `kl`, `active_units`.
    """
    squared = (reconstruction - frames).square()
    error = squared.detach().mean(dim=1, keepdim=True)
    relative = error / error.mean(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    weight = 1.0 + error_weight * relative.clamp(max=16.0)
    reconstruction_loss = (weight * squared).sum(dim=(1, 2, 3)).mean()
    kl = kl_per_unit(mean, logvar).mean(dim=0)
    loss = reconstruction_loss + kl_weight * kl.clamp_min(free_nats).sum()
    scalars = {
        "mse": squared.detach().mean(),
        "kl": kl.detach().sum(),
        "active_units": (mean.detach().var(dim=0) > 0.01).float().sum(),
    }
    return loss, scalars


def psnr(mse: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in decibels of a mean squared error of values in 0..1."""
    return -10.0 * torch.log10(mse.clamp_min(1e-10))
