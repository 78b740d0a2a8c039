"""Makes the ROMs of changed games: the delta in the game's folder, applied to the source's ROM.

The source is known by its SHA-1, and so is the result: nothing else is ever stored. The delta is
read before a decoder gets it (`delta`), and the decoder runs within limits (`decoder`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_plain
from retro_common.text import clean
from retro_contest.rom_files import digest, own_rom, sources
from retro_contest.roms import decoder, store
from retro_contest.roms.catalogue import Catalogue, Game
from retro_contest.roms.delta import MOST_DELTA, MOST_TARGET, DamagedDelta, Delta, read_delta

TIMEOUT = 60.0
"""seconds for one delta"""
NO_DECODER = (
    "a decoder of VCDIFF is missing: pip install 'retro-contest-kit[roms]' (or pip install "
    "pyxdelta), or install your distribution's package xdelta3 (apt install xdelta3)"
)


class CannotPatch(UsageError):
    """A ROM cannot be made; the message says why."""


@dataclass(frozen=True)
class Patched:
    """One changed game, and what became of its ROM."""

    game: str
    good: bool
    """whether its ROM is here now"""
    sentence: str


def patch_roms(games: Iterable[Game], known: Catalogue) -> Iterator[Patched]:
    """Make the ROM of each game that lacks it.

    Raises:
        UsageError: no decoder is installed, or this user's folder cannot be written to.
    """
    for game in games:
        if store.good_rom(game) is not None:
            yield Patched(game.name, True, "already here")
            continue
        try:
            source = make(game, known)
        except CannotPatch as error:
            yield Patched(game.name, False, str(error))
        else:
            yield Patched(game.name, True, f"made from the ROM with SHA-1 {source}")


def make(game: Game, known: Catalogue) -> str:
    """Make and store the ROM of a changed game; returns its source's SHA-1.

    Raises:
        CannotPatch: the source is missing, the delta is damaged, or the result is another ROM.
        UsageError: no decoder is installed, or this user's folder cannot be written to.
    """
    try:
        content = read_plain(game.folder / "rom.delta", MOST_DELTA, follow=True)
        delta = read_delta(content)
    except UnreadableFile as error:
        raise CannotPatch(f"rom.delta cannot be read: {error.why}") from None
    except DamagedDelta as error:
        raise CannotPatch(f"rom.delta cannot be used: {error}") from None
    needed = sources(game.folder)
    if not needed:
        raise CannotPatch("nothing says which ROM it is made from: rom.source is missing")
    here = [rom for each in needed if (rom := find_source(each, known)) is not None]
    if not here:
        names = {each.name for sha1 in needed for each in known.by_digest.get(sha1, [])}
        of = f" of {' and '.join(sorted(names))}" if names else ""
        raise CannotPatch(
            f"the ROM{of} with SHA-1 {' or '.join(needed)} is missing: retro-contest roms import "
            "PATH with the folder that holds it"
        )
    failures = []
    for rom in here:
        try:
            result = apply_delta(rom, content, delta)
        except CannotPatch as error:
            failures.append(f"{error} (source: SHA-1 {digest('sha1', rom)})")
            continue
        sha1 = hashlib.sha1(result).hexdigest()
        if sha1 in game.digests:
            store.keep(game, result)
            return digest("sha1", rom)
        failures.append(
            f"the result is another ROM: its SHA-1 is {sha1}, that in rom.sha is "
            f"{' or '.join(game.digests)}"
        )
    raise CannotPatch("; ".join(failures))


def find_source(sha1: str, known: Catalogue) -> Path | None:
    """A file with that ROM, or None if it is not here."""
    for game in known.by_digest.get(sha1, []):
        for rom in (own_rom(sha1, game.name), game.rom):
            try:
                if rom is not None and rom.is_file() and digest("sha1", rom) == sha1:
                    return rom
            except OSError:
                continue
    return None


def apply_delta(source: Path, content: bytes, delta: Delta) -> bytes:
    """The ROM that a delta makes of a source.

    Args:
        content: the delta's bytes.
        delta: the same, read.

    Raises:
        CannotPatch: it does not fit the source, is damaged, or takes too much memory or time.
        UsageError: no decoder is installed.
    """
    size = source.stat().st_size
    if delta.source_bytes > size:
        raise CannotPatch(
            f"rom.delta copies from byte {delta.source_bytes:,} of a source that has {size:,}"
        )
    program = _program(delta)
    with tempfile.TemporaryDirectory() as temporary:
        # A copy: what is applied is what was read.
        changes, target = Path(temporary, "rom.delta"), Path(temporary, "rom.md")
        changes.write_bytes(content)
        files = [str(path) for path in (source.absolute(), changes, target)]
        try:
            done = subprocess.run(
                [sys.executable, "-P", decoder.__file__, *files, *program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CannotPatch(f"rom.delta takes longer than {TIMEOUT:g} s") from None
        if done.returncode:
            raise CannotPatch(f"rom.delta cannot be applied: {_why(done)}")
        try:
            return read_plain(target, MOST_TARGET)
        except UnreadableFile as error:
            raise CannotPatch(f"rom.delta makes nothing that can be read: {error.why}") from None


def _program(delta: Delta) -> list[str]:
    """The decoder's program, or nothing for the library."""
    program = shutil.which("xdelta3")
    if program:
        return [str(Path(program).absolute())]
    if importlib.util.find_spec("pyxdelta") is None:
        raise UsageError(NO_DECODER)
    if delta.compressed:
        raise UsageError(
            "rom.delta is compressed a second time, which pyxdelta cannot undo: install your "
            "distribution's package xdelta3 (apt install xdelta3)"
        )
    return []


def _why(done: subprocess.CompletedProcess[bytes]) -> str:
    """The decoder's last words, or the limit that ended it."""
    if done.returncode < 0:
        return f"its decoder was ended by signal {-done.returncode}, at a limit of memory or time"
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    # The lines behind the first are advice of xdelta3's.
    words = clean(lines[0], 200).removeprefix("xdelta3: ") if lines else "its decoder failed"
    words = words.partition(": XD3_")[0]
    if "checksum mismatch" in words:
        words += ": it is damaged, or it was made for another ROM"
    return words
