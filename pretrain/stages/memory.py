"""The memory stage: train M on the latents of the shards and the recorded actions."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from agent.models.memory import Memory, State, memory_loss
from agent.models.vision import sample
from pretrain.config import PretrainConfig
from pretrain.data.latents import Lanes, Sequences, encode_shards
from pretrain.loop import Loop, cosine
from pretrain.stage import Seeds, Stage, choose_device, seed_of
from pretrain.stages import collect, perception
from retro_common.config import to_dict

VALIDATE_EVERY = 250
CONTEXT, OPEN_LOOP = 5, 30
"""timesteps that an open loop sees, and then predicts"""


def stage(config: PretrainConfig) -> Stage:
    settings = {
        "agent": {
            "memory": to_dict(config.agent.memory),
            "reward": {"scale": config.agent.reward.scale},
        },
        "memory": to_dict(config.memory),
        "seed": config.seed,
    }
    return Stage("memory", config.out / "memory", settings, (perception.last_stage(config),))


def build(config: PretrainConfig) -> Memory:
    """An untrained M of the configured size."""
    return Memory(config.agent.memory, config.agent.vision, len(config.agent.actions))


def load(config: PretrainConfig) -> Memory:
    """The M that this stage has trained."""
    model = build(config)
    stage(config).load_trained(model)
    return model.eval()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train M, going on from the last checkpoint.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    work = stage(config).open(fresh)
    if work.finished:
        print(f"memory: already done ({work.folder})")
        return
    settings, device = config.memory, choose_device(config.device)
    shards = collect.open_shards(config)
    latents = encode_shards(perception.load(config), shards, work.folder / "latents", device)

    torch.manual_seed(seed_of(config.seed, Seeds.MEMORY))
    model = build(config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    lane_seed = seed_of(config.seed, Seeds.MEMORY, 1)
    lanes = Lanes(shards, shards.training, latents, settings.batch, settings.sequence, lane_seed)
    held_out = Lanes(shards, shards.validation, latents, 8, settings.sequence, lane_seed)
    generator = torch.Generator(device)
    carried = {"state": tuple(model.initial_state(settings.batch)), "epoch": 0, "position": 0}
    with Loop(
        work, settings.steps, track=config.track, carried=carried, model=model, optimizer=optimizer
    ) as loop:
        state = State(*(tensor.to(device) for tensor in carried["state"]))
        batches = training_batches(lanes, carried["epoch"], carried["position"])
        for step in loop:
            epoch, position, batch = next(batches)
            generator.manual_seed(seed_of(config.seed, Seeds.MEMORY, 2, step))
            open_loop = settings.dream_every > 0 and (step + 1) % settings.dream_every == 0
            loss, scalars, state = sequence_loss(
                model, batch.to(device), state, config, generator, open_loop
            )
            loop.where = f" (epoch {epoch}, batch {position - 1})"
            rate = settings.learning_rate * cosine(step, settings.steps)
            loop.descend(loss, optimizer, rate, clip=model.parameters())
            carried.update(state=tuple(state), epoch=epoch, position=position)
            if loop.logs:
                values = {f"memory/{name}": value for name, value in scalars.items()}
                loop.log({"losses/memory": loss, **values}, f"nll {scalars['nll'].item():.3f}")
            if loop.every(VALIDATE_EVERY):
                loop.log({"memory/validation_nll": validate(model, held_out, config)})
    nll = validate(model, held_out, config)
    work.finish(validation_nll=nll, timesteps=shards.timesteps(shards.training))
    print(f"memory: {nll:.3f} nats per latent unit on shards not trained on")


def training_batches(
    lanes: Lanes, epoch: int, position: int
) -> Iterator[tuple[int, int, Sequences]]:
    """Endless batches from step `position` of `epoch` on, each with the position of the next."""
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
    """Loss and scalars of one batch, and the state to carry on, detached from the graph.

    The latents, targets included, are sampled anew from V's posterior. An open-loop step starts
    from an empty state, sees CONTEXT timesteps and continues from M's own predictions with the
    recorded actions: trained only one step ahead, M never sees the consequences of its own errors
    (compare scheduled sampling, arXiv 1506.03099).
    """
    settings = config.memory
    keep = 1 - batch.fresh
    latents = sample(batch.mean, batch.logvar, generator)
    seen, actions, first = latents[:, :-1], batch.actions, State(state.h * keep, state.c * keep)
    if open_loop:
        with torch.no_grad():
            _, state = model(seen, actions, first)
        hidden, seen = dream(model, seen[:, : CONTEXT + OPEN_LOOP], actions)
    else:
        hidden, state = model(seen, actions, first)
    length = hidden.shape[1]
    loss, scalars = memory_loss(
        model.predict(hidden, seen),
        latents[:, 1 : length + 1],
        batch.rewards[:, :length] * config.agent.reward.scale,
        batch.ends[:, :length],
        batch.mask[:, :length],
        place_weight=settings.place_weight if config.agent.vision.player_units else 0.0,
        reward_weight=settings.reward_weight,
        end_weight=settings.end_weight,
        end_positive_weight=settings.end_positive_weight,
    )
    return loss, scalars, State(state.h.detach(), state.c.detach())


def dream(
    model: Memory, latents: torch.Tensor, actions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read CONTEXT timesteps of latents (B, T, Z) from an empty state on, then M's predicted means.

    Args:
        actions: int64, of at least T timesteps.

    Returns:
        Hidden states after each timestep (B, T, H), and the latents read (B, T, Z). Predictions are
        detached from the graph before they are read.
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
