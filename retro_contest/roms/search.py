"""Finds what may be ROMs in files, folders and zip archives, within bounds.

Whatever lies there was written by others: archives that unpack to terabytes, links that lead in a
circle, devices and FIFOs, a million files. Each is skipped or ends the search, with a sentence.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, open_plain, read_plain

MOST_FILES = 100_000
"""files and folders that a search looks at, members of archives included"""
MOST_BYTES = 16 << 30
"""bytes that it reads and unpacks"""
MOST_ROM = (16 << 20) + 512
"""bytes of a dump: the console's largest games have 5 MiB"""
MOST_ARCHIVE = 4 << 30
"""bytes of a zip archive"""
MOST_UNPACKED = 2 << 30
"""bytes that its members have together, unpacked"""
MOST_DIRECTORY = 4 << 20
"""bytes of an archive's list of members, which is read at once"""
MOST_DEPTH = 40
"""how deep folders may be nested"""
ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ": "an xz archive",
}
ZIP = (b"PK\x03\x04", b"PK\x05\x06")


class Ended(Exception):
    """A bound of the whole search is reached; the message says which."""


@dataclass(frozen=True)
class Dump:
    """What may be a ROM."""

    name: str
    """where it lies: a path, or `ARCHIVE.zip/MEMBER`"""
    content: bytes


@dataclass(frozen=True)
class Skipped:
    """Something that was not looked into."""

    name: str
    why: str
    """why, as what it is: `a FIFO, not a plain file`"""


@dataclass
class Search:
    """A search through files, folders and archives."""

    most_files: int = MOST_FILES
    most_bytes: int = MOST_BYTES
    most_unpacked: int = MOST_UNPACKED
    files: int = field(init=False, default=0)
    """files and folders looked at so far"""
    bytes_read: int = field(init=False, default=0)
    """bytes read and unpacked so far"""
    _folders: set[tuple[int, int]] = field(init=False, default_factory=set)

    def through(self, paths: Iterable[Path]) -> Iterator[Dump | Skipped]:
        """Everything in these files and folders, in the order of names.

        Raises:
            UsageError: a path does not exist.
            Ended: the search looked at as much as it may.
        """
        paths = list(paths)
        for path in paths:
            if not os.path.exists(path):
                raise UsageError(f"there is no file or folder {path}")
        for path in paths:
            if os.path.isdir(path):
                yield from self._folder(path)
            else:
                yield from self._file(path)

    def _folder(self, top: Path) -> Iterator[Dump | Skipped]:
        # Not by recursion: folders can be nested deeper than Python's limit.
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            try:
                status = folder.stat()
                if (status.st_dev, status.st_ino) in self._folders:
                    yield Skipped(str(folder), "a link to a folder that was looked at already")
                    continue
                self._folders.add((status.st_dev, status.st_ino))
                names = []
                with os.scandir(folder) as found:
                    for entry in found:
                        self._count_file()
                        names.append(entry.name)
            except OSError as error:
                yield Skipped(str(folder), f"a folder that cannot be read: {error.strerror}")
                continue
            below = []
            for name in sorted(names):
                path = folder / name
                if os.path.isdir(path):  # False where it cannot be read
                    below.append((path, depth + 1))
                else:
                    yield from self._file(path, counted=True)
            if below and depth >= MOST_DEPTH:
                yield Skipped(str(folder), f"folders nested more than {MOST_DEPTH} deep")
            else:
                waiting += reversed(below)

    def _file(self, path: Path, *, counted: bool = False) -> Iterator[Dump | Skipped]:
        if not counted:
            self._count_file()
        name = str(path)
        try:
            with open_plain(path, MOST_ARCHIVE, follow=True) as file:
                size = os.fstat(file.fileno()).st_size
                start = file.read(8)
                if start.startswith(ZIP):
                    yield from self._archive(name, file)
                    return
            for magic, words in ARCHIVES.items():
                if start.startswith(magic):
                    yield Skipped(name, f"{words}: unpack it first")
                    return
            if size > MOST_ROM:
                yield Skipped(name, f"too big for a ROM ({size:,} bytes)")
                return
            self._count_bytes(size)
            yield Dump(name, read_plain(path, MOST_ROM, follow=True))
        except UnreadableFile as error:
            yield Skipped(name, error.why.removeprefix("it is "))
        except OSError as error:
            yield Skipped(name, f"a file that cannot be read: {error.strerror}")

    def _archive(self, name: str, file: BinaryIO) -> Iterator[Dump | Skipped]:
        try:
            archive = zipfile.ZipFile(_Bounded(file))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            why = str(error) if isinstance(error, _TooLong) else "a damaged zip archive"
            yield Skipped(name, why)
            return
        end = self.bytes_read + self.most_unpacked
        with archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                self._count_file()
                if self.bytes_read > end:
                    yield Skipped(
                        name, f"a zip archive with more than {self.most_unpacked:,} bytes in it"
                    )
                    return
                inside = f"{name}/{member.filename}"
                if member.flag_bits & 1:
                    yield Skipped(inside, "encrypted: unpack the archive with its password first")
                elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    # Others may ask for gigabytes of memory.
                    yield Skipped(inside, "compressed in an unusual way: unpack the archive first")
                elif member.file_size > MOST_ROM:
                    yield Skipped(inside, f"too big for a ROM ({member.file_size:,} bytes)")
                else:
                    yield self._member(archive, member, inside)

    def _member(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str
    ) -> Dump | Skipped:
        content = bytearray()
        self._count_bytes(member.compress_size)  # it may unpack to nothing
        try:
            with archive.open(member) as unpacked:
                # Its size is what the archive says, so it is counted, not believed.
                while chunk := unpacked.read(1 << 16):
                    content += chunk
                    self._count_bytes(len(chunk))
                    if len(content) > MOST_ROM:
                        return Skipped(name, "too big for a ROM: it unpacks to more than it says")
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError):
            # RuntimeError and its kin: a method or a flag that Python's library does not know.
            return Skipped(name, "damaged in its zip archive")
        if content.startswith(ZIP):
            return Skipped(name, "a zip archive in a zip archive: unpack it first")
        return Dump(name, bytes(content))

    def _count_file(self) -> None:
        self.files += 1
        if self.files > self.most_files:
            raise Ended(
                f"stopped after {self.most_files:,} files and folders: name the folder that holds "
                "the ROMs"
            )

    def _count_bytes(self, number: int) -> None:
        self.bytes_read += number
        if self.bytes_read > self.most_bytes:
            raise Ended(
                f"stopped after {self.most_bytes:,} bytes: name the folder that holds the ROMs"
            )


class _TooLong(ValueError):
    pass


class _Bounded:
    """A file from which nobody reads more than `MOST_DIRECTORY` bytes at once.

    `zipfile` reads an archive's list of members at once, as long as the archive says that it is.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            here = self._file.tell()
            size = self._file.seek(0, os.SEEK_END) - here
            self._file.seek(here)
        if size > MOST_DIRECTORY:
            raise _TooLong("a zip archive with too many members: unpack it first")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True
