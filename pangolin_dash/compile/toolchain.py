"""Compile the game: to a Mega Drive ROM, and its logic to a library for this machine."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

from pangolin_dash.compile import assets, ram
from pangolin_dash.compile.errors import BuildError
from pangolin_dash.levels.blocks import BLOCKS
from pangolin_dash.levels.generator import PROGRESS, Act
from pangolin_dash.levels.themes import HAZARD, LIQUID, SPECIAL, THEMES
from retro_common.errors import UsageError

SOURCES = Path(__file__).parents[1] / "src"
CROSS = "m68k-linux-gnu-"
ROM_LIMIT = 1 << 20

LOGIC = ("player", "terrain", "objects", "camera", "level")  # no hardware: built for both machines
HARDWARE = ("main", "video", "draw")
HOST = ("host", "guide", "observe", "scene")
FRAMES = ("view", "screen", "tiles", "draw", "video")  # on top of HOST, where frames are wanted

# -fno-jump-tables and friends: what a 68000 without an operating system and without libgcc needs.
CROSS_FLAGS = [
    *("-m68000", "-O2", "-std=gnu11", "-ffreestanding", "-fno-builtin", "-fno-pie"),
    *("-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-jump-tables"),
    *("-fno-tree-loop-distribute-patterns", "-fno-store-merging"),
    *("-Wall", "-Wextra", "-Werror"),
]
HOST_FLAGS = [
    *("-DHOST", "-O2", "-std=gnu11", "-fwrapv", "-shared", "-fPIC", "-fno-semantic-interposition"),
    *("-flto", "-ftls-model=initial-exec", "-Wall", "-Wextra", "-Werror"),
]


def have_cross_compiler() -> bool:
    """Whether the Mega Drive compiler is installed."""
    return shutil.which(CROSS + "gcc") is not None


def require_compilers(*, search: bool) -> None:
    """Refuse to begin without the compilers.

    Args:
        search: whether the search runs, which needs this machine's own compiler.

    Raises:
        UsageError: a compiler is missing; the message names its package.
    """
    for command in (CROSS + "gcc", *(["gcc"] if search else [])):
        if shutil.which(command) is None:
            raise UsageError(_missing(command))


def _missing(command: str) -> str:
    package = "gcc-m68k-linux-gnu" if command.startswith(CROSS) else "gcc"
    return f"{command} is not installed (on Debian: apt install {package})"


def _run(*command: str | Path) -> str:
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise UsageError(_missing(str(command[0]))) from None
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def write_sources(acts: list[Act], folder: Path) -> None:
    """Write the ROM's C tables of levels, art and variables into a folder.

    Raises:
        BuildError: art or a level breaks a limit of the machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures, art = assets.compile_art()
    (folder / "vars.h").write_text(ram.header())
    (folder / "pictures.h").write_text(pictures)
    (folder / "art_data.c").write_text(art)
    (folder / "levels_data.c").write_text(_levels_source(acts))


def points_per_pixel(act: Act) -> int:
    """Progress for a pixel, in 1/4096 points.

    Raises:
        BuildError: it is no whole number.
    """
    points, rest = divmod(PROGRESS, act.end_x - act.start[0])
    if rest:
        raise BuildError(f"{act.name}: a length of {act.end_x - act.start[0]} is not exact")
    return points


def _tables_source() -> str:
    """The tables of blocks and zones."""
    parts = ['#include "world.h"\n', assets.compile_blocks()]
    for name, table in (("special", SPECIAL), ("liquid", LIQUID), ("hazard", HAZARD)):
        codes = ",".join(str(table[getattr(theme, name)]) for theme in THEMES.values())
        parts.append(f"const u8 zone_{name}[] = {{{codes}}};\n")
    return "".join(parts)


def _levels_source(acts: list[Act]) -> str:
    zones = list(THEMES)
    parts = [_tables_source()]
    rows = []
    for i, act in enumerate(acts):
        things = ",".join(f"{{{t.x},{t.y},{t.type},{t.param},{t.a},{t.b}}}" for t in act.things)
        rings = ",".join(f"{{{x},{y}}}" for x, y in act.rings)
        parts.append(f"static const u8 map{i}[] = {{{','.join(map(str, act.map.ravel()))}}};\n")
        parts.append(f"static const struct ObjectDef things{i}[] = {{{things}}};\n")
        parts.append(f"static const struct RingDef rings{i}[] = {{{rings}}};\n")
        rows.append(
            f"{{{zones.index(act.zone)},{act.act - 1},{len(act.map)},{act.start[0]},{act.start[1]},"
            f"{act.end_x},{points_per_pixel(act)},map{i},things{i},{len(act.things)},rings{i},{len(act.rings)}}}"
        )
    parts.append("const struct Level levels[] = {\n" + ",\n".join(rows) + "\n};\n")
    parts.append(f"const u16 level_count = {len(acts)};\n")
    return "".join(parts)


