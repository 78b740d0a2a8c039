"""Two loops that train a V: the published one, written out plainly, and that of `pretrain`."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Vision, kl_per_unit, sample, to_input, vision_loss
from pretrain.config import PretrainConfig
from pretrain.stage import cosine, set_learning_rate
from pretrain.stages.vision import focus

REFERENCE_BATCH = 32


class Reference(nn.Module):
    """The published V; `encode` and `decode` as `Vision` has them, so that one can judge both."""

    def __init__(self, latent: int):
        super().__init__()
        sizes = ((3, 32), (32, 64), (64, 128), (128, 256))
        layers = [layer for c, d in sizes for layer in (nn.Conv2d(c, d, 4, stride=2), nn.ReLU())]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.mean, self.logvar = nn.Linear(1024, latent), nn.Linear(1024, latent)
        self.expand = nn.Linear(latent, 1024)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(1024, 128, 5, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 5, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 6, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 6, stride=2),
            nn.Sigmoid(),
        )

    def encode(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self.encoder(frames)
        return self.mean(seen), self.logvar(seen)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.expand(latents)[..., None, None])


class ReferenceLoop:
    """The plain loop."""

    batch = REFERENCE_BATCH

    def __init__(self, config: PretrainConfig, frames: int, device: torch.device):
        self.model, self.device = Reference(config.agent.vision.latent).to(device), device
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def step(self, frames: np.ndarray) -> None:
        """Learn from one batch, uint8 (B, 64, 64, 3)."""
        inputs = to_input(frames, self.device).contiguous()
        mean, logvar = self.model.encode(inputs)
        drawn = self.model.decode(sample(mean, logvar))
        loss = (drawn - inputs).square().sum() + kl_per_unit(mean, logvar).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class OurLoop:
    """The loop of `pretrain.stages.vision`, as if `frames` were all that this run will ever see."""

    def __init__(self, config: PretrainConfig, frames: int, device: torch.device):
        self.config, self.settings, self.device = config, config.vision, device
        self.batch = config.vision.batch
        self.steps, self.done = max(1, frames // self.batch), 0
        self.warmup = max(1, round(self.settings.kl_warmup * self.steps / self.settings.steps))
        self.model = Vision(config.agent.vision).to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.settings.learning_rate, fused=True
        )
        self.bfloat16 = computes_in_bfloat16(self.settings.precision, device)

    def step(self, frames: np.ndarray) -> None:
        """Learn from one batch, uint8 (B, 64, 64, 3)."""
        inputs = to_input(frames, self.device)
        rate = self.settings.learning_rate * cosine(min(self.done, self.steps), self.steps)
        set_learning_rate(self.optimizer, rate)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            drawn, mean, logvar = self.model(inputs)
        self.done += 1
        loss, _ = vision_loss(
            drawn,
            inputs,
            mean,
            logvar,
            kl_weight=self.settings.kl_weight * min(1.0, self.done / self.warmup),
            free_nats=self.settings.free_nats,
            error_weight=self.settings.error_weight,
            focus=focus(self.config, mean),
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
