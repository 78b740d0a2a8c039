"""Recognises ROMs and imports them: a sentence for each file, and the ROM into this user's folder.

A ROM is known by the SHA-1 of its content, in any form of `retro_contest.roms.dumps`; its name and
its extension mean nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from retro_contest.roms import store
from retro_contest.roms.catalogue import (
    LOCKED_ON,
    LOWER,
    NEEDED,
    REVISIONS,
    TITLES,
    UPPER,
    Catalogue,
    Game,
)
from retro_contest.roms.dumps import Header, forms, is_rom
from retro_contest.roms.search import Ended, Search, Skipped

ROM_SUFFIXES = (".md", ".bin", ".gen", ".smd", ".68k", ".sgd", ".rom")


class Kind(Enum):
    """What became of a file."""

    IMPORTED = "imported"
    """a ROM that is now in this user's folder"""
    PRESENT = "present"
    """a ROM that was there before"""
    REFUSED = "refused"
    """a ROM, or what looks like one, that will not do"""
    SKIPPED = "skipped"
    """what cannot be looked at"""
    OTHER = "other"
    """what is no ROM"""
    ENDED = "ended"
    """the search ended early"""


@dataclass(frozen=True)
class Finding:
    """One file, and what became of it."""

    kind: Kind
    name: str
    """where it lies; nothing for the search itself"""
    sentence: str


def import_roms(
    paths: Iterable[Path], known: Catalogue, search: Search | None = None
) -> Iterator[Finding]:
    """Import every known ROM in files, folders and archives; a finding for each file.

    At the end a locked-on cartridge is put together, where its two halves are here.

    Raises:
        UsageError: a path does not exist, or this user's folder cannot be written to.
    """
    search = search or Search()
    try:
        for found in search.through(paths):
            if isinstance(found, Skipped):
                yield Finding(Kind.SKIPPED, found.name, f"skipped: {found.why}")
            else:
                yield _take(found.name, found.content, known)
    except Ended as error:
        yield Finding(Kind.ENDED, "", str(error))
    yield from _lock_on(known)


def _take(name: str, content: bytes, known: Catalogue) -> Finding:
    for form in forms(content):
        sha1 = hashlib.sha1(form.rom).hexdigest()
        if sha1 in known.by_digest:
            return _keep(name, form.rom, form.how, known.by_digest[sha1])
    return _refuse(name, content, known)


def _keep(name: str, rom: bytes, how: str, games: Iterable[Game]) -> Finding:
    games = list(games)
    names = " and ".join(game.name for game in games)
    missing = [game for game in games if store.good_rom(game) is None]
    for game in missing:
        store.keep(game, rom)
    note = f" ({how})" if how else ""
    if missing:
        return Finding(Kind.IMPORTED, name, f"{names}: imported{note}")
    return Finding(Kind.PRESENT, name, f"{names}: already here{note}")


def _refuse(name: str, content: bytes, known: Catalogue) -> Finding:
    """What a file is whose SHA-1 is not known, in one sentence."""
    found = [form for form in forms(content) if is_rom(form.rom)]
    if not found:
        return _no_rom(name, content)
    for form in found:
        revision = REVISIONS.get(hashlib.sha1(form.rom).hexdigest())
        if revision is not None:
            what, game = revision
            return Finding(Kind.REFUSED, name, f"{what}: {_needs(known, game)}")
    how, rom = found[0].how, found[0].rom
    header = Header.of(rom)
    looks = f"looks like '{header.title}'" if header.title else "looks like a ROM without a title"
    looks += f", serial {header.serial}" if header.serial else ""
    looks += f", revision {header.revision}" if header.revision else ""
    looks += f", for {header.regions}" if header.regions else ""
    looks += f" ({how})" if how else ""
    sha1 = f"SHA-1 {hashlib.sha1(rom).hexdigest()}"
    damage = header.damage(rom)
    game = TITLES.get(header.title.upper(), "")
    if not game:
        text = f"{looks}: no game that is wanted here has {sha1}"
    elif damage:
        text = f"{looks}, but {damage}: {_needs(known, game)}"
    else:
        text = f"{looks}, {sha1}: another revision; {_needs(known, game)}"
    return Finding(Kind.REFUSED, name, text)


def _no_rom(name: str, content: bytes) -> Finding:
    suffix = Path(name).suffix.lower()
    if not content:
        return Finding(Kind.OTHER, name, "an empty file")
    if suffix == ".zip":
        return Finding(Kind.REFUSED, name, "no zip archive, whatever its name says")
    if suffix in ROM_SUFFIXES and not _is_text(content):
        why = "no Mega Drive ROM: the console's name does not stand where a ROM has it"
        return Finding(Kind.REFUSED, name, why)
    return Finding(Kind.OTHER, name, "no Mega Drive ROM")


def _is_text(content: bytes) -> bool:
    """Whether it is text, as Markdown in a file called `.md` is."""
    try:
        return b"\0" not in content and bool(content.decode())
    except UnicodeDecodeError:
        return False


def _needs(known: Catalogue, name: str) -> str:
    game = known.named(name)
    if game is None:
        return f"this stable-retro does not have the game {name}"
    which = NEEDED.get(name, "")
    return f"{name} needs {which}{', ' if which else ''}SHA-1 {' or '.join(game.digests)}"


def _lock_on(known: Catalogue) -> Iterator[Finding]:
    """Put the locked-on cartridge together, if it is missing and both its halves are here."""
    whole, lower, upper = (known.named(name) for name in (LOCKED_ON, LOWER, UPPER))
    if whole is None or lower is None or upper is None or store.good_rom(whole) is not None:
        return
    halves = [store.good_rom(half) for half in (lower, upper)]
    present = [half for half in halves if half is not None]
    if len(present) == 1:
        has, lacks = (lower, upper) if halves[0] is not None else (upper, lower)
        yield Finding(
            Kind.OTHER,
            "",
            f"{whole.name} is still missing: it can be put together from {has.name}, which is "
            f"here, and {lacks.name}, SHA-1 {' or '.join(lacks.digests)}",
        )
    if len(present) == 2:
        content = b"".join(half.read_bytes() for half in present)
        name = " + ".join(half.name for half in (lower, upper))
        if hashlib.sha1(content).hexdigest() in whole.digests:
            store.keep(whole, content)
            yield Finding(Kind.IMPORTED, name, f"{whole.name}: put together and imported")
        else:
            yield Finding(
                Kind.REFUSED,
                name,
                f"put together they are not the ROM of {whole.name}, SHA-1 "
                f"{' or '.join(whole.digests)}",
            )
