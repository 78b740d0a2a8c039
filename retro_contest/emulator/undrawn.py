"""Emulate the frames that nobody sees without drawing them.

The trick
    Of a timestep's 4 frames only the last is seen, but stable-retro draws all four, and drawing is
    about half of the emulator's time. Genesis Plus GX, the core that emulates the Mega Drive, has
    the switch that libretro lacks: its main loop is ``system_frame_gen(do_skip)``, and with
    ``do_skip = 1`` it runs CPUs, video chip and sound as ever but paints no line. The core inside
    stable-retro's wheel carries its symbol table, so the function can be found by name in the
    file and called at the address where the library is loaded.

What a frame is
    ``em.step()`` empties the audio list and calls ``retro_run``, which (read from its machine code)
    1. runs ``system_frame_gen(0)``, which also polls the pads;
    2. if the video mode changed, tells the frontend (the change stays noted until that is done);
    3. hands the picture to the frontend;
    4. collects the sound with ``audio_update`` and hands it to the frontend;
    5. asks whether an option changed (stable-retro always says no).
    An undrawn frame is ``system_frame_gen(1)`` and ``audio_update`` into the core's own buffer, so
    that sound goes on as before and its buffer does not run over. Steps 2 and 3 happen at the next
    drawn frame.

What it assumes
    That painting a line changes nothing which the game uses. The video chip has two status bits
    that painting sets (two sprites touch; too many sprites on a line): a game that acts on them
    would run otherwise undrawn.

The proof
    So a level has to prove itself before its frames go undrawn: it is played from its start for
    some hundred timesteps of random buttons, once drawn and once undrawn, and after each timestep
    picture, reward, episode end, RAM and the whole save-state (but for those two bits) must be the
    same. The verdict is kept in a file, so a machine does this once per level. On any
    difference, and if anything is not as expected (another core, another platform, no symbol
    table, memory that differs from the file), frames are drawn as usual and a warning says so once.

    The proof cannot see what happens later or elsewhere in the level than random play gets. The
    tests play every level that the kit ships both ways with long movies; for any other game,
    ``draw_all`` is there.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import logging
import os
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import stable_retro
from elftools.elf.elffile import ELFFile

from retro_contest import levels
from retro_contest.levels import Level

if TYPE_CHECKING:
    from retro_contest.emulator.environment import ContestEnv

log = logging.getLogger(__name__)

PROOF_TIMESTEPS = 240
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

    Belongs to the emulator that is loaded now, and must not be used after that one is closed.

    Raises:
        Unavailable: the core is not there, or not as expected.
    """

    def __init__(self) -> None:
        symbols = _symbols(CORE)
        base = library_base(CORE)
        for name in FUNCTIONS:
            offset, code = symbols[name]
            if ctypes.string_at(base + offset, len(code)) != code:
                raise Unavailable(f"{name} in memory is not what {CORE.name} holds")
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
        """Emulate one frame with the buttons held now, as ``em.step()`` does, but draw nothing."""
        self._frame(1)
        self._audio(self._sound)

    def state(self) -> memoryview:
        """The emulator's save-state, but for the two status bits that painting sets.

        (``em.get_state()`` has unwritten memory at its end.) The next call changes what it returns.
        """
        status = self._status.value
        self._status.value = status & ~PAINTED_STATUS
        size = self._save(self._buffer)
        self._status.value = status
        return memoryview(self._buffer)[:size]


@functools.lru_cache(maxsize=1)
def _symbols(path: Path) -> dict[str, tuple[int, bytes]]:
    """``{name: (offset from the library's base, machine code)}``; no code for variables."""
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


def is_known(level: Level) -> bool:
    """Whether :func:`may_skip` can answer for this level without a proof."""
    try:
        return _stored(_key(level)) is not None
    except Unavailable:
        return True


