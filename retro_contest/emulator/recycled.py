"""Lets stable-retro copy the console's RAM into the same blocks again and again.

`update_ram` copies all RAM (64 KB) after every frame, so that a reward can be the difference
between two frames. It asks the system for a fresh mapping for each copy and gives it back at the
next: the copy itself takes 4 µs; mapping, 16 page faults and unmapping take 60 to 80 µs.

stable-retro's extension calls `mmap` and `munmap` through its own linkage table, as every
shared library does. `install` points these two entries at functions that keep returned blocks and
hand them out again. The results do not change: the extension fills a block completely before it
reads it. Calls for any other memory are passed on to the system.

Blocks are ordinary mappings of their full size, so `uninstall` is safe at any time: the
extension then gives them back to the system itself.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import platform
import sys
from typing import Any

import stable_retro._retro
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from retro_contest.emulator.undrawn import Unavailable, library_base

_ANYWHERE, _NO_FILE = None, -1
_KEPT = 8  # blocks; two are in use at any time

_Mmap = ctypes.PYFUNCTYPE(
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_Munmap = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


class Blocks:
    """Replaces `mmap` and `munmap` for the extension."""

    system: dict[str, int]
    """addresses of the system's functions, by name"""
    used: set[tuple[int, int]]
    """(address, size) of the blocks that the extension has now"""
    kept: list[tuple[int, int]]
    """(address, size) of the blocks that wait to be handed out again"""

    def __init__(self) -> None:
        system = ctypes.PyDLL(None)
        self.system = {name: _address(getattr(system, name)) for name in ("mmap", "munmap")}
        self._mmap, self._munmap = _Mmap(self.system["mmap"]), _Munmap(self.system["munmap"])
        self.used = set()
        self.kept = []
        self.replacements = {"mmap": _Mmap(self.mmap), "munmap": _Munmap(self.munmap)}

    def mmap(self, where, size, protection, flags, fd, offset) -> int | None:
        if where is not _ANYWHERE or fd != _NO_FILE:
            return self._mmap(where, size, protection, flags, fd, offset)
        block = next((block for block in self.kept if block[1] == size), None)
        if block is not None:
            self.kept.remove(block)
        else:
            block = (self._mmap(where, size, protection, flags, fd, offset), size)
        self.used.add(block)
        return block[0]

    def munmap(self, address, size) -> int:
        block = (address, size)
        if block not in self.used:
            return self._munmap(address, size)
        self.used.remove(block)
        if len(self.kept) >= _KEPT:
            return self._munmap(address, size)
        self.kept.append(block)
        return 0

    def forget(self) -> None:
        """Leave blocks in use to the system, and give the kept ones back to it."""
        self.used.clear()
        while self.kept:
            self._munmap(*self.kept.pop())


def install() -> None:
    """Start recycling; does nothing if it is on already, or not possible here."""
    try:
        slots = linkage_slots()
    except Unavailable:
        return
    recycler = blocks()
    for name, slot in slots.items():
        slot.value = _address(recycler.replacements[name])


def uninstall() -> None:
    """Stop recycling."""
    try:
        slots = linkage_slots()
    except Unavailable:
        return
    for name, slot in slots.items():
        slot.value = blocks().system[name]
    blocks().forget()


@functools.cache
def blocks() -> Blocks:
    """This process's blocks."""
    atexit.register(uninstall)  # later, Python could not answer the extension's calls any more
    return Blocks()


@functools.cache
def linkage_slots() -> dict[str, ctypes.c_void_p]:
    """The extension's linkage table entries of the two functions, as variables to write to.

    Raises:
        Unavailable: the table cannot be found or written here.
    """
    if not (sys.platform.startswith("linux") and platform.machine() == "x86_64"):
        raise Unavailable("the table's layout is known for Linux on x86-64 only")
    path = stable_retro._retro.__file__
    with open(path, "rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".rela.plt")
        if not isinstance(table, RelocationSection):
            raise Unavailable("no linkage table")
        symbols = elf.get_section(table["sh_link"])
        assert isinstance(symbols, SymbolTableSection)
        offsets = {}
        for relocation in table.iter_relocations():
            name = symbols.get_symbol(relocation["r_info_sym"]).name
            if name in ("mmap", "munmap"):
                offsets[name] = relocation["r_offset"]
        read_only = [
            range(part["p_vaddr"], part["p_vaddr"] + part["p_memsz"])
            for part in elf.iter_segments("PT_GNU_RELRO")
        ]
    if len(offsets) != 2 or any(
        offset in part for offset in offsets.values() for part in read_only
    ):
        raise Unavailable("the linkage table has no such entries, or is read-only")
    base = library_base(path)
    return {name: ctypes.c_void_p.from_address(base + offset) for name, offset in offsets.items()}


def _address(function: Any) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
