"""Rollout shards: consecutive timesteps of one level in one file, frames compressed one by one.

A shard is a safetensors file. Its arrays, T timesteps each:

=============  ==================  ==============================================================
``frames``     uint8 (bytes,)      T shrunk frames, each compressed by zstandard with a checksum
``offsets``    int64 (T + 1,)      where each compressed frame begins
``actions``    int64 (T,)          index of the action taken on the frame
``rewards``    float32 (T,)        the contest's reward of the timestep
``ends``       bool (T,)           the episode ended with the timestep
``starts``     bool (T,)           the episode began with the timestep
``variables``  float32 (T, V)      RAM variables seen with the frame; for measuring only
=============  ==================  ==============================================================

Its metadata has the level, the names of the variables and a CRC-32 of every array. Compression per
frame makes a shuffled read as fast as a read in order (one frame decodes in about 10 µs).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import zstandard

from agent.models.frames import SIZE
from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, open_plain, parse_json, write_atomically
from retro_common.text import clean, shown

FRAME_BYTES = SIZE * SIZE * 3
SHARD_BYTES = 4 << 30
"""bytes that a shard may have; it is mapped into memory, not read"""
HEADER_BYTES = 1 << 20
"""bytes that its header may have"""
DTYPES = {"U8": np.uint8, "I64": np.int64, "F16": np.float16, "F32": np.float32, "BOOL": np.bool_}


class DamagedShard(UsageError):
    """A file that is not the shard it should be; the message names it."""


def save_arrays(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    """Write arrays with their checksums into one file, atomically."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    checksums = {name: zlib.crc32(array) for name, array in arrays.items()}
    header = {"metadata": json.dumps({**metadata, "crc32": checksums})}
    write_atomically(path, safetensors.numpy.save(arrays, metadata=header))


def open_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Map the arrays of `save_arrays` into memory, after checking every byte.

    Raises:
        DamagedShard: truncated, changed, or another kind of file.
    """
    try:
        with open_plain(path, SHARD_BYTES) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length < min(size, HEADER_BYTES):
                raise DamagedShard(f"{path}: damaged: it has no safetensors header")
            header = parse_json(file.read(length))
            content = np.memmap(file, np.uint8, "r")
        metadata = parse_json(header.pop("__metadata__")["metadata"])
        checksums = metadata["crc32"]
        arrays = {}
        for name, entry in header.items():
            array = _array(content[8 + length :], entry)
            if zlib.crc32(array) != checksums[name]:
                raise DamagedShard(
                    f"{path}: damaged: the checksum of {shown(name)} is wrong: delete the file, and"
                    " run its stage again"
                )
            arrays[name] = array
    except UnreadableFile as error:
        raise DamagedShard(f"{path}: damaged: {error.why}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedShard(f"{path}: damaged: {type(error).__name__}: {clean(error)}") from None
    return arrays, metadata


def _array(content: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    """The array of an entry of a header, within the file's bytes behind it."""
    first, last = entry["data_offsets"]
    shape = entry["shape"]
    for number in (first, last, *shape):
        if type(number) is not int or number < 0:
            raise ValueError(f"{shown(number)} is no size")
    if not first <= last <= len(content):
        raise ValueError("an array lies outside of the file")
    return content[first:last].view(DTYPES[entry["dtype"]]).reshape(shape)


