"""ROMs of our own, as an owner of games has them: in every form, and in none that will do."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np

from retro_contest.levels import find

SHIPPED = find("pangolin-test")[0].folder
"""integration folder of the free game"""
PANGOLIN = (SHIPPED / "rom.md").read_bytes()


def rom_of(
    title: str = "A GAME", serial: str = "GM 00000001-00", size: int = 0x8000, seed: int = 0
) -> bytes:
    """A ROM with a right header and random content; it cannot be played."""
    rom = bytearray(np.random.default_rng(seed).bytes(size))
    rom[0x100:0x200] = b" " * 0x100
    for start, text in ((0x100, "SEGA MEGA DRIVE"), (0x120, title), (0x150, title)):
        rom[start : start + len(text)] = text.encode()
    rom[0x180 : 0x180 + len(serial)] = serial.encode()
    rom[0x1A0:0x1A8] = (0).to_bytes(4) + (size - 1).to_bytes(4)
    rom[0x1F0:0x1F3] = b"JUE"
    words = np.frombuffer(bytes(rom[0x200:]), ">u2")
    rom[0x18E:0x190] = (int(words.sum(dtype=np.uint64)) & 0xFFFF).to_bytes(2)
    return bytes(rom)


def smd(rom: bytes) -> bytes:
    """As the Super Magic Drive stores it, with its header."""
    assert len(rom) % 0x4000 == 0
    blocks = np.frombuffer(rom, np.uint8).reshape(-1, 0x2000, 2)
    body = blocks.transpose(0, 2, 1)[:, ::-1].tobytes()  # the odd bytes of a block come first
    header = bytes([len(rom) // 0x4000, 3, 0, 0, 0, 0, 0, 0, 0xAA, 0xBB, 6])
    return header.ljust(512, b"\0") + body


def swapped(rom: bytes) -> bytes:
    """With the bytes of each word in the other order."""
    return np.frombuffer(rom, "<u2").astype(">u2").tobytes()


def zipped(**members: bytes) -> bytes:
    """A zip archive; `a__b` is the member `a/b`."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return archive.getvalue()


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def integration(folder: Path, rom: bytes, *, states: int = 1) -> Path:
    """An integration folder of the free game's levels for another ROM, which is not in it."""
    folder.mkdir(parents=True)
    for file in [*SHIPPED.glob("*.json"), *sorted(SHIPPED.glob("*.state"))[:states]]:
        shutil.copy(file, folder)
    (folder / "rom.sha").write_text(f"{sha1(rom)}\n")
    return folder


def changed_build() -> bytes:
    """A build of the free game that plays as it does, with another title and more data."""
    rom = bytearray(PANGOLIN.ljust(-(-len(PANGOLIN) // 0x4000) * 0x4000, b"\xff"))
    rom[0x150:0x180] = b"PANGOLIN DASH, CHANGED".ljust(48)
    free = len(PANGOLIN)
    rom[free:] = np.random.default_rng(1).bytes(len(rom) - free)
    return bytes(rom)
