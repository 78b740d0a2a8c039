"""The joint stage: train V and M together, starting from the results of their own stages.

Trained alone, V spends its latents on what fills the picture, and M has to take them as they are.
Trained together at a low learning rate, V keeps what M can predict and what actions change: an
inverse-dynamics head predicts the action from the latents before and after it.

The losses are weighted in the order in which the parts depend on each other: V first, since the
others read its latents, then M, then the heads that read both. Without ``joint.steps`` the stage is
skipped.
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
from pretrain.loop import Loop, cosine, read_ahead
from pretrain.stage import Seeds, Stage, choose_device, seed_of
from pretrain.stages import collect, memory, perception, vision
from retro_common.config import to_dict

VALIDATE_EVERY = 500
INVERSE_HIDDEN = 256
"""units of the hidden layer of the inverse dynamics"""


class InverseDynamics(nn.Module):
    """Predicts the action between two latents."""

    def __init__(self, latent: int, actions: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * latent, INVERSE_HIDDEN), nn.ReLU(), nn.Linear(INVERSE_HIDDEN, actions)
        )

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Logits (..., A) of the action taken on the latent `before` (..., Z), followed by `after`.

        The difference carries the information; it is an input so that it need not be learnt.
        """
        return self.layers(torch.cat([before, after - before], dim=-1))


class JointModel(nn.Module):
    """The networks that this stage trains."""

    def __init__(self, config: PretrainConfig):
        super().__init__()
        self.vision, self.memory = Vision(config.agent.vision), memory.build(config)
        self.inverse = InverseDynamics(config.agent.vision.latent, len(config.agent.actions))


class Batch(NamedTuple):
    """Chunks of rollouts with their frames."""

    frames: np.ndarray
    """the frames that exist, lane by lane in order, uint8 (N, 64, 64, 3)"""
    present: torch.Tensor
    """which timesteps they belong to, bool (B, T + 1)"""
    sequences: Sequences
    """actions, rewards, ends and masks; its latents are empty"""


def stage(config: PretrainConfig) -> Stage:
    settings = {
        "joint": to_dict(config.joint),
        "vision": {"kl_weight": config.vision.kl_weight},
        "seed": config.seed,
    }
    return Stage("joint", config.out / "joint", settings, (memory.stage(config),))


def last_stage(config: PretrainConfig) -> Stage:
    """The stage whose V and M the controller uses: this one, or `memory` where it is skipped."""
    return stage(config) if config.joint.steps else memory.stage(config)


def load(config: PretrainConfig) -> tuple[Vision, Memory]:
    """The V and M that the controller uses, and that the bundle holds."""
    if not config.joint.steps:
        return perception.load(config), memory.load(config)
    model = JointModel(config)
    stage(config).load_trained(model)
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
    work = stage(config).open(fresh)
    if work.finished:
        print(f"joint: already done ({work.folder})")
        return
    device = choose_device(config.device)
    shards = collect.open_shards(config)
    frames_held_out = vision.validation_frames(shards, config.seed)

    torch.manual_seed(seed_of(config.seed, Seeds.JOINT))
    model = JointModel(config)
    model.vision.load_state_dict(perception.load(config).state_dict())
    model.memory.load_state_dict(memory.load(config).state_dict())
    model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    clipped = [*model.memory.parameters(), *model.inverse.parameters()]
    lane_seed = seed_of(config.seed, Seeds.JOINT, 1)
    lanes = without_latents(shards, shards.training, settings.batch, settings.sequence, lane_seed)
    held_out = without_latents(shards, shards.validation, 4, settings.sequence, lane_seed)
    generator = torch.Generator(device)
    bfloat16 = computes_in_bfloat16(config.vision.precision, device)
    state = model.memory.initial_state(settings.batch)
    carried = {"state": tuple(state), "epoch": 0, "position": 0}
    with Loop(
        work, settings.steps, track=config.track, carried=carried, model=model, optimizer=optimizer
    ) as loop:
        state = State(*(tensor.to(device) for tensor in carried["state"]))
        stream = training_batches(lanes, carried["epoch"], carried["position"])
        batches = read_ahead(lambda _: next(stream), range(loop.first, settings.steps))
        for step, (epoch, position, batch) in zip(loop, batches, strict=False):
            generator.manual_seed(seed_of(config.seed, Seeds.JOINT, 2, step))
            loss, scalars, state = joint_loss(model, batch, state, config, generator, bfloat16)
            loop.where = f" (epoch {epoch}, batch {position - 1})"
            rate = settings.learning_rate * cosine(step, settings.steps)
            loop.descend(loss, optimizer, rate, clip=clipped)
            carried.update(state=tuple(state), epoch=epoch, position=position)
            if loop.logs:
                values = {f"joint/{name}": value for name, value in scalars.items()}
                loop.log({"losses/joint": loss, **values}, f"nll {scalars['nll'].item():.3f}")
            if loop.every(VALIDATE_EVERY):
                quality = vision.validate(model.vision, frames_held_out)
                loop.log({"joint/validation_psnr": quality})
    quality = vision.validate(model.vision, frames_held_out)
    judged = validate(model, held_out, config)
    facts = {f"validation_{name}": value for name, value in judged.items()}
    work.finish(validation_psnr=quality, **facts, timesteps=shards.timesteps(shards.training))
    print(
        f"joint: {quality:.1f} dB, {judged['nll']:.3f} nats per latent unit, inverse dynamics right"
        f" for {judged['inverse_accuracy']:.0%} of the actions, on shards not trained on"
    )


