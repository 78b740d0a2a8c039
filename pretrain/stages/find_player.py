"""The search stage: V learns to find the thing that is played, and nobody tells where it is.

It begins with the few frames in which one thing alone moved as the actions said
(`pretrain.data.movers`). A network that learnt from these finds it in most other frames too, but takes
lava for it, which it never saw. So it is followed through all rollouts: lava is there for a while,
the thing that is played always, and it does not jump (`pretrain.data.tracks`). The network then learns
from the paths, in some rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Search, place_loss, to_input
from pretrain.config import PretrainConfig
from pretrain.data.movers import find_movers
from pretrain.data.shards import ShardSet
from pretrain.data.tracks import likeliest_paths
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
from pretrain.stages import collect
from retro_common.config import to_dict
from retro_common.errors import UsageError

COMPONENT = 7  # this stage's place in the run's seed
FEWEST = 32
"""movers; with fewer there is nothing to begin with"""
TOGETHER = 16
"""shards that are looked through side by side"""
LOOK = 256
"""frames per batch while looking through them"""

Sample = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""of so many frames, uint8 (B, 64, 64, 3), and the thing's places, (B, 2)"""


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    settings = {
        "training": to_dict(config.search),
        "actions": list(config.agent.actions),
        "seed": config.seed,
        "rollouts": collect.stage(config).fingerprint,
    }
    return Stage("search", config.out / "search", settings, fresh)


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train V's search, going on after the last round that was finished.

    Raises:
        Stopped: asked to stop; the rounds so far are kept.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
        UsageError: hardly anything moves in these rollouts.
    """
    if not config.agent.vision.glimpse:
        print("search: off (agent.vision.glimpse is 0)")
        return
    work = stage(config, fresh)
    if work.finished:
        print(f"search: already done ({work.folder})")
        return
    settings, device = config.search, choose_device(config.device)
    shards = ShardSet(collect.shard_folder(config), collect.shard_names(config))
    torch.manual_seed(seed_of(config.seed, COMPONENT))
    model = Search().to(device, memory_format=torch.channels_last)
    done, moved = 0, 1.0
    if checkpoint := work.restore():
        model.load_state_dict(checkpoint["model"])
        done = checkpoint["rounds"]
    with StopRequest() as stop, work.writer(done) as writer:
        for number in range(done, settings.rounds + 1):
            if number == 0:
                sample = sample_movers(shards, config)
                steps = settings.steps
            else:
                sample, moved = sample_tracks(model, shards, config, device, stop)
                steps = settings.round_steps
                writer.add_scalar("search/moved_by_tracking", moved, number)
            losses = []
            for loss in train(model, sample, number, steps, config, device):
                losses.append(loss)
                if stop.asked:
                    raise Stopped
            loss = float(np.mean(losses[-100:]))
            writer.add_scalar("losses/search", loss, number)
            work.save({"model": model.state_dict(), "rounds": number + 1})
    work.finish(loss=loss, moved_by_tracking=moved)
    print(f"search: followed through all frames, it was elsewhere in {moved:.1%} of them")


def train(
    model: Search,
    sample: Sample,
    number: int,
    steps: int,
    config: PretrainConfig,
    device: torch.device,
) -> Iterator[float]:
    """One round of gradient steps, with an optimiser of its own; yields the loss after each."""
    settings = config.search
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    bfloat16 = computes_in_bfloat16(config.vision.precision, device)

    def read(step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([config.seed, COMPONENT, number, step])
        return sample(settings.batch, rng)

    batches = read_ahead(read, range(steps))
    with Meter(f"search, round {number} of {settings.rounds}", steps, "steps") as meter:
        for step, (frames, places) in enumerate(batches):
            set_learning_rate(optimizer, settings.learning_rate * cosine(step, steps))
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                logits = model(to_input(frames, device))
            loss = place_loss(logits.float(), torch.from_numpy(places).to(device))
            if not torch.isfinite(loss):
                raise Diverged(
                    f"search: the loss is {loss.item()} at step {step} of round {number} (seed"
                    f" {config.seed}); the last good checkpoint is that of the round before"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            meter.update(step + 1, f"cross-entropy {loss.item():.2f}")
            yield loss.item()


def sample_movers(shards: ShardSet, config: PretrainConfig) -> Sample:
    """Frames in which one thing alone moves.

    Raises:
        UsageError: there are hardly any.
    """
    movers = find_movers(shards, shards.training, config.agent.actions)
    if len(movers) < FEWEST:
        raise UsageError(
            f"search: one thing alone moves in {len(movers)} frames of the rollouts, too few to"
            " learn from: collect more, or set agent.vision.glimpse to 0"
        )

    def sample(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(len(movers), size=count)
        where = zip(movers.shards[drawn], movers.rows[drawn], strict=True)
        frames = np.stack([shards.shards[shard].frame(row) for shard, row in where])
        return frames, movers.places[drawn]

    return sample


def sample_tracks(
    model: Search,
    shards: ShardSet,
    config: PretrainConfig,
    device: torch.device,
    stop: StopRequest,
) -> tuple[Sample, float]:
    """All frames of the training shards, and where the thing is on its likeliest path.

    Returns:
        What draws from them, and the share of frames in which tracking moved the thing.
    """
    places, elsewhere = [], 0.0
    groups = [
        shards.training[first : first + TOGETHER]
        for first in range(0, len(shards.training), TOGETHER)
    ]
    bfloat16 = computes_in_bfloat16(config.vision.precision, device)
    with Meter("follow", len(groups), "groups of shards") as meter:
        for done, group in enumerate(groups):
            found, moved = follow(model, [shards.shards[i] for i in group], device, bfloat16)
            places.append(found)
            elsewhere += moved
            meter.update(done + 1)
            if stop.asked:
                raise Stopped
    everywhere = np.concatenate(places)

    def sample(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(len(everywhere), size=count)
        return shards.frames_at(shards.training, drawn), everywhere[drawn]

    return sample, elsewhere / len(everywhere)


@torch.inference_mode()
def follow(
    model: Search, shards: list, device: torch.device, bfloat16: bool
) -> tuple[np.ndarray, int]:
    """The thing's places in all frames of these shards, one after the other: (N, 2).

    Returns:
        The places, and in how many frames they are not where the network alone would have it.
    """
    length = max(map(len, shards))
    size = model.prior.shape[0]
    logits = torch.zeros(len(shards), length, size, size)
    starts = torch.zeros(len(shards), length, dtype=torch.bool)
    for film, shard in enumerate(shards):
        starts[film, : len(shard)] = torch.from_numpy(np.array(shard.starts))
        for first in range(0, len(shard), LOOK):
            last = min(first + LOOK, len(shard))
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                seen = model(to_input(shard.frames(first, last), device))
            logits[film, first:last] = seen.float().cpu()
    paths = likeliest_paths(logits, starts)
    places, moved = [], 0
    for film, shard in enumerate(shards):
        seen, path = logits[film, : len(shard)], paths[film, : len(shard)]
        moved += int((seen.flatten(1).argmax(dim=1) != path).sum())
        places.append(model.place_near(seen, path).numpy())
    return np.concatenate(places), moved