class ShardWriter:
    """Collects timesteps in memory, compressed, and writes them as a shard."""

    def __init__(self, level: str, variables: Sequence[str]):
        self.level, self.variables = level, tuple(variables)
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        self._frames: list[bytes] = []
        self._rows: list[tuple] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        frame: np.ndarray,
        action: int,
        reward: float,
        start: bool,
        end: bool,
        variables: dict[str, float],
    ) -> None:
        """Keep one timestep: the shrunk frame, the action taken on it, and what came of it."""
        self._frames.append(self._compressor.compress(np.ascontiguousarray(frame)))
        values = [variables.get(name, np.nan) for name in self.variables]
        self._rows.append((action, reward, start, end, values))

    def write(self, path: Path, metadata: dict[str, Any]) -> None:
        """Write the shard, atomically."""
        actions, rewards, starts, ends, variables = zip(*self._rows, strict=True)
        arrays = {
            "frames": np.frombuffer(b"".join(self._frames), np.uint8),
            "offsets": np.cumsum([0, *map(len, self._frames)], dtype=np.int64),
            "actions": np.array(actions, np.int64),
            "rewards": np.array(rewards, np.float32),
            "starts": np.array(starts, np.bool_),
            "ends": np.array(ends, np.bool_),
            "variables": np.array(variables, np.float32).reshape(len(self), len(self.variables)),
        }
        metadata = {**metadata, "level": self.level, "variables": self.variables}
        save_arrays(path, arrays, metadata)


@dataclass
class Episode:
    """Timesteps `first` to `last` - 1 of a shard, all of one episode."""

    shard: int
    first: int
    last: int
    ended: bool
    """whether the episode ended, or the shard did"""


class Shard:
    """A shard, open for reading; nothing is held in memory but the pages the system caches."""

    def __init__(self, path: Path):
        self.path = path
        arrays, self.metadata = open_arrays(path)
        try:
            self.level: str = self.metadata["level"]
            self.variable_names: list[str] = self.metadata["variables"]
            self._blob, self._offsets = arrays["frames"], arrays["offsets"]
            self.actions, self.rewards = arrays["actions"], arrays["rewards"]
            self.starts, self.ends = arrays["starts"], arrays["ends"]
            self.variables = arrays["variables"]
        except KeyError as error:
            raise DamagedShard(f"{path}: damaged: it has no {error}") from None
        if wrong := self._contradiction():
            raise DamagedShard(f"{path}: damaged: {wrong}")
        self._decompressor = zstandard.ZstdDecompressor()

    def _contradiction(self) -> str:
        """What the arrays, whose checksums are right, cannot be; empty if they are a shard."""
        names = self.variable_names
        if not isinstance(self.level, str) or not isinstance(names, list):
            return "its metadata is not that of a shard"
        length = len(self.actions) if self.actions.ndim else 0
        layout = {
            "frames": (self._blob, np.uint8, (self._blob.size,)),
            "offsets": (self._offsets, np.int64, (length + 1,)),
            "actions": (self.actions, np.int64, (length,)),
            "rewards": (self.rewards, np.float32, (length,)),
            "starts": (self.starts, np.bool_, (length,)),
            "ends": (self.ends, np.bool_, (length,)),
            "variables": (self.variables, np.float32, (length, len(names))),
        }
        for name, (array, kind, shape) in layout.items():
            if array.dtype != kind or array.shape != shape:
                return f"{name} is {array.dtype} {array.shape}"
        if not length or not self.starts[0]:
            return "it does not begin with an episode"
        first, last = self._offsets[0], self._offsets[-1]
        if first != 0 or last != len(self._blob) or (np.diff(self._offsets) < 0).any():
            return "its frames do not follow each other"
        if self.actions.min() < 0 or not np.isfinite(self.rewards).all():
            return "an action or a reward is impossible"
        return ""

    def __len__(self) -> int:
        return len(self.actions)

    def frame(self, t: int) -> np.ndarray:
        """The shrunk frame of timestep t, uint8 (64, 64, 3)."""
        blob = self._blob[self._offsets[t] : self._offsets[t + 1]]
        try:
            # The decompressor trusts the size that a frame states, whatever limit it is given.
            if zstandard.frame_content_size(blob) != FRAME_BYTES:
                raise DamagedShard(f"{self.path}: damaged: frame {t} states another size")
            content = self._decompressor.decompress(blob, max_output_size=FRAME_BYTES)
        except zstandard.ZstdError as error:
            raise DamagedShard(f"{self.path}: damaged: frame {t}: {clean(error)}") from None
        if len(content) != FRAME_BYTES:
            raise DamagedShard(f"{self.path}: damaged: frame {t} has another size")
        return np.frombuffer(content, np.uint8).reshape(SIZE, SIZE, 3)

    def frames(self, first: int, last: int) -> np.ndarray:
        """The frames of timesteps first to last - 1, uint8 (T, 64, 64, 3)."""
        return np.stack([self.frame(t) for t in range(first, last)])

    def episodes(self, index: int) -> Iterator[Episode]:
        """The episodes of this shard, whose number is `index`."""
        firsts = np.flatnonzero(self.starts)
        for first, last in zip(firsts, [*firsts[1:], len(self)], strict=True):
            yield Episode(index, int(first), int(last), bool(self.ends[last - 1]))


