"""The joint stage: train V and M together, going on from what their own stages made of them.

V alone spends its latents on what fills the picture, M alone has to take them as they are. Trained
together, at a low learning rate, V keeps what M can foretell, and what actions change: a third
head, the inverse dynamics, has to tell the action from the latents before and after it.

The losses are weighted in the order in which the parts depend on each other: V first, since all
else reads its latents, then M, then what reads both. Without ``joint.steps`` the stage is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agent.models.frames import SIZE
from agent.models.memory import Memory, State, memory_loss
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Vision, sample, to_input, vision_loss
from pretrain.config import PretrainConfig
from pretrain.data.latents import Chunk, Lanes, Sequences
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
from pretrain.stages import collect, memory, vision
from retro_common.config import to_dict

COMPONENT = 6  # this stage's place in the run's seed
VALIDATE_EVERY = 500


class InverseDynamics(nn.Module):
    """Which action lies between two latents?"""

    def __init__(self, latent: int, hidden: int, actions: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * latent, hidden), nn.ReLU(), nn.Linear(hidden, actions)
        )

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Logits (..., A) of the action taken on the latent `before` (..., Z), followed by `after`.

        The difference is what tells; it is given beside the latent, not left to be found.
        """
        return self.layers(torch.cat([before, after - before], dim=-1))


class JointModel(nn.Module):
    """What this stage trains."""

    def __init__(self, config: PretrainConfig):
        super().__init__()
        self.vision, self.memory = Vision(config.agent.vision), memory.build(config)
        self.inverse = InverseDynamics(
            config.agent.vision.latent, config.joint.inverse_hidden, len(config.agent.actions)
        )


class Batch(NamedTuple):
    """Chunks of rollouts with their frames.

    Attributes:
        frames: uint8 (N, 64, 64, 3), the frames that are there: lane by lane, in order.
        present: bool (B, T + 1), which timesteps they are of.
        sequences: all else; its latents are empty.
    """

    frames: np.ndarray
    present: torch.Tensor
    sequences: Sequences


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    settings = {
        "training": to_dict(config.joint),
        "kl_weight": config.vision.kl_weight,
        "seed": config.seed,
        "memory": memory.stage(config).fingerprint,
    }
    return Stage("joint", config.out / "joint", settings, fresh)


def last_stage(config: PretrainConfig) -> Stage:
    """The stage that V and M come from: this one, or `memory` where this one is off."""
    return stage(config) if config.joint.steps else memory.stage(config)


