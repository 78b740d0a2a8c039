"""V: a convolutional variational autoencoder on 64x64 RGB frames (arXiv 1312.6114, 1803.10122)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agent.config import VisionConfig

MIN_LOGVAR, MAX_LOGVAR = -8.0, 4.0
"""bounds of the posterior's log-variance, so that one bad batch cannot make it infinite"""


def to_input(frames: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """Shrunk uint8 frames (B, 64, 64, 3) as floats (B, 3, 64, 64) in 0..1, channels last in memory.

    Bytes travel to the device; the conversion happens there.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    return tensor.permute(0, 3, 1, 2).float().div_(255)


class Encoder(nn.Module):
    """Frames (B, 3, 64, 64) in 0..1 to the posterior's mean and log-variance, each (B, Z)."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        c1, c2, c3, c4 = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, c1, 4, stride=2, padding=1),  # 64 -> 32
            nn.ReLU(inplace=True),
            nn.Conv2d(c1, c2, 4, stride=2, padding=1),  # -> 16
            nn.ReLU(inplace=True),
            nn.Conv2d(c2, c3, 4, stride=2, padding=1),  # -> 8
            nn.ReLU(inplace=True),
            nn.Conv2d(c3, c4, 4, stride=2, padding=1),  # -> 4
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(c4 * 16, 2 * config.latent)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, logvar = self.head(self.convolutions(frames - 0.5).flatten(1)).chunk(2, dim=1)
        return mean, logvar.clamp(MIN_LOGVAR, MAX_LOGVAR)


class Decoder(nn.Module):
    """Latents (B, Z) to frames (B, 3, 64, 64); values lie in 0..1 up to the model's error."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        c1, c2, c3, c4 = config.channels
        self.shape = (c4, 4, 4)
        self.head = nn.Linear(config.latent, c4 * 16)
        self.convolutions = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(c4, c3, 4, stride=2, padding=1),  # 4 -> 8
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(c3, c2, 4, stride=2, padding=1),  # -> 16
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(c2, c1, 4, stride=2, padding=1),  # -> 32
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(c1, 3, 4, stride=2, padding=1),  # -> 64
        )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.convolutions(self.head(latents).unflatten(1, self.shape)) + 0.5


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