@dataclass(frozen=True)
class Origin:
    """The run that shards must be of."""

    run: str
    """fingerprint of its collect stage"""
    levels: Sequence[str]
    """its levels; shard k plays level k modulo their number"""
    actions: int
    """number of its actions"""
    seeds: Sequence[int] = ()
    """the seed of each shard; an empty list is not checked"""


class ShardSet:
    """All shards of a folder, with the last tenth (at least one) held back for validation."""

    def __init__(self, folder: Path, names: Sequence[str], origin: Origin | None = None):
        """
        Args:
            origin: what to check the shards against; None takes shards of any run.

        Raises:
            DamagedShard: a shard is damaged, or of another run or level.
            UsageError: a shard is missing.
        """
        paths = [folder / name for name in names]
        missing = [path.name for path in paths if not os.path.lexists(path)]
        if missing:
            raise UsageError(f"{folder}: shards are missing ({missing[0]}, ...): run collect")
        self.shards = [Shard(path) for path in paths]
        if origin is not None:
            for number, shard in enumerate(self.shards):
                _check_origin(shard, origin, number)
        held_back = max(1, len(self.shards) // 10)
        self.training = list(range(len(self.shards) - held_back))
        self.validation = list(range(len(self.shards) - held_back, len(self.shards)))

    def timesteps(self, indices: Sequence[int]) -> int:
        return sum(len(self.shards[i]) for i in indices)

    def sample_frames(
        self, indices: Sequence[int], count: int, rng: np.random.Generator
    ) -> np.ndarray:
        """`count` frames drawn uniformly from these shards, uint8 (count, 64, 64, 3)."""
        return self.frames_at(indices, rng.integers(self.timesteps(indices), size=count))

    def frames_at(self, indices: Sequence[int], positions: np.ndarray) -> np.ndarray:
        """The frames at these positions of the shards one after the other, uint8 (N, 64, 64, 3)."""
        ends = np.cumsum([len(self.shards[i]) for i in indices])
        frames = np.empty((len(positions), SIZE, SIZE, 3), np.uint8)
        for row, position in enumerate(positions):
            which = int(np.searchsorted(ends, position, side="right"))
            start = ends[which - 1] if which else 0
            frames[row] = self.shards[indices[which]].frame(int(position - start))
        return frames


def _check_origin(shard: Shard, origin: Origin, number: int) -> None:
    level, wrong = origin.levels[number % len(origin.levels)], ""
    if shard.metadata.get("run") != origin.run:
        wrong = "it is of another run"
    elif shard.level != level:
        wrong = f"it is of level {shown(shard.level)}, should be {level}"
    elif origin.seeds and shard.metadata.get("seed") != origin.seeds[number]:
        wrong = "it is another shard of this run"
    elif shard.actions.max() >= origin.actions:
        wrong = f"it has an action {shard.actions.max()}, and there are {origin.actions}"
    if wrong:
        raise DamagedShard(
            f"{shard.path}: {wrong}: delete the file and run collect again, or choose another --out"
        )
