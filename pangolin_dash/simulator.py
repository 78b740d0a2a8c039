"""The game's logic compiled for this machine: thousands of times faster than the emulator.

The same C files as in the ROM (player, terrain, objects, camera, level), without the picture.
The search runs here; `pangolin_dash.check` then replays every result on the real ROM in the
emulator.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pangolin_dash.compile import ram, toolchain
from pangolin_dash.levels.generator import Act

# Pad bits, as in pangolin_dash/src/types.h.
UP, DOWN, LEFT, RIGHT, B = 1, 2, 4, 8, 16
BITS = {"UP": UP, "DOWN": DOWN, "LEFT": LEFT, "RIGHT": RIGHT, "B": B}
"""pad bits by the emulator's names of the buttons"""

_TYPES = {
    ">u4": ctypes.c_uint32,
    ">i2": ctypes.c_int16,
    ">u2": ctypes.c_uint16,
    "|u1": ctypes.c_uint8,
}


def buttons(pad: int) -> tuple[str, ...]:
    """Names of the buttons in pad bits: `RIGHT | B` -> `("RIGHT", "B")`."""
    return tuple(name for name, bit in BITS.items() if pad & bit)


def pad_of(names: Iterable[str]) -> int:
    """Pad bits of named buttons: `("RIGHT", "B")` -> `RIGHT | B`.

    Raises:
        KeyError: the simulator has no such button.
    """
    return sum(BITS[name] for name in set(names))


class Variables(ctypes.Structure):
    """The game's RAM variables (`pangolin_dash.compile.ram.VARIABLES`)."""

    _fields_ = tuple((name, _TYPES[kind]) for name, kind in ram.VARIABLES.items())


class Simulator:
    """The acts of one game, one of them loaded.

    `variables` shows the current frame. `save` and `restore` are save-states.
    """

    def __init__(self, acts: list[Act]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        generated = Path(self._folder.name)
        toolchain.write_sources(acts, generated)
        self._library = ctypes.CDLL(str(toolchain.build_host_library(generated)))
        self._hold = self._library.host_hold
        self._hold.argtypes = (ctypes.c_uint8, ctypes.c_int32)
        self._address = ctypes.addressof(ctypes.c_char.in_dll(self._library, "world"))
        self._size = 0
        self.variables = Variables.from_address(self._address)

    def load(self, index: int) -> None:
        """Start act number `index`, as a reset of the emulator does (one frame passes)."""
        self._library.host_load(index)
        self._size = self._library.host_world_size()
        self.hold(0, 1)

    def hold(self, pad: int, frames: int) -> int:
        """Hold the pad; stops early at a lost life or the level's end. Returns frames played."""
        return self._hold(pad, frames)

    def save(self) -> bytes:
        """The state of the act."""
        return ctypes.string_at(self._address, self._size)

    def restore(self, state: bytes) -> None:
        """Go back to a saved state of the same act."""
        ctypes.memmove(self._address, state, self._size)

    def levers(self) -> int:
        """The number of levers that are pulled."""
        return self._library.host_levers()

    @property
    def dead(self) -> bool:
        """Whether a life was lost."""
        return self.variables.lives < 3
