"""The find_player stage: V's `PlayerFinder` learns to locate the player sprite, without labels.

It begins with the few frames in which a single thing moves in the direction that is held: the
player (`pretrain.data.movers`). A network trained on these finds it in most other frames too, but
also mistakes lava, which was not among them, for it. So the player is tracked through all rollouts,
under the constraint that it is always there and does not jump (`pretrain.data.tracks`), and the
network is trained on the tracks. This is repeated for some rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from agent.models.precision import computes_in_bfloat16
from agent.models.vision import PlayerFinder, place_loss, to_input
from pretrain.config import PretrainConfig
from pretrain.data.movers import find_movers
from pretrain.data.shards import DamagedShard, Shard, ShardSet, open_arrays, save_arrays
from pretrain.data.tracks import likeliest_paths
from pretrain.loop import Loop, cosine, read_ahead
from pretrain.meter import Meter
from pretrain.stage import Seeds, Stage, choose_device, seed_of
from pretrain.stages import collect
from retro_common.config import to_dict
from retro_common.errors import UsageError

FEWEST_MOVERS = 32
"""frames needed to begin with"""
SHARDS_AT_ONCE = 16
"""shards that are tracked side by side"""
FRAMES_AT_ONCE = 256
"""frames per batch while tracking"""

Sample = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""draws so many frames, uint8 (B, 64, 64, 3), and the player's places, (B, 2)"""


