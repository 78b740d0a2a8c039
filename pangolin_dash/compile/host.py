"""The game's logic as a library of this machine: its functions, and the structures they work on.

The structures are those of `src/world.h` and `src/host.h`. Levels and routes are data here, not
part of the library: one compiled library plays all acts.
"""

from __future__ import annotations

import ctypes
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_dash.compile import ram, toolchain
from pangolin_dash.levels.generator import Act
from pangolin_dash.levels.themes import THEMES

VARIABLES = np.dtype(
    [(name, {">u4": "u4", ">i2": "i2", ">u2": "u2", "|u1": "u1"}[kind])
     for name, kind in ram.VARIABLES.items()]
)  # fmt: skip
"""the game's RAM variables in this machine's byte order"""

SLOT = np.dtype(
    [
        ("score", "f8"),
        ("furthest", "u4"),
        ("length", "u4"),
        ("idle", "u4"),
        ("reached", "u2"),
        ("held", "u1"),
        ("fresh", "u1"),
        ("over", "u1"),
        ("unused", "V1"),
        ("still", "u2"),
        ("variables", VARIABLES),
    ]
)
"""`struct Slot` up to the variables at the beginning of its world"""

POINT = np.dtype(
    [
        *((name, "i2") for name in ("x", "y", "vx", "vy")),
        *((name, "u1") for name in ("on_ground", "levers", "pad", "spare")),
    ]
)
"""`struct RoutePoint`: pixels, 1/256 pixels a frame, pulled levers, pad bits"""

_OBJECT = np.dtype(
    [("x", "i2"), ("y", "i2"), ("type", "u1"), ("param", "u1"), ("a", "i2"), ("b", "i2")]
)
_LEVER = 8
_COLUMN = 32  # pixels; see `columns` of struct Route


class _Level(ctypes.Structure):
    _fields_ = (
        ("zone", ctypes.c_uint8),
        ("act", ctypes.c_uint8),
        ("columns", ctypes.c_uint16),
        ("start_x", ctypes.c_int16),
        ("start_y", ctypes.c_int16),
        ("end_x", ctypes.c_int16),
        ("points_per_pixel", ctypes.c_uint16),
        ("map", ctypes.c_void_p),
        ("objects", ctypes.c_void_p),
        ("n_objects", ctypes.c_uint16),
        ("rings", ctypes.c_void_p),
        ("n_rings", ctypes.c_uint16),
    )


class _Route(ctypes.Structure):
    _fields_ = (
        ("points", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("levers", ctypes.c_void_p),
        ("count", ctypes.c_uint16),
        ("n_levers", ctypes.c_uint16),
    )


class Batch(ctypes.Structure):
    """`struct Batch`: worlds side by side, and what their last timestep brought."""

    _fields_ = (
        ("levels", ctypes.POINTER(_Level)),
        ("routes", ctypes.POINTER(_Route)),
        *((name, ctypes.c_void_p) for name in ("slots", "starts")),
        ("stride", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("random", "rewards", "ground", "along")),
        *((name, ctypes.c_void_p) for name in ("scores", "lengths", "over", "repeated")),
        *((name, ctypes.c_uint32) for name in ("count", "sticky", "time_limit", "patience")),
        ("on_screen", ctypes.c_uint32),
        ("clocks", ctypes.c_void_p),
        ("view", ctypes.c_uint64),
    )


@functools.cache
def library(frames: bool) -> ctypes.CDLL:
    """The library, compiled once per process; with or without the drawing of frames.

    Raises:
        UsageError: gcc is not installed.
        BuildError: a compile error.
    """
    with tempfile.TemporaryDirectory() as folder:
        loaded = ctypes.CDLL(str(toolchain.build_host_library(Path(folder), frames=frames)))
    batch, number = ctypes.POINTER(Batch), ctypes.c_uint32
    loaded.slot_size.argtypes = (number,)
    loaded.slot_begin.argtypes = (batch, number)
    loaded.slot_load.argtypes = (batch, number, number)
    loaded.slot_hold.argtypes = (batch, number, ctypes.c_uint8, ctypes.c_int32)
    loaded.slot_levers.argtypes = (batch, number)
    loaded.slot_levers.restype = ctypes.c_uint8
    address = ctypes.c_void_p
    loaded.observation_size.argtypes = (ctypes.c_uint8,)
    loaded.batch_step.argtypes = (batch, address, address, ctypes.c_uint8, address)
    loaded.batch_observe.argtypes = (batch, address)
    loaded.batch_scene.argtypes = (batch, address, address, number, address)
    if frames:
        loaded.slot_redraw.argtypes = (batch, number)
        loaded.batch_draw.argtypes = (batch, address)
        loaded.batch_draw_small.argtypes = (batch, address)
        loaded.screen_start()
    return loaded


class Tables:
    """Acts, and the routes through them, as the library reads them."""

    def __init__(self, acts: Sequence[Act], routes: Sequence[np.ndarray | None]) -> None:
        """
        Args:
            acts: the levels, by number.
            routes: for each act its route, `POINT` (T,), or None.

        Raises:
            BuildError: an act's length breaks the exact reward.
        """
        self._kept: list[np.ndarray] = []  # what the structures point to
        self.levels = (_Level * len(acts))(*(self._level(act) for act in acts))
        self.routes = (_Route * len(acts))()
        for number, (act, points) in enumerate(zip(acts, routes, strict=True)):
            self.set_route(number, act, points)
        self.widest = max(len(act.map) for act in acts)
        """columns of the widest level"""

    def _keep(self, values: Any, kind: np.dtype | str) -> int:
        """The address of an array that lives as long as the tables."""
        array = np.ascontiguousarray(values, kind)
        self._kept.append(array)
        return array.ctypes.data

    def _level(self, act: Act) -> _Level:
        objects = np.array([(t.x, t.y, t.type, t.param, t.a, t.b) for t in act.things], _OBJECT)
        return _Level(
            list(THEMES).index(act.zone),
            act.act - 1,
            len(act.map),
            *act.start,
            act.end_x,
            toolchain.points_per_pixel(act),
            self._keep(act.map, "u1"),
            self._keep(objects, _OBJECT),
            len(act.things),
            self._keep(np.array(act.rings, "i2").reshape(-1, 2), "i2"),
            len(act.rings),
        )

    def set_route(self, number: int, act: Act, points: np.ndarray | None) -> None:
        """Give level `number` its route."""
        levers = [i for i, thing in enumerate(act.things) if thing.type == _LEVER]
        route = self.routes[number]
        route.levers, route.n_levers = self._keep(levers, "u2"), len(levers)
        route.count = 0
        if points is None:
            return
        column = points["x"] // _COLUMN
        order = np.argsort(column, kind="stable")
        columns = np.searchsorted(column[order], np.arange(len(act.map) * 16 // _COLUMN + 3))
        route.points = self._keep(points, POINT)
        route.columns = self._keep(columns, "u4")
        route.order = self._keep(order, "u2")
        route.count = len(points)
