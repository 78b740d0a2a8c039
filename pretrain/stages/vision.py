"""The vision stage: train V on the frames of the shards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Vision, focus_on_place, psnr, to_input, vision_loss
from pretrain.config import PretrainConfig
from pretrain.data.shards import ShardSet
from pretrain.errors import Diverged, Stopped
from pretrain.stage import (
    Meter,
    Stage,
    StopRequest,
    choose_device,
    cosine,
    read_ahead,
    seed_of,
    set_learning_rate,
)
from pretrain.stages import collect, find_player
from retro_common.config import to_dict

COMPONENT = 2  # this stage's place in the run's seed
VALIDATION_FRAMES = 512
VALIDATE_EVERY = 500


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    settings = {
        "vision": to_dict(config.agent.vision),
        "training": to_dict(config.vision),
        "seed": config.seed,
        "rollouts": collect.stage(config).fingerprint,
        "search": find_player.stage(config).fingerprint if config.agent.vision.glimpse else None,
    }
    return Stage("vision", config.out / "vision", settings, fresh)


def load(config: PretrainConfig) -> Vision:
    """The V that this stage has trained."""
    model = Vision(config.agent.vision)
    model.load_state_dict(stage(config).trained())
    return model.eval()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train V, going on from the last checkpoint.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    work = stage(config, fresh)
    if work.finished:
        print(f"vision: already done ({work.folder})")
        return
    settings, device = config.vision, choose_device(config.device)
    shards = ShardSet(collect.shard_folder(config), collect.shard_names(config))
    validation = validation_frames(shards, config.seed)

    torch.manual_seed(seed_of(config.seed, COMPONENT))
    model = Vision(config.agent.vision).to(device, memory_format=torch.channels_last)
    if model.encoder.search is not None:
        model.encoder.search.load_state_dict(find_player.stage(config).trained())
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    first = 0
    if checkpoint := work.restore():
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        first = checkpoint["step"]

    def save(step: int) -> None:
        work.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step})

    batches = training_batches(shards, settings.batch, config.seed, first, settings.steps)
    generator = torch.Generator(device)
    bfloat16 = computes_in_bfloat16(settings.precision, device)
    with (
        StopRequest() as stop,
        Meter("vision", settings.steps, "steps", first) as meter,
        work.writer(first) as writer,
    ):
        for step, batch in zip(range(first, settings.steps), batches, strict=True):
            frames = to_input(batch, device)
            generator.manual_seed(seed_of(config.seed, COMPONENT, step))
            set_learning_rate(optimizer, settings.learning_rate * cosine(step, settings.steps))
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
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if not torch.isfinite(loss):
                raise Diverged(
                    f"vision: the loss is {loss.item()} at step {step} (batch {step} of seed"
                    f" {config.seed}); the last good checkpoint is {work.folder}/checkpoint.pt"
                )
            if step % 20 == 0:
                values = {name: value.item() for name, value in scalars.items()}
                writer.add_scalar("losses/vision", loss.item(), step)
                for name, value in values.items():
                    writer.add_scalar(f"vision/{name}", value, step)
                meter.update(step, f"psnr {psnr(torch.tensor(values['mse'])):.1f} dB")
            optimizer.step()
            if (step + 1) % VALIDATE_EVERY == 0:
                writer.add_scalar("vision/validation_psnr", validate(model, validation), step)
            if stop.asked:
                save(step + 1)
                raise Stopped
            if work.due():
                save(step + 1)
        meter.update(settings.steps)
    save(settings.steps)
    quality = validate(model, validation)
    work.finish(
        validation_psnr=quality, bfloat16=bfloat16, frames=shards.timesteps(shards.training)
    )
    print(f"vision: {quality:.1f} dB on {len(validation)} frames of shards not trained on")


def focus(config: PretrainConfig, mean: torch.Tensor) -> torch.Tensor | None:
    """How much more each pixel of the frames with these latents (B, Z) counts, if any does."""
    if not config.agent.vision.glimpse:
        return None
    return focus_on_place(mean, config.vision.focus)


def training_batches(
    shards: ShardSet, batch: int, seed: int, first: int, last: int
) -> Iterator[np.ndarray]:
    """The batches of steps first to last - 1, read ahead by a thread.

    The frames of a step depend on the seed and the step alone, so that a run that was stopped sees
    the same ones as a run that was not.
    """

    def read(step: int) -> np.ndarray:
        rng = np.random.default_rng([seed, COMPONENT, step])
        return shards.sample_frames(shards.training, batch, rng)

    yield from read_ahead(read, range(first, last))


def validation_frames(shards: ShardSet, seed: int) -> np.ndarray:
    """A fixed sample of frames from the shards held back, uint8 (N, 64, 64, 3)."""
    rng = np.random.default_rng([seed, COMPONENT])
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
