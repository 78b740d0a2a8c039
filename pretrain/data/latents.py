"""Latents of all frames, encoded once for M's training, and batches of sequences of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from agent.models.vision import Vision, to_input
from pretrain.data.shards import DamagedShard, Episode, Shard, ShardSet, open_arrays, save_arrays
from pretrain.meter import Meter, StopRequest
from pretrain.stage import Stopped

ENCODE_BATCH = 256
LATENTS = ("mean", "logvar")


@torch.inference_mode()
def encode_shards(
    vision: Vision, shards: ShardSet, folder: Path, device: torch.device
) -> list[dict[str, np.ndarray]]:
    """The posterior of every frame: per shard `mean` and `logvar`, float16 (T, Z), in files.

    Shards that have a file already are not encoded again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vision = vision.to(device).eval()
    total = sum(len(shard) for shard in shards.shards)
    done, latents = 0, []
    with StopRequest() as stop, Meter("encode", total, "frames") as meter:
        for shard in shards.shards:
            path = folder / shard.path.name
            if not path.exists():
                parts = []
                for first in range(0, len(shard), ENCODE_BATCH):
                    frames = shard.frames(first, min(first + ENCODE_BATCH, len(shard)))
                    parts.append([x.cpu() for x in vision.encode(to_input(frames, device))])
                mean, logvar = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
                arrays = {"mean": mean.astype(np.float16), "logvar": logvar.astype(np.float16)}
                save_arrays(path, arrays, {"shard": shard.path.name})
            latents.append(_open_latents(path, shard, vision.config.latent))
            done += len(shard)
            meter.update(done)
            if stop.asked:
                raise Stopped
    return latents


def _open_latents(path: Path, shard: Shard, units: int) -> dict[str, np.ndarray]:
    """The latents of a shard from a file.

    Raises:
        DamagedShard: the file is damaged, or of another shard.
    """
    arrays, metadata = open_arrays(path)
    layout = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    expected = (np.dtype(np.float16), (len(shard), units))
    if metadata.get("shard") != shard.path.name or layout != dict.fromkeys(LATENTS, expected):
        raise DamagedShard(f"{path}: damaged: not the latents of {shard.path.name}: delete it")
    return arrays


@dataclass
class Chunk:
    """At most `sequence` timesteps of one episode."""

    episode: Episode
    first: int
    """index in the shard"""
    last: int

    @property
    def fresh(self) -> bool:
        """The episode begins here: M starts with an empty state."""
        return self.first == self.episode.first


@dataclass
class Sequences:
    """A batch of B chunks, padded to T timesteps."""

    mean: torch.Tensor
    """of the posteriors of the timesteps and of the next one, (B, T + 1, Z)"""
    logvar: torch.Tensor
    """the same of their log-variance"""
    actions: torch.Tensor
    """int64 (B, T)"""
    rewards: torch.Tensor
    """the contest's, (B, T)"""
    ends: torch.Tensor
    """1 where the episode ended with the timestep, (B, T)"""
    mask: torch.Tensor
    """0 for padding, and where the shard stops in the middle of an episode, (B, T)"""
    fresh: torch.Tensor
    """1 where a lane starts a new episode, (B, 1)"""

    def to(self, device: torch.device) -> Sequences:
        return Sequences(*(tensor.to(device) for tensor in vars(self).values()))


class Lanes:
    """Distributes episodes over B lanes; each lane runs through its episodes in chunks.

    A lane's LSTM state is carried from a chunk to the next one of the same episode: gradients are
    truncated after `sequence` timesteps, the state is not (truncated backpropagation through time).
    """

    def __init__(
        self,
        shards: ShardSet,
        indices: Sequence[int],
        latents: list[dict[str, np.ndarray]],
        lanes: int,
        sequence: int,
        seed: int,
    ):
        self.shards, self.latents = shards, latents
        self.lanes, self.sequence, self.seed = lanes, sequence, seed
        self.episodes = [e for i in indices for e in shards.shards[i].episodes(i)]
        self._epoch, self._plan = -1, []

    def plan(self, epoch: int) -> list[list[Chunk | None]]:
        """The chunk of each lane at each step of an epoch; None where a lane has no more."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            lanes: list[list[Chunk]] = [[] for _ in range(self.lanes)]
            for which in rng.permutation(len(self.episodes)):
                episode = self.episodes[which]
                lane = min(lanes, key=len)
                for first in range(episode.first, episode.last, self.sequence):
                    last = min(first + self.sequence, episode.last)
                    lane.append(Chunk(episode, first, last))
            steps = max(map(len, lanes))
            self._plan = [
                [lane[step] if step < len(lane) else None for lane in lanes]
                for step in range(steps)
            ]
            self._epoch = epoch
        return self._plan

    def batch(self, chunks: Sequence[Chunk | None]) -> Sequences:
        """Read one step of a plan."""
        lanes, length = len(chunks), self.sequence
        latent = self.latents[0]["mean"].shape[1]
        mean = np.zeros((lanes, length + 1, latent), np.float32)
        logvar = np.zeros_like(mean)
        actions = np.zeros((lanes, length), np.int64)
        rewards, ends, mask = (np.zeros((lanes, length), np.float32) for _ in range(3))
        fresh = np.ones((lanes, 1), np.float32)
        for lane, chunk in enumerate(chunks):
            if chunk is None:
                continue
            episode, count = chunk.episode, chunk.last - chunk.first
            shard, latents = self.shards.shards[episode.shard], self.latents[episode.shard]
            reach = min(chunk.last + 1, episode.last)
            mean[lane, : reach - chunk.first] = latents["mean"][chunk.first : reach]
            logvar[lane, : reach - chunk.first] = latents["logvar"][chunk.first : reach]
            actions[lane, :count] = shard.actions[chunk.first : chunk.last]
            rewards[lane, :count] = shard.rewards[chunk.first : chunk.last]
            ends[lane, :count] = shard.ends[chunk.first : chunk.last]
            mask[lane, :count] = 1
            if chunk.last == episode.last and not episode.ended:
                mask[lane, count - 1] = 0  # the next frame was not recorded
            fresh[lane] = chunk.fresh
        arrays = (mean, logvar, actions, rewards, ends, mask, fresh)
        return Sequences(*map(torch.from_numpy, arrays))
