"""Mega Drive ROMs as they lie on disks: dumps of several devices, and what their headers say.

A dump may begin with 512 bytes of the device that copied it. The Super Magic Drive splits each
16 KiB into its odd bytes, then its even ones. Some programs swap the bytes of each 16-bit word. And
a dump may be longer than its ROM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LEAST_BYTES = 0x200
"""bytes up to the end of the header"""
COPIER_BYTES = 512
BLOCK = 0x4000
"""bytes of a block of the Super Magic Drive"""


@dataclass(frozen=True)
class Form:
    """A dump turned back into a ROM."""

    how: str
    """what had to be done to it, in words; nothing if it was a plain ROM"""
    rom: bytes


def forms(dump: bytes) -> Iterator[Form]:
    """The ROMs that a dump may hold, the dump itself first.

    Other forms are given only where the console's name then stands where a ROM has it.
    """
    yield Form("", dump)
    for skipped, words in ((0, ""), (COPIER_BYTES, "copier header removed")):
        body = dump[skipped:]
        for convert, how in (
            (bytes, ""),
            (deinterleaved, "Super Magic Drive dump converted"),
            (byte_swapped, "bytes swapped back"),
        ):
            if len(body) < LEAST_BYTES or not is_rom(convert(body[:BLOCK])):
                continue
            done = [each for each in (words, how) if each]
            rom = convert(body)
            if done:
                yield Form(", ".join(done), rom)
            size = Header.of(rom).size
            if LEAST_BYTES < size < len(rom):
                yield Form(", ".join([*done, "padding removed"]), rom[:size])


def is_rom(content: bytes) -> bool:
    """Whether the console's name stands where a Mega Drive ROM has it."""
    return content[0x100:0x110].lstrip()[:4] == b"SEGA"


def byte_swapped(content: bytes) -> bytes:
    """Each two bytes in the other order; a last odd byte stays."""
    swapped = bytearray(content)
    even = len(content) & ~1
    swapped[0:even:2], swapped[1:even:2] = content[1:even:2], content[0:even:2]
    return bytes(swapped)


def deinterleaved(content: bytes) -> bytes:
    """Blocks of the Super Magic Drive as they were; an incomplete last block stays."""
    rom = bytearray(content)
    half = BLOCK // 2
    for start in range(0, len(content) - BLOCK + 1, BLOCK):
        rom[start + 1 : start + BLOCK : 2] = content[start : start + half]
        rom[start : start + BLOCK : 2] = content[start + half : start + BLOCK]
    return bytes(rom)


@dataclass(frozen=True)
class Header:
    """What a ROM says about itself, from byte 0x100 on. Nothing of it need be true."""

    title: str
    """name of the game"""
    serial: str
    """for example `GM 00001009-00`; the last two digits are the revision"""
    regions: str
    """letters of the regions it is for, for example `JUE`"""
    size: int
    """bytes of the ROM; 0 if it says nothing that can be"""
    checksum: int
    """sum of all words behind the header, modulo 65536"""

    @classmethod
    def of(cls, rom: bytes) -> Header:
        titles = [_text(rom[0x150:0x180]), _text(rom[0x120:0x150])]  # abroad, in Japan
        last = int.from_bytes(rom[0x1A4:0x1A8])
        return cls(
            title=next((title for title in titles if title), ""),
            serial=_text(rom[0x180:0x18E]),
            regions=_text(rom[0x1F0:0x1F3]),
            size=last + 1 if last < 1 << 24 else 0,
            checksum=int.from_bytes(rom[0x18E:0x190]),
        )

    @property
    def revision(self) -> str:
        """The serial's last two digits, or nothing."""
        match = re.search(r"-(\d\d)$", self.serial)
        return match[1] if match else ""

    def damage(self, rom: bytes) -> str:
        """Why the ROM is not the one that its header describes; nothing if it may be."""
        if len(rom) < self.size:
            return f"cut off: its header says {self.size:,} bytes, it has {len(rom):,}"
        words = rom[LEAST_BYTES : self.size or len(rom)]
        words += b"\0" * (len(words) & 1)
        total = (sum(words[0::2]) * 256 + sum(words[1::2])) & 0xFFFF
        return "" if total == self.checksum else "damaged or changed: its checksum is wrong"


def _text(content: bytes) -> str:
    return " ".join(content.decode("ascii", "replace").split())