def may_skip(level: Level) -> bool:
    """Whether the level's frames may go undrawn: by its stored proof, else by proving it now.

    A proof makes two emulators, one after the other, so no other may be loaded unless
    :func:`is_known`.
    """
    try:
        key = _key(level)
        difference = _stored(key)
        if difference is None:
            difference = prove(level)
            _store(key, level, difference)
    except Unavailable as error:
        difference = str(error)
    if difference:
        _warn(f"{level.game}: every frame is drawn, at half the speed ({difference})")
    return not difference


def attach(level: Level) -> Undrawn | None:
    """The loaded emulator's way to go undrawn after :func:`may_skip`; None if it has none."""
    try:
        return Undrawn()
    except Unavailable as error:
        _warn(f"{level.game}: every frame is drawn, at half the speed ({error})")
        return None


def prove(level: Level, timesteps: int = PROOF_TIMESTEPS) -> str:
    """Play the level drawn and undrawn; returns the first difference, or "" if there is none.

    Both in one emulator, because a save-state of this core holds addresses of the loaded library.

    Raises:
        Unavailable: frames cannot go undrawn here at all.
    """
    from retro_contest.emulator.environment import ContestEnv

    env = ContestEnv(level)
    try:
        core = Undrawn()
        actions = random_buttons(timesteps)
        drawn = list(trace(env, core, actions))
        env.undrawn = core
        for timestep, seen in enumerate(trace(env, core, actions)):
            for what, value in seen.items():
                if value != drawn[timestep][what]:
                    return f"{what} differs after {timestep} timesteps of the proof"
    finally:
        env.close()
    return ""


def random_buttons(timesteps: int, seed: int = 0) -> np.ndarray:
    """Random actions ``[timesteps, 12]``, each held for 4 timesteps, or nothing would get far."""
    random = np.random.default_rng(seed)
    return random.integers(0, 2, (timesteps // 4 + 1, 12), np.int8).repeat(4, axis=0)[:timesteps]


def trace(env: ContestEnv, core: Undrawn, actions: np.ndarray) -> Iterator[dict[str, Any]]:
    """Play buttons and yield after each timestep what must not depend on drawing."""
    env.reset(seed=0)
    for action in actions:
        frame, reward, terminated, truncated, variables = env.step(action)
        yield {
            "the picture": zlib.crc32(frame),
            "the reward": reward,
            "the episode's end": (terminated, truncated),
            "a RAM variable": variables,
            "RAM": zlib.crc32(env.retro.get_ram()),
            "the save-state": zlib.crc32(core.state()),
        }
        if terminated or truncated:
            env.reset()


@functools.cache
def _warn(message: str) -> None:
    """Warn, once per process and message."""
    log.warning(message)


def _key(level: Level) -> str:
    """Hash of all that a verdict depends on: ROM, state, rules, core, and this module."""
    from retro_contest.emulator.environment import GameFiles

    folder = GameFiles.of(level).folder
    rules = sorted([*folder.glob("*.json"), *folder.glob("*.lua")])
    paths = [levels.rom_file(level), folder / f"{level.state}.state", *rules, CORE, __file__]
    digests = [_digest(path) for path in paths]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _digest(path: str | Path) -> str:
    if not Path(path).exists():
        raise Unavailable(f"no {Path(path).name}")
    return _digest_of(str(path), os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_of(path: str, _changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "retro-contest-kit" / "undrawn"


_verdicts: dict[str, str] = {}  # of this process, by key, for where no file can be written


def _stored(key: str) -> str | None:
    """The verdict so far: "" for equal, else the difference; None if there is none."""
    if key in _verdicts:
        return _verdicts[key]
    try:
        return str(json.loads((_cache() / f"{key}.json").read_text())["difference"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _store(key: str, level: Level, difference: str) -> None:
    """Keep a verdict; where the file cannot be written, only for this process."""
    _verdicts[key] = difference
    verdict = {"level": level.name, "difference": difference, "timesteps": PROOF_TIMESTEPS}
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        temporary = _cache() / f"{key}.{os.getpid()}"
        temporary.write_text(json.dumps(verdict))
        temporary.replace(_cache() / f"{key}.json")
    except OSError:
        log.debug("verdict not stored", exc_info=True)