def stage(config: PretrainConfig) -> Stage:
    settings = {
        "agent": {"actions": list(config.agent.actions)},
        "find_player": to_dict(config.find_player),
        "seed": config.seed,
    }
    inputs = (collect.stage(config),)
    return Stage("find_player", config.out / "find_player", settings, inputs)


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train V's `PlayerFinder`, going on from the last checkpoint.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
        UsageError: too little moves in these rollouts.
    """
    if not config.agent.vision.player_units:
        print("find_player: off (agent.vision.player_units is 0)")
        return
    work = stage(config).open(fresh)
    if work.finished:
        print(f"find_player: already done ({work.folder})")
        return
    settings, device = config.find_player, choose_device(config.device)
    shards = collect.open_shards(config)
    torch.manual_seed(seed_of(config.seed, Seeds.FIND_PLAYER))
    model = PlayerFinder().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    bfloat16 = computes_in_bfloat16(config.vision.precision, device)
    steps = [settings.steps] + settings.rounds * [settings.round_steps]
    carried = {"moved": 1.0, "losses": []}
    with Loop(
        work, sum(steps), track=config.track, carried=carried, model=model, optimizer=optimizer
    ) as loop:
        round_ends = np.cumsum(steps)
        number, batches = -1, iter(())
        for step in loop:
            if number != (now := int(np.searchsorted(round_ends, step, side="right"))):
                number, begun = now, step - (round_ends[now] - steps[now])
                if begun == 0:  # every round has an optimiser of its own
                    optimizer.state.clear()
                sample = sample_for(number, begun, model, shards, config, device, loop)
                batches = training_batches(sample, number, range(begun, steps[number]), config)
            within = step - (round_ends[number] - steps[number])
            frames, places = next(batches)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                logits = model(to_input(frames, device))
            loss = place_loss(logits.float(), torch.from_numpy(places).to(device))
            loop.where = f" (step {within} of round {number}, seed {config.seed})"
            rate = settings.learning_rate * cosine(within, steps[number])
            loop.descend(loss, optimizer, rate)
            carried["losses"] = [*carried["losses"][-99:], loss.item()]
            note = f"round {number} of {settings.rounds}, cross-entropy {loss.item():.2f}"
            loop.meter.update(step + 1, note)
            if within + 1 == steps[number]:
                recent = carried["losses"][-min(100, steps[number]) :]
                loop.log({"losses/find_player": np.mean(recent)}, at=number)
                if number:
                    loop.log({"find_player/moved_by_tracking": carried["moved"]}, at=number)
    loss, moved = float(np.mean(carried["losses"][-min(100, steps[-1]) :])), carried["moved"]
    work.finish(loss=loss, moved_by_tracking=moved)
    print(f"find_player: tracking corrects the network's place in {moved:.1%} of the frames")


def sample_for(
    number: int,
    begun: int,
    model: PlayerFinder,
    shards: ShardSet,
    config: PretrainConfig,
    device: torch.device,
    loop: Loop,
) -> Sample:
    """The frames and places that round `number` trains on.

    The tracks of a round are kept in a file: a run that is resumed in the middle of the round, at
    its step `begun`, needs those of the network as it was when the round began.
    """
    if number == 0:
        return sample_movers(shards, config)
    path = loop.work.folder / "tracks.safetensors"
    if begun == 0 or not path.exists():
        places, loop.carried["moved"] = track_all(model, shards, config, device, loop)
        save_arrays(path, {"places": places}, {"round": str(number)})
    return sample_tracks(shards, path)


def training_batches(
    sample: Sample, number: int, steps: range, config: PretrainConfig
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of these steps of a round; they depend on seed, round and step alone."""

    def read(step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([config.seed, Seeds.FIND_PLAYER, number, step])
        return sample(config.find_player.batch, rng)

    return read_ahead(read, steps)


def sample_movers(shards: ShardSet, config: PretrainConfig) -> Sample:
    """Samples frames in which only the player moves.

    Raises:
        UsageError: there are too few of them.
    """
    movers = find_movers(shards, shards.training, config.agent.actions)
    if len(movers) < FEWEST_MOVERS:
        raise UsageError(
            f"find_player: a single thing moves in {len(movers)} frames of the rollouts, too few to"
            " learn from: collect more, or set agent.vision.player_units to 0"
        )

    def sample(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(len(movers), size=count)
        where = zip(movers.shards[drawn], movers.rows[drawn], strict=True)
        frames = np.stack([shards.shards[shard].frame(row) for shard, row in where])
        return frames, movers.places[drawn]

    return sample


def sample_tracks(shards: ShardSet, path: Path) -> Sample:
    """Samples from all frames of the training shards, with the places that a file holds."""
    places = open_arrays(path)[0].get("places")
    if places is None or places.shape != (shards.timesteps(shards.training), 2):
        raise DamagedShard(f"{path}: damaged: not the tracks of these shards: add --fresh")

    def sample(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(len(places), size=count)
        return shards.frames_at(shards.training, drawn), places[drawn]

    return sample


def track_all(
    model: PlayerFinder, shards: ShardSet, config: PretrainConfig, device: torch.device, loop: Loop
) -> tuple[np.ndarray, float]:
    """The player's places in all frames of the training shards, (N, 2), by tracking.

    Returns:
        The places, and the share of frames in which they differ from the network's own choice.
    """
    places, moved = [], 0
    groups = [
        shards.training[first : first + SHARDS_AT_ONCE]
        for first in range(0, len(shards.training), SHARDS_AT_ONCE)
    ]
    bfloat16 = computes_in_bfloat16(config.vision.precision, device)
    with Meter("track", len(groups), "groups of shards") as meter:
        for done, group in enumerate(groups):
            found, changed = track(model, [shards.shards[i] for i in group], device, bfloat16)
            places.append(found)
            moved += changed
            meter.update(done + 1)
            loop.stop_if_asked()
    everywhere = np.concatenate(places)
    return everywhere, moved / len(everywhere)


@torch.inference_mode()
def track(
    model: PlayerFinder, shards: list[Shard], device: torch.device, bfloat16: bool
) -> tuple[np.ndarray, int]:
    """The player's places in all frames of these shards, one shard after the other, (N, 2).

    Returns:
        The places, and the number of frames in which they differ from the network's own choice.
    """
    length = max(map(len, shards))
    size = model.prior.shape[0]
    logits = torch.zeros(len(shards), length, size, size)
    starts = torch.zeros(len(shards), length, dtype=torch.bool)
    for row, shard in enumerate(shards):
        starts[row, : len(shard)] = torch.from_numpy(np.array(shard.starts))
        for first in range(0, len(shard), FRAMES_AT_ONCE):
            last = min(first + FRAMES_AT_ONCE, len(shard))
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                found = model(to_input(shard.frames(first, last), device))
            logits[row, first:last] = found.float().cpu()
    paths = likeliest_paths(logits, starts)
    places, moved = [], 0
    for row, shard in enumerate(shards):
        found, path = logits[row, : len(shard)], paths[row, : len(shard)]
        moved += int((found.flatten(1).argmax(dim=1) != path).sum())
        places.append(model.place_near(found, path).numpy())
    return np.concatenate(places), moved
