"""Memory that the player and the learner share: two rollouts, two sets of weights, a few counters.

It has no name in any file system and is gone with the last of its processes, however they end. On
Linux it counts as the processes' memory and is not bounded by the size of ``/dev/shm``, which is
64 MB in a container.
"""

from __future__ import annotations

import copy
import math
import mmap
import zlib

import numpy as np
import torch

from agent.learning.ppo import Rollout
from agent.models.actor import Models
from retro_common.files import anonymous_memory

Spec = dict[str, tuple[tuple[int, ...], torch.dtype]]
ALIGNMENT = 64
"""bytes; a cache line"""
BEATS, VERSION = 0, 1
"""counters: the learner's signs of life, and how many times weights were published"""


class SharedTensors(dict[str, torch.Tensor]):
    """Tensors by name that lie one after the other in shared memory, zeros at first."""

    def __init__(self, spec: Spec, fd: int | None = None):
        """
        Args:
            spec: shape and type of each tensor; both sides must give the same.
            fd: the memory another process has made; None makes it.

        Raises:
            OSError: there is no such memory, or not enough of it.
        """
        super().__init__()
        places, size = {}, 0
        for name, (shape, dtype) in spec.items():
            places[name] = size
            used = math.prod(shape) * dtype.itemsize
            size += -(-used // ALIGNMENT) * ALIGNMENT
        self.fd = anonymous_memory("agent", size) if fd is None else fd
        memory = mmap.mmap(self.fd, size)
        for name, (shape, dtype) in spec.items():
            count = math.prod(shape)
            flat = torch.frombuffer(memory, dtype=dtype, count=count, offset=places[name])
            self[name] = flat.view(shape)


class Exchange:
    """What player and learner hand to each other.

    The learner publishes weights into the slot that the player does not read (version modulo 2)
    and writes their checksum and the version last. `weights` returns a copy only if its checksum is
    right: half-written weights are never seen, whoever was killed when.
    """

    def __init__(self, models: Models, capacity: int, fd: int | None = None):
        """
        Args:
            models: tell which weights there are.
            capacity: timesteps of each of the two rollouts.
            fd: the memory of the other side; None makes it.

        Raises:
            OSError: there is not enough memory.
        """
        self.capacity = capacity
        rollout = Rollout.of(models.config, capacity, envs=1)
        spec: Spec = {"counters": ((2,), torch.int64), "checksums": ((2,), torch.int64)}
        weights, memory = models.controller.state_dict(), models.memory.state_dict()
        for name, tensor in weights.items():
            for slot in ("0", "1", "pretrained"):
                spec[f"weights.{slot}.{name}"] = (tuple(tensor.shape), tensor.dtype)
        for name, tensor in memory.items():
            spec[f"memory.{name}"] = (tuple(tensor.shape), tensor.dtype)
        fields = {name: torch.as_tensor(x) for name, x in vars(rollout).items() if x is not None}
        for name, tensor in fields.items():
            for slot in range(2):
                spec[f"rollout.{slot}.{name}"] = (tuple(tensor.shape), tensor.dtype)
        self._tensors = SharedTensors(spec, fd)
        self.fd = self._tensors.fd
        self.counters, self._checksums = self._tensors["counters"], self._tensors["checksums"]
        self._weights = {
            slot: {name: self._tensors[f"weights.{slot}.{name}"] for name in weights}
            for slot in ("0", "1", "pretrained")
        }
        self.memory = {name: self._tensors[f"memory.{name}"] for name in memory}
        """M's weights, which never change: what the learner dreams with at first"""
        self.rollouts = []
        for slot in range(2):
            placed = copy.copy(rollout)
            for name in fields:
                tensor = self._tensors[f"rollout.{slot}.{name}"]
                setattr(placed, name, tensor.numpy() if name == "frames" else tensor)
            self.rollouts.append(placed)

    def beat(self) -> None:
        """Show a sign of life."""
        self.counters[BEATS] += 1

    def beats(self) -> int:
        return int(self.counters[BEATS])

    def version(self) -> int:
        return int(self.counters[VERSION])

    def publish(self, weights: dict[str, torch.Tensor]) -> int:
        """Put these weights into the free slot; their version."""
        version = self.version() + 1
        slot = self._weights[str(version % 2)]
        for name, tensor in weights.items():
            slot[name].copy_(tensor)
        self._checksums[version % 2] = _checksum(slot)
        self.counters[VERSION] = version
        return version

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights published last.

        Raises:
            ValueError: they are not what was published, or not finite.
        """
        slot = self.version() % 2
        found = {name: tensor.clone() for name, tensor in self._weights[str(slot)].items()}
        if _checksum(found) != int(self._checksums[slot]):
            raise ValueError("the weights' checksum is wrong")
        for name, tensor in found.items():
            if not torch.isfinite(tensor).all():
                raise ValueError(f"the weights {name} are not finite")
        return found

    @property
    def pretrained(self) -> dict[str, torch.Tensor]:
        """Weights the contest began with, in shared memory."""
        return self._weights["pretrained"]


def _checksum(weights: dict[str, torch.Tensor]) -> int:
    crc = 0
    for tensor in weights.values():
        crc = zlib.crc32(tensor.numpy().reshape(-1).view("uint8"), crc)
    return crc


def in_order(rollout: Rollout, first: int, length: int) -> Rollout:
    """The `length` timesteps that begin in row `first` of a ring, in the order they were played.

    Copies only where they go across the ring's end.
    """
    ordered = copy.copy(rollout)
    capacity = len(rollout.actions)
    for name, rows in vars(rollout).items():
        if rows is None or name == "last_values":
            continue
        if first + length <= capacity:
            part = rows[first : first + length]
        elif name == "frames":
            part = np.concatenate([rows[first:], rows[: first + length - capacity]])
        else:
            part = torch.cat([rows[first:], rows[: first + length - capacity]])
        setattr(ordered, name, part)
    return ordered