def build_rom(generated: Path) -> bytes:
    """Compile and link the ROM from the generated sources.

    Raises:
        UsageError: there is no cross compiler, or the ROM is over 1 MiB.
        BuildError: a compile error, or code that a 68000 cannot run.
    """
    objects = []
    sources = [SOURCES / f"{name}.c" for name in (*LOGIC, *HARDWARE)]
    sources += [generated / "art_data.c", generated / "levels_data.c"]
    _run(CROSS + "as", "-m68000", SOURCES / "boot.s", "-o", generated / "boot.o")
    for source in sources:
        objects.append(generated / f"{source.stem}.o")
        includes = ("-I", SOURCES, "-I", generated)
        _run(CROSS + "gcc", *CROSS_FLAGS, *includes, "-c", source, "-o", objects[-1])
    elf = generated / "game.elf"
    script = SOURCES.parent / "rom.ld"
    # Without libgcc, which contains 68020 code: the linker refuses undefined symbols.
    _run(CROSS + "ld", "-T", script, "--build-id=none", generated / "boot.o", *objects, "-o", elf)
    check_code(elf)
    _run(CROSS + "objcopy", "-O", "binary", "-j", ".text", elf, generated / "game.bin")
    rom = bytearray((generated / "game.bin").read_bytes())
    rom += b"\0" * (-len(rom) % 1024)
    if len(rom) > ROM_LIMIT:
        raise UsageError(
            f"the ROM has {len(rom)} bytes, {ROM_LIMIT} are allowed: build fewer acts or zones"
        )
    struct.pack_into(">H", rom, 0x18E, header_checksum(rom))
    return bytes(rom)


def header_checksum(rom: bytes) -> int:
    """The header's checksum: 16-bit sum of all words from 0x200 on."""
    words = struct.unpack(f">{(len(rom) - 0x200) // 2}H", rom[0x200:])
    return sum(words) & 0xFFFF


def odd_accesses(elf: Path) -> list[str]:
    """Instructions that read or write a word or long at an odd address.

    GCC 12 emits them for (short)(long >> 8) and, without -fno-store-merging, for neighbouring
    bytes; a real 68000 stops there and the emulator silently reads something else.
    """
    bad = []
    for line in _run(CROSS + "objdump", "-d", "-M", "68000", elf).splitlines():
        parts = line.split("\t")
        if len(parts) < 3 or int(parts[0].strip(" :"), 16) < 0x200:  # vectors and header are data
            continue
        instruction = parts[2]
        mnemonic, _, operands = instruction.partition(" ")
        if not mnemonic.endswith(("w", "l")) or mnemonic.startswith(("b", "db", "lea", "pea")):
            continue
        for operand in re.split(r",(?![^(]*\))", operands):
            odd_address = re.fullmatch(r"(?:0x)?([0-9a-f]+)(?: <.*>)?", operand.strip())
            odd_offset = re.fullmatch(r"%(?:a\d|sp|fp|pc)@\((-?\d+)\)", operand.strip())
            if odd_address and not operand.strip().startswith("#"):
                if int(odd_address.group(1), 16) & 1:
                    bad.append(line.strip())
            elif odd_offset and int(odd_offset.group(1)) & 1:
                bad.append(line.strip())
    return bad


def check_code(elf: Path) -> None:
    """Refuse code that a 68000 cannot run.

    Raises:
        BuildError: undefined symbols, or accesses at odd addresses.
    """
    undefined = _run(CROSS + "nm", "--undefined-only", elf).strip()
    if undefined:
        raise BuildError(f"undefined symbols: {undefined}")
    odd = odd_accesses(elf)
    if odd:
        raise BuildError("accesses at odd addresses:\n" + "\n".join(odd))


def build_host_library(folder: Path, *, frames: bool = False) -> Path:
    """Compile the game's logic for this machine; returns the shared library's path.

    Args:
        folder: an empty one, for the library and what it is made of. Levels are not part of it.
        frames: with the art, and with what draws a world's picture.

    Raises:
        UsageError: gcc is not installed.
        BuildError: a compile error.
    """
    (folder / "vars.h").write_text(ram.header())
    (folder / "tables.c").write_text(_tables_source())
    library = folder / "libgame.so"
    sources = [SOURCES / f"{name}.c" for name in (*LOGIC, *HOST, *(FRAMES if frames else ()))]
    sources += [folder / "tables.c"]
    flags = list(HOST_FLAGS)
    if frames:
        pictures, art = assets.compile_art()
        (folder / "pictures.h").write_text(pictures)
        (folder / "art_data.c").write_text(art)
        sources += [folder / "art_data.c"]
        flags += ["-DFRAMES", f"-DBLOCK_COUNT={len(BLOCKS)}"]
    _run("gcc", *flags, "-I", SOURCES, "-I", folder, *sources, "-o", library)
    return library