def load(config: PretrainConfig) -> tuple[Vision, Memory]:
    """The V and M that the controller builds on, and that the bundle holds."""
    if not config.joint.steps:
        return vision.load(config), memory.load(config)
    model = JointModel(config)
    model.load_state_dict(stage(config).trained())
    return model.vision.eval(), model.memory.eval()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train V and M together, going on from the last checkpoint.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    settings = config.joint
    if not settings.steps:
        print("joint: off (joint.steps is 0)")
        return
    work = stage(config, fresh)
    if work.finished:
        print(f"joint: already done ({work.folder})")
        return
    device = choose_device(config.device)
    shards = ShardSet(collect.shard_folder(config), collect.shard_names(config))
    frames_held_back = vision.validation_frames(shards, config.seed)

    torch.manual_seed(seed_of(config.seed, COMPONENT))
    model = JointModel(config)
    model.vision.load_state_dict(vision.load(config).state_dict())
    model.memory.load_state_dict(memory.load(config).state_dict())
    model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    not_v = [*model.memory.parameters(), *model.inverse.parameters()]
    state, first, epoch, position = model.memory.initial_state(settings.batch), 0, 0, 0
    if checkpoint := work.restore():
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        state = State(*(tensor.to(device) for tensor in checkpoint["state"]))
        first, epoch, position = checkpoint["step"], checkpoint["epoch"], checkpoint["position"]

    def save(step: int) -> None:
        work.save(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "state": tuple(state),
                "step": step,
                "epoch": epoch,
                "position": position,
            }
        )

    lane_seed = seed_of(config.seed, COMPONENT, 1)
    lanes = without_latents(shards, shards.training, settings.batch, settings.sequence, lane_seed)
    held_back = without_latents(shards, shards.validation, 4, settings.sequence, lane_seed)
    generator = torch.Generator(device)
    bfloat16 = computes_in_bfloat16(config.vision.precision, device)
    with (
        StopRequest() as stop,
        Meter("joint", settings.steps, "steps", first) as meter,
        work.writer(first) as writer,
    ):
        stream = training_batches(lanes, epoch, position)
        following = read_ahead(lambda _: next(stream), range(first, settings.steps))
        for step in range(first, settings.steps):
            epoch, position, batch = next(following)
            generator.manual_seed(seed_of(config.seed, COMPONENT, 2, step))
            set_learning_rate(optimizer, settings.learning_rate * cosine(step, settings.steps))
            loss, scalars, state = joint_loss(model, batch, state, config, generator, bfloat16)
            if not torch.isfinite(loss):
                raise Diverged(
                    f"joint: the loss is {loss.item()} at step {step} (epoch {epoch}, batch"
                    f" {position - 1}); the last good checkpoint is {work.folder}/checkpoint.pt"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(not_v, config.memory.max_grad_norm)
            optimizer.step()
            if step % 20 == 0:
                writer.add_scalar("losses/joint", loss.item(), step)
                for name, value in scalars.items():
                    writer.add_scalar(f"joint/{name}", value.item(), step)
                meter.update(step, f"nll {scalars['nll'].item():.3f}")
            if (step + 1) % VALIDATE_EVERY == 0:
                quality = vision.validate(model.vision, frames_held_back)
                writer.add_scalar("joint/validation_psnr", quality, step)
            if stop.asked:
                save(step + 1)
                raise Stopped
            if work.due():
                save(step + 1)
        meter.update(settings.steps)
    save(settings.steps)
    quality = vision.validate(model.vision, frames_held_back)
    judged = validate(model, held_back, config)
    facts = {f"validation_{name}": value for name, value in judged.items()}
    work.finish(validation_psnr=quality, **facts, timesteps=shards.timesteps(shards.training))
    print(
        f"joint: {quality:.1f} dB, {judged['nll']:.3f} nats per latent unit,"
        f" {judged['inverse_accuracy']:.0%} of actions told, on shards not trained on"
    )


def without_latents(
    shards: ShardSet, indices: Sequence[int], lanes: int, sequence: int, seed: int
) -> Lanes:
    """Lanes as M trains on, with empty latents: here V encodes the frames in the training loop."""
    empty = [np.zeros((len(shard), 0), np.float16) for shard in shards.shards]
    nothing = [{"mean": array, "logvar": array} for array in empty]
    return Lanes(shards, indices, nothing, lanes, sequence, seed)


def training_batches(lanes: Lanes, epoch: int, position: int) -> Iterator[tuple[int, int, Batch]]:
    """Batches without end from step `position` of `epoch` on, each with where the next one is."""
    while True:
        steps = lanes.plan(epoch)
        for index in range(position, len(steps)):
            yield epoch, index + 1, read(lanes, steps[index])
        epoch, position = epoch + 1, 0


def read(lanes: Lanes, chunks: Sequence[Chunk | None]) -> Batch:
    """The frames and all else of one step of a plan."""
    present = torch.zeros(len(chunks), lanes.sequence + 1, dtype=torch.bool)
    parts = [np.zeros((0, SIZE, SIZE, 3), np.uint8)]
    for lane, chunk in enumerate(chunks):
        if chunk is not None:
            reach = min(chunk.last + 1, chunk.episode.last)
            present[lane, : reach - chunk.first] = True
            parts.append(lanes.shards.shards[chunk.episode.shard].frames(chunk.first, reach))
    return Batch(np.concatenate(parts), present, lanes.batch(chunks))


def joint_loss(
    model: JointModel,
    batch: Batch,
    state: State,
    config: PretrainConfig,
    generator: torch.Generator,
    bfloat16: bool,
) -> tuple[torch.Tensor, dict[str, torch.Tensor], State]:
    """Loss and scalars of one batch, and M's state to carry on, cut from the graph.

    Each part is counted per latent unit before it is weighted, so that the weights compare. M's
    gradient reaches V through the latents that M reads, not through the one that it foretells:
    V would make that one easy by letting it say less.
    """
    settings, device = config.joint, state.h.device
    sequences, present = batch.sequences.to(device), batch.present.to(device)
    frames = to_input(batch.frames, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        mean, logvar = model.vision.encode(frames)
        z = sample(mean, logvar, generator)
        drawn = model.vision.decoder(z)
    seen, vision_scalars = vision_loss(
        drawn.float(),
        frames,
        mean,
        logvar,
        kl_weight=config.vision.kl_weight,
        free_nats=config.vision.free_nats,
        error_weight=config.vision.error_weight,
        focus=vision.focus(config, mean),
    )

    latents = z.new_zeros(*present.shape, z.shape[1]).masked_scatter(present.unsqueeze(-1), z)
    before, after = latents[:, :-1], latents[:, 1:]
    keep = 1 - sequences.fresh
    hidden, state = model.memory(before, sequences.actions, State(state.h * keep, state.c * keep))
    foretold, scalars = memory_loss(
        model.memory.predict(hidden, before),
        after.detach(),
        sequences.rewards * config.agent.reward.scale,
        sequences.ends,
        sequences.mask,
        place_weight=config.memory.place_weight,
        reward_weight=config.memory.reward_weight * settings.head_weight / settings.memory_weight,
        end_weight=config.memory.end_weight * settings.head_weight / settings.memory_weight,
        end_positive_weight=config.memory.end_positive_weight,
    )

    follows = sequences.mask * (1 - sequences.ends)  # the timesteps that have a next latent
    logits = model.inverse(before, after)
    told = F.cross_entropy(logits.flatten(0, 1), sequences.actions.flatten(), reduction="none")
    told = (told * follows.flatten()).sum() / follows.sum().clamp_min(1)
    right = (logits.argmax(dim=-1) == sequences.actions).float()

    loss = (
        settings.vision_weight * seen / z.shape[1]
        + settings.memory_weight * foretold
        + settings.inverse_weight * told
    )
    scalars = {
        **vision_scalars,
        **scalars,
        "inverse": told.detach(),
        "inverse_accuracy": (right * follows).sum() / follows.sum().clamp_min(1),
    }
    return loss, scalars, State(state.h.detach(), state.c.detach())


@torch.inference_mode()
def validate(model: JointModel, lanes: Lanes, config: PretrainConfig) -> dict[str, float]:
    """M's NLL in nats per latent unit, and the share of actions told, over these lanes."""
    device = next(model.parameters()).device
    state = model.memory.initial_state(lanes.lanes)
    generator = torch.Generator(device).manual_seed(0)
    totals, weight = {"nll": 0.0, "inverse_accuracy": 0.0}, 0.0
    for chunks in lanes.plan(0):
        batch = read(lanes, chunks)
        _, scalars, state = joint_loss(model, batch, state, config, generator, bfloat16=False)
        counted = (batch.sequences.mask * (1 - batch.sequences.ends)).sum().item()
        for name in totals:
            totals[name] += scalars[name].item() * counted
        weight += counted
    return {name: total / max(weight, 1.0) for name, total in totals.items()}
