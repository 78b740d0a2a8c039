"""Memory shared by the actor and the learner: two rollouts, sets of weights, and a few counters."""

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
"""counters: the learner's heartbeats, and how many times weights were published"""


class SharedTensors(dict[str, torch.Tensor]):
    """Tensors by name, one after the other in shared memory; zeros at first."""

    def __init__(self, spec: Spec, fd: int | None = None):
        """
        Args:
            spec: shape and type of each tensor; both sides must give the same.
            fd: memory made by another process; None makes it.

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
    """The rollouts and weights that actor and learner hand to each other.

    The learner publishes weights into the slot that the actor does not read (version modulo 2)
    and writes their checksum and the version last. `weights` returns a copy only if its checksum is
    right: half-written weights are never seen, whoever was killed when.
    """

    def __init__(self, models: Models, capacity: int, fd: int | None = None):
        """
        Args:
            models: give names and shapes of the weights.
            capacity: timesteps of each of the two rollouts.
            fd: the memory of the other side; None makes it.

        Raises:
            OSError: there is not enough memory.
        """
        self.capacity = capacity
        rollout = Rollout.of(models.config, capacity, envs=1)
        spec: Spec = {"counters": ((2,), torch.int64), "checksums": ((2,), torch.int64)}
        weights = models.controller.state_dict()
        for name, tensor in weights.items():
            for slot in ("0", "1", "pretrained"):
                spec[f"weights.{slot}.{name}"] = (tuple(tensor.shape), tensor.dtype)
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
        self.rollouts = []
        for slot in range(2):
            placed = copy.copy(rollout)
            for name in fields:
                tensor = self._tensors[f"rollout.{slot}.{name}"]
                setattr(placed, name, tensor.numpy() if name == "frames" else tensor)
            self.rollouts.append(placed)

    def beat(self) -> None:
        """Add a heartbeat."""
        self.counters[BEATS] += 1

    def beats(self) -> int:
        return int(self.counters[BEATS])

    def version(self) -> int:
        return int(self.counters[VERSION])

    def publish(self, weights: dict[str, torch.Tensor]) -> int:
        """Put these weights into the free slot; returns their version."""
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
            ValueError: their checksum is wrong, or they are not finite.
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
        """The pretrained weights, in shared memory."""
        return self._weights["pretrained"]


def _checksum(weights: dict[str, torch.Tensor]) -> int:
    crc = 0
    for tensor in weights.values():
        crc = zlib.crc32(tensor.numpy().reshape(-1).view("uint8"), crc)
    return crc


def in_order(rollout: Rollout, first: int, length: int) -> Rollout:
    """The `length` timesteps from row `first` of a ring on, in the order they were played.

    Copies only where they cross the ring's end.
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
