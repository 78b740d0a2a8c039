"""The vision stage: train V on the frames of the shards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Vision, player_focus, psnr, to_input, vision_loss
from pretrain.config import PretrainConfig
from pretrain.data.shards import ShardSet
from pretrain.loop import Loop, cosine, read_ahead
from pretrain.stage import Seeds, Stage, choose_device, seed_of
from pretrain.stages import collect, find_player
from retro_common.config import to_dict

VALIDATION_FRAMES = 512
VALIDATE_EVERY = 500
SHOWN = 8
"""validation frames that TensorBoard shows beside their reconstructions"""


def stage(config: PretrainConfig) -> Stage:
    settings = {
        "agent": {"vision": to_dict(config.agent.vision)},
        "vision": to_dict(config.vision),
        "seed": config.seed,
    }
    inputs = [collect.stage(config)]
    if config.agent.vision.player_units:
        inputs.append(find_player.stage(config))
    return Stage("vision", config.out / "vision", settings, tuple(inputs))


def load(config: PretrainConfig) -> Vision:
    """The V that this stage has trained."""
    model = Vision(config.agent.vision)
    stage(config).load_trained(model)
    return model.eval()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train V, going on from the last checkpoint.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    work = stage(config).open(fresh)
    if work.finished:
        print(f"vision: already done ({work.folder})")
        return
    settings, device = config.vision, choose_device(config.device)
    shards = collect.open_shards(config)
    held_out = validation_frames(shards, config.seed)

    torch.manual_seed(seed_of(config.seed, Seeds.VISION))
    model = Vision(config.agent.vision).to(device, memory_format=torch.channels_last)
    if model.encoder.player_finder is not None:
        find_player.stage(config).load_trained(model.encoder.player_finder)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    generator = torch.Generator(device)
    bfloat16 = computes_in_bfloat16(settings.precision, device)
    with Loop(work, settings.steps, track=config.track, model=model, optimizer=optimizer) as loop:
        batches = training_batches(shards, settings.batch, config.seed, loop.first, settings.steps)
        for step, batch in zip(loop, batches, strict=False):
            frames = to_input(batch, device)
            generator.manual_seed(seed_of(config.seed, Seeds.VISION, step))
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                reconstruction, mean, logvar = model(frames, generator)
            loss, scalars = vision_loss(
                reconstruction,
                frames,
                mean,
                logvar,
                kl_weight=settings.kl_weight * min(1.0, (step + 1) / settings.kl_warmup),
                free_nats=settings.free_nats,
                error_weight=settings.error_weight,
                focus=focus(config, mean),
            )
            loop.where = f" (batch {step} of seed {config.seed})"
            loop.descend(loss, optimizer, settings.learning_rate * cosine(step, settings.steps))
            if loop.logs:
                values = {f"vision/{name}": value for name, value in scalars.items()}
                quality = psnr(scalars["mse"]).item()
                loop.log({"losses/vision": loss, **values}, f"psnr {quality:.1f} dB")
            if loop.every(VALIDATE_EVERY):
                loop.log({"vision/validation_psnr": validate(model, held_out)})
                loop.writer.add_images("vision/reconstructions", comparison(model, held_out), step)
    quality = validate(model, held_out)
    work.finish(
        validation_psnr=quality, bfloat16=bfloat16, frames=shards.timesteps(shards.training)
    )
    print(f"vision: {quality:.1f} dB on {len(held_out)} frames of shards not trained on")


def focus(config: PretrainConfig, mean: torch.Tensor) -> torch.Tensor | None:
    """Extra weight of each pixel, from latents (B, Z); None for a V without player units."""
    if not config.agent.vision.player_units:
        return None
    return player_focus(mean, config.vision.focus)


def training_batches(
    shards: ShardSet, batch: int, seed: int, first: int, last: int
) -> Iterator[np.ndarray]:
    """The batches of steps first to last - 1, read ahead by a thread.

    The frames of a step depend on the seed and the step alone, so that a resumed run sees the same
    ones as an uninterrupted run.
    """

    def read(step: int) -> np.ndarray:
        rng = np.random.default_rng([seed, Seeds.VISION, step])
        return shards.sample_frames(shards.training, batch, rng)

    yield from read_ahead(read, range(first, last))


def validation_frames(shards: ShardSet, seed: int) -> np.ndarray:
    """A fixed sample of frames from the shards held back, uint8 (N, 64, 64, 3)."""
    rng = np.random.default_rng([seed, Seeds.VISION])
    return shards.sample_frames(shards.validation, VALIDATION_FRAMES, rng)


@torch.inference_mode()
def validate(model: Vision, frames: np.ndarray) -> float:
    """PSNR in decibels of the posterior mean's reconstructions."""
    device = next(model.parameters()).device
    errors = []
    for batch in np.array_split(frames, max(1, len(frames) // 128)):
        inputs = to_input(batch, device)
        errors.append((model.decode(model.encode(inputs)[0]) - inputs).square().mean().cpu())
    return psnr(torch.stack(errors).mean()).item()


@torch.inference_mode()
def comparison(model: Vision, frames: np.ndarray) -> torch.Tensor:
    """Some frames above their reconstructions, (SHOWN, 3, 128, 64) in 0..1."""
    inputs = to_input(frames[:SHOWN], next(model.parameters()).device)
    return torch.cat([inputs, model.decode(model.encode(inputs)[0])], dim=2).cpu()
