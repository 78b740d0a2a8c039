"""Gymnasium spaces as channels, and back.

MultiBinary of fewer than 64 is int_fold, Discrete is int; longer MultiBinary, MultiDiscrete and Box
are np. The annotations `n`, `shape` and `type` are those of 2018. They cannot express a Box's
bounds, a MultiDiscrete's numbers or a start other than 0, so `low`, `high`, `nvec` and `start` are
added where they matter; a client of 2018 ignores them.
"""

from __future__ import annotations

import json
import math

import numpy as np
from gymnasium import Space, spaces

from gym_remote.channels import Channel, IntChannel, IntFoldChannel, NpChannel
from gym_remote.exceptions import ProtocolError
from gym_remote.messages import shorten

BUTTONS = ("B", "A", "MODE", "START", "UP", "DOWN", "LEFT", "RIGHT", "C", "Y", "X", "Z")
"""the Mega Drive pad in the order of the contest's MultiBinary(12) actions"""

MAX_LISTED_BOUNDS = 1024  # a Box with more different bounds is described by its outermost ones


def channel_for(space: Space) -> Channel:
    """The channel that carries values of `space`; raises ValueError if there is none."""
    if isinstance(space, spaces.MultiBinary):
        annotations = {"n": str(space.n), "type": "MultiBinary"}
        if len(space.shape) == 1 and space.shape[0] < 64:
            return IntFoldChannel(space.shape[0], annotations)
        return NpChannel(space.shape, np.dtype(np.uint8), annotations)

    if isinstance(space, spaces.Discrete):
        annotations = {"n": str(space.n), "type": "Discrete"}
        if space.start != 0:
            annotations["start"] = str(space.start)
        return IntChannel(annotations)

    if isinstance(space, spaces.MultiDiscrete):
        annotations = {"shape": str(space.shape[0]), "type": "MultiDiscrete"}
        annotations["nvec"] = json.dumps(space.nvec.tolist())
        if np.any(space.start):
            annotations["start"] = json.dumps(space.start.tolist())
        return NpChannel(space.shape, np.dtype(np.int64), annotations)

    if isinstance(space, spaces.Box):
        annotations = {"type": "Box", "shape": str(tuple(int(size) for size in space.shape))}
        low, high = _default_bounds(space.dtype)
        if np.any(space.low != low) or np.any(space.high != high):
            annotations["low"] = json.dumps(_list_bounds(space.low, np.min))
            annotations["high"] = json.dumps(_list_bounds(space.high, np.max))
        return NpChannel(space.shape, space.dtype, annotations)

    raise ValueError(f"{space} cannot be served: only MultiBinary, Discrete, MultiDiscrete and Box")


def space_for(name: str, channel: Channel) -> Space:
    """The space that a received channel describes; raises ProtocolError."""
    try:
        space = _space_for(channel, channel.annotations)
    except (ValueError, TypeError, KeyError, OverflowError, AssertionError, RecursionError):
        space = None
    if space is None:
        raise ProtocolError(f"channel {name} is no space: {shorten(channel.describe())}")
    return space


def _space_for(channel: Channel, annotations: dict[str, str]) -> Space | None:
    match annotations["type"], channel:
        case "MultiBinary", IntFoldChannel(size=size):
            return spaces.MultiBinary(size)
        case "MultiBinary", NpChannel(shape=shape) if shape:
            return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
        case "Discrete", IntChannel():
            start = int(annotations.get("start", "0"))
            return spaces.Discrete(int(annotations["n"]), start=start)
        case "MultiDiscrete", NpChannel(shape=shape, dtype=np.dtype(kind="i")) if shape:
            low, high = _default_bounds(channel.dtype)
            if "nvec" not in annotations:  # a server of 2018 sends none: any number is possible
                return spaces.Box(low, high, shape, channel.dtype.type)
            nvec = _integers(annotations["nvec"], shape)
            starts = _integers(annotations.get("start", "0"), shape)
            return spaces.MultiDiscrete(nvec, dtype=channel.dtype, start=starts)
        case "Box", NpChannel(shape=shape):
            low, high = _default_bounds(channel.dtype)
            if "low" in annotations:
                low = _numbers(annotations["low"], shape, channel.dtype)
                high = _numbers(annotations["high"], shape, channel.dtype)
            return spaces.Box(low, high, shape, channel.dtype.type)
    return None


def _default_bounds(dtype: np.dtype) -> tuple:
    """The bounds of a Box that describes none: all that its dtype can hold."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        return -math.inf, math.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def _list_bounds(bounds: np.ndarray, outermost) -> float | list:
    """One number if all bounds are equal (or too many), a nested list otherwise."""
    if bounds.size > MAX_LISTED_BOUNDS or np.all(bounds == bounds.flat[0]):
        return outermost(bounds).item()
    return bounds.tolist()


def _numbers(text: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.broadcast_to(np.array(json.loads(text), dtype), shape)


def _integers(text: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.array(json.loads(text))
    if values.dtype.kind != "i":
        raise ValueError("not integers")
    return np.broadcast_to(values, shape)
