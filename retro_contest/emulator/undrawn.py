"""Emulates frames that no observation shows without drawing them.

The trick
    Of a timestep's 4 frames only the last is observed, but stable-retro draws all four, and drawing
    is about half of the emulator's time. Genesis Plus GX, the core that emulates the Mega Drive,
    has the switch that libretro lacks: its main loop is `system_frame_gen(do_skip)`, and with
    `do_skip = 1` it runs CPUs, video chip and sound as always but paints no line. The core inside
    stable-retro's wheel carries its symbol table, so the function can be found by name in the
    file and called at the address where the library is loaded.

A frame
    `em.step()` empties the audio list and calls `retro_run`, which (read from its machine code)
    1. runs `system_frame_gen(0)`, which also polls the pads;
    2. if the video mode changed, notifies the frontend (the change stays noted until that is done);
    3. hands the picture to the frontend;
    4. collects the sound with `audio_update` and hands it to the frontend;
    5. asks whether an option changed (stable-retro always says no).
    An undrawn frame is `system_frame_gen(1)` and `audio_update` into the core's own buffer, so
    that sound goes on as before and its buffer does not run over. Steps 2 and 3 happen at the next
    drawn frame.

The assumption
    Painting a line changes nothing that the game uses. The video chip has two status bits that
    painting sets (two sprites touch; too many sprites on a line): a game that acts on them would
    run differently undrawn. So a level needs a proof before its frames go undrawn:
    `retro_contest.emulator.proof`.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import re
import sys
from pathlib import Path

import numpy as np
import stable_retro
from elftools.elf.elffile import ELFFile

from retro_contest.levels import Level

log = logging.getLogger(__name__)

PAINTED_STATUS = 0x60  # "too many sprites on a line" and "two sprites touch"
STATE_SIZE = 1 << 21  # bytes, more than a save-state can have (the core's own limit is half that)

CORE = Path(stable_retro.__file__).parent / "cores" / "genesis_plus_gx_libretro.so"
FUNCTIONS = ("system_frame_gen", "audio_update", "retro_run", "state_save")
OBJECTS = ("soundbuffer", "system_hw", "status")

# An entry of a 64-bit ELF file's symbol table.
_SYMBOL = np.dtype(
    [
        ("name", "<u4"),
        ("kind", "u1"),
        ("visibility", "u1"),
        ("section", "<u2"),
        ("value", "<u8"),
        ("size", "<u8"),
    ]
)


class Unavailable(Exception):
    """Frames cannot go undrawn here; the message says why."""


class Undrawn:
    """The loaded core's way to emulate a frame without drawing it.

    Belongs to the emulator that is loaded now, and must not be used once that one is closed.

    Raises:
        Unavailable: the core is not there, or not as expected.
    """

    def __init__(self) -> None:
        symbols = read_symbols(CORE)
        base = library_base(CORE)
        for name in FUNCTIONS:
            offset, code = symbols[name]
            if ctypes.string_at(base + offset, len(code)) != code:
                raise Unavailable(f"{name} in memory differs from that in {CORE.name}")
        # The same test by which retro_run picks system_frame_gen: Mega Drive without CD.
        hardware = ctypes.c_uint8.from_address(base + symbols["system_hw"][0]).value
        if hardware & 0x81 != 0x80 or hardware == 0x84:
            raise Unavailable(f"the emulated machine is not a Mega Drive (0x{hardware:02x})")
        self._frame = ctypes.PYFUNCTYPE(None, ctypes.c_int)(base + symbols["system_frame_gen"][0])
        self._audio = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
            base + symbols["audio_update"][0]
        )
        self._save = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
            base + symbols["state_save"][0]
        )
        self._status = ctypes.c_uint16.from_address(base + symbols["status"][0])
        self._buffer = (ctypes.c_char * STATE_SIZE)()
        self._sound = ctypes.c_void_p(base + symbols["soundbuffer"][0])

    def step(self) -> None:
        """Emulate one frame with the buttons held now, as `em.step()` does, but draw nothing."""
        self._frame(1)
        self._audio(self._sound)

    def state(self) -> memoryview:
        """The emulator's save-state, without the two status bits that painting sets.

        (`em.get_state()` has unwritten memory at its end.) The next call overwrites the memory that
        is returned.
        """
        status = self._status.value
        self._status.value = status & ~PAINTED_STATUS
        size = self._save(self._buffer)
        self._status.value = status
        return memoryview(self._buffer)[:size]


@functools.lru_cache(maxsize=1)
def read_symbols(path: Path) -> dict[str, tuple[int, bytes]]:
    """`{name: (offset from the library's base, machine code)}` of the core's functions and objects.

    The machine code of an object is empty.

    Raises:
        Unavailable: this is not Linux, or the file is missing or lacks a symbol.
    """
    if not sys.platform.startswith("linux"):
        raise Unavailable(f"not made for {sys.platform}")
    if not path.exists():
        raise Unavailable(f"no {path.name}")
    found: dict[str, tuple[int, bytes]] = {}
    with path.open("rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".symtab")
        if table is None or elf.elfclass != 64 or not elf.little_endian:
            raise Unavailable(f"{path.name} has no symbol table, or one of another kind")
        names = elf.get_section(table["sh_link"]).data()
        symbols = np.frombuffer(table.data(), _SYMBOL)
        for name in FUNCTIONS + OBJECTS:
            # All at once: making 6000 Python objects takes a third of a second.
            places = [m.start() for m in re.finditer(rb"%s(?=\0)" % name.encode(), names)]
            matches = symbols[np.isin(symbols["name"], places)]
            if len(matches) != 1:
                continue
            (symbol,) = matches
            code = b""
            if name in FUNCTIONS:
                section = elf.get_section(int(symbol["section"]))
                file.seek(int(symbol["value"]) - section["sh_addr"] + section["sh_offset"])
                code = file.read(int(symbol["size"]))
            found[name] = (int(symbol["value"]), code)
    missing = sorted({*FUNCTIONS, *OBJECTS} - set(found))
    if missing:
        raise Unavailable(f"{path.name} has not one symbol {', '.join(missing)}")
    return found


def library_base(path: str | Path) -> int:
    """The address at which this process has loaded a library; raises Unavailable if it has not."""
    path = Path(path).resolve()
    with open("/proc/self/maps") as maps:
        for line in maps:
            address, _, offset, _, _, *name = line.split(maxsplit=5)
            if name and name[0].rstrip("\n") == str(path) and int(offset, 16) == 0:
                return int(address.split("-")[0], 16)
    raise Unavailable(f"{path.name} is not loaded")


def attach(level: Level) -> Undrawn | None:
    """The loaded emulator's way to leave frames undrawn; None, with a warning, if it has none."""
    try:
        return Undrawn()
    except Unavailable as error:
        warn_once(level, str(error))
        return None


def warn_once(level: Level, reason: str) -> None:
    """Log that a level's frames are all drawn: once per process for each game and reason."""
    warn(f"{level.game}: every frame is drawn, at half the speed ({reason})")


@functools.cache
def warn(message: str) -> None:
    """Log a warning, once per process and message; `warn.cache_clear()` forgets them."""
    log.warning(message)
