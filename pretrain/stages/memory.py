"""The memory stage: train M on the latents of the shards and the actions taken."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from agent.models.memory import Memory, State, memory_loss
from agent.models.vision import sample
from analysis.episodes import CONTEXT, HORIZONS
from pretrain.config import PretrainConfig
from pretrain.data.latents import Lanes, Sequences, encode_shards
from pretrain.data.shards import ShardSet
from pretrain.errors import Diverged, Stopped
from pretrain.stage import (
    Meter,
    Stage,
    StopRequest,
    choose_device,
    cosine,
    seed_of,
    set_learning_rate,
)
from pretrain.stages import collect, vision
from retro_common.config import to_dict

COMPONENT = 3  # this stage's place in the run's seed
VALIDATE_EVERY = 250


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    settings = {
        "memory": to_dict(config.agent.memory),
        "training": to_dict(config.memory),
        "reward_scale": config.agent.reward.scale,
        "seed": config.seed,
        "vision": vision.stage(config).fingerprint,
    }
    return Stage("memory", config.out / "memory", settings, fresh)


def build(config: PretrainConfig) -> Memory:
    """An untrained M of the configured size."""
    return Memory(config.agent.memory, config.agent.vision, len(config.agent.actions))


def load(config: PretrainConfig) -> Memory:
    """The M that this stage has trained."""
    model = build(config)
    model.load_state_dict(stage(config).trained())
    return model.eval()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train M, going on from the last checkpoint.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    work = stage(config, fresh)
    if work.finished:
        print(f"memory: already done ({work.folder})")
        return
    settings, device = config.memory, choose_device(config.device)
    shards = ShardSet(collect.shard_folder(config), collect.shard_names(config))
    latents = encode_shards(vision.load(config), shards, work.folder / "latents", device)

    torch.manual_seed(seed_of(config.seed, COMPONENT))
    model = build(config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    state, first, epoch, position = model.initial_state(settings.batch), 0, 0, 0
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
    lanes = Lanes(shards, shards.training, latents, settings.batch, settings.sequence, lane_seed)
    held_back = Lanes(shards, shards.validation, latents, 8, settings.sequence, lane_seed)
    generator = torch.Generator(device)
    with (
        StopRequest() as stop,
        Meter("memory", settings.steps, "steps", first) as meter,
        work.writer(first) as writer,
    ):
        batches = training_batches(lanes, epoch, position)
        for step in range(first, settings.steps):
            epoch, position, batch = next(batches)
            generator.manual_seed(seed_of(config.seed, COMPONENT, 2, step))
            set_learning_rate(optimizer, settings.learning_rate * cosine(step, settings.steps))
            open_loop = settings.dream_every > 0 and (step + 1) % settings.dream_every == 0
            loss, scalars, state = sequence_loss(
                model, batch.to(device), state, config, generator, open_loop
            )
            if not torch.isfinite(loss):
                raise Diverged(
                    f"memory: the loss is {loss.item()} at step {step} (epoch {epoch}, batch"
                    f" {position - 1}); the last good checkpoint is {work.folder}/checkpoint.pt"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            optimizer.step()
            if step % 20 == 0:
                writer.add_scalar("losses/memory", loss.item(), step)
                for name, value in scalars.items():
                    writer.add_scalar(f"memory/{name}", value.item(), step)
                meter.update(step, f"nll {scalars['nll'].item():.3f}")
            if (step + 1) % VALIDATE_EVERY == 0:
                nll = validate(model, held_back, config)
                writer.add_scalar("memory/validation_nll", nll, step)
            if stop.asked:
                save(step + 1)
                raise Stopped
            if work.due():
                save(step + 1)
        meter.update(settings.steps)
    save(settings.steps)
    nll = validate(model, held_back, config)
    work.finish(validation_nll=nll, timesteps=shards.timesteps(shards.training))
    print(f"memory: {nll:.3f} nats per latent unit on shards not trained on")


def training_batches(
    lanes: Lanes, epoch: int, position: int
) -> Iterator[tuple[int, int, Sequences]]:
    """Batches without end from step `position` of `epoch` on, each with where the next one is."""
    while True:
        steps = lanes.plan(epoch)
        for index in range(position, len(steps)):
            yield epoch, index + 1, lanes.batch(steps[index])
        epoch, position = epoch + 1, 0


def sequence_loss(
    model: Memory,
    batch: Sequences,
    state: State,
    config: PretrainConfig,
    generator: torch.Generator,
    open_loop: bool = False,
) -> tuple[torch.Tensor, dict[str, torch.Tensor], State]:
    """Loss and scalars of one batch, and the state to carry on, cut from the graph.

    The latents are sampled from V's posterior, anew each time: the next one, too. In an open loop M
    forgets what was before, sees CONTEXT timesteps and dreams on with the actions that were taken;
    foretelling one step at a time it never learns where its own errors lead (compare scheduled
    sampling, arXiv 1506.03099).
    """
    settings = config.memory
    keep = 1 - batch.fresh
    latents = sample(batch.mean, batch.logvar, generator)
    seen, actions, first = latents[:, :-1], batch.actions, State(state.h * keep, state.c * keep)
    if open_loop:
        with torch.no_grad():
            _, state = model(seen, actions, first)
        hidden, seen = dream(model, seen[:, : CONTEXT + HORIZONS[-1]], actions)
    else:
        hidden, state = model(seen, actions, first)
    length = hidden.shape[1]
    loss, scalars = memory_loss(
        model.predict(hidden, seen),
        latents[:, 1 : length + 1],
        batch.rewards[:, :length] * config.agent.reward.scale,
        batch.ends[:, :length],
        batch.mask[:, :length],
        place_weight=settings.place_weight,
        reward_weight=settings.reward_weight,
        end_weight=settings.end_weight,
        end_positive_weight=settings.end_positive_weight,
    )
    return loss, scalars, State(state.h.detach(), state.c.detach())


def dream(
    model: Memory, latents: torch.Tensor, actions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read CONTEXT timesteps of latents (B, T, Z) from an empty state on, then M's own means.

    Args:
        actions: int64, of T timesteps at least.

    Returns:
        Hidden states after each timestep (B, T, H), and the latents read (B, T, Z). What M expects
        is cut from the graph before it is read.
    """
    length, start = latents.shape[1], model.initial_state(len(latents))
    hidden, state = model(latents[:, :CONTEXT], actions[:, :CONTEXT], start)
    hiddens, read = [hidden], [latents[:, :CONTEXT]]
    for t in range(CONTEXT, length):
        with torch.no_grad():
            expected = model.predict(hiddens[-1][:, -1], read[-1][:, -1]).mean()
        state = model.step(expected, actions[:, t], state)
        hiddens.append(state.h.unsqueeze(1))
        read.append(expected.unsqueeze(1))
    return torch.cat(hiddens, dim=1), torch.cat(read, dim=1)


@torch.inference_mode()
def validate(model: Memory, lanes: Lanes, config: PretrainConfig) -> float:
    """Mean NLL in nats per latent unit over all episodes of these lanes."""
    device = next(model.parameters()).device
    state, generator = model.initial_state(lanes.lanes), torch.Generator(device).manual_seed(0)
    total, weight = 0.0, 0.0
    for chunks in lanes.plan(0):
        batch = lanes.batch(chunks).to(device)
        _, scalars, state = sequence_loss(model, batch, state, config, generator)
        counted = (batch.mask * (1 - batch.ends)).sum().item()
        total, weight = total + scalars["nll"].item() * counted, weight + counted
    return total / max(weight, 1.0)