def without_latents(
    shards: ShardSet, indices: Sequence[int], lanes: int, sequence: int, seed: int
) -> Lanes:
    """Lanes as in M's training but with empty latents: here V encodes frames in the loop."""
    empty = [np.zeros((len(shard), 0), np.float16) for shard in shards.shards]
    nothing = [{"mean": array, "logvar": array} for array in empty]
    return Lanes(shards, indices, nothing, lanes, sequence, seed)


def training_batches(lanes: Lanes, epoch: int, position: int) -> Iterator[tuple[int, int, Batch]]:
    """Endless batches from step `position` of `epoch` on, each with the position of the next."""
    while True:
        steps = lanes.plan(epoch)
        for index in range(position, len(steps)):
            yield epoch, index + 1, read(lanes, steps[index])
        epoch, position = epoch + 1, 0


def read(lanes: Lanes, chunks: Sequence[Chunk | None]) -> Batch:
    """The batch of one step of a plan."""
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
    """Loss and scalars of one batch, and M's state to carry on, detached from the graph.

    Each part is a loss per latent unit before it is weighted, so that weights are comparable. M's
    gradient reaches V through the latents that M reads, not through the target: V would make the
    target easy to predict by making it uninformative.
    """
    settings, device = config.joint, state.h.device
    sequences, present = batch.sequences.to(device), batch.present.to(device)
    frames = to_input(batch.frames, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        mean, logvar = model.vision.encode(frames)
        z = sample(mean, logvar, generator)
        reconstruction = model.vision.decoder(z)
    vision_part, vision_scalars = vision_loss(
        reconstruction.float(),
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
    memory_part, scalars = memory_loss(
        model.memory.predict(hidden, before),
        after.detach(),
        sequences.rewards * config.agent.reward.scale,
        sequences.ends,
        sequences.mask,
        place_weight=config.memory.place_weight if config.agent.vision.player_units else 0.0,
        reward_weight=config.memory.reward_weight * settings.head_weight / settings.memory_weight,
        end_weight=config.memory.end_weight * settings.head_weight / settings.memory_weight,
        end_positive_weight=config.memory.end_positive_weight,
    )

    has_next = sequences.mask * (1 - sequences.ends)
    logits = model.inverse(before, after)
    inverse = F.cross_entropy(logits.flatten(0, 1), sequences.actions.flatten(), reduction="none")
    inverse = (inverse * has_next.flatten()).sum() / has_next.sum().clamp_min(1)
    right = (logits.argmax(dim=-1) == sequences.actions).float()

    loss = (
        vision_part / z.shape[1]
        + settings.memory_weight * memory_part
        + settings.inverse_weight * inverse
    )
    scalars = {
        **vision_scalars,
        **scalars,
        "inverse": inverse.detach(),
        "inverse_accuracy": (right * has_next).sum() / has_next.sum().clamp_min(1),
    }
    return loss, scalars, State(state.h.detach(), state.c.detach())


@torch.inference_mode()
def validate(model: JointModel, lanes: Lanes, config: PretrainConfig) -> dict[str, float]:
    """M's NLL in nats per latent unit and the inverse dynamics' accuracy over these lanes."""
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
