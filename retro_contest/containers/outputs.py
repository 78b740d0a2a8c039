"""Unpacks the files that an agent left in its output folder: bounded, and plain files only.

The archive comes from the engine, its content from the agent: it may hold links, devices, an empty
file that claims terabytes, or too many files.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from retro_common.text import clean, shown

MAX_BYTES = 256 << 20  # of all files together
MAX_FILES = 4096  # files and folders
MAX_DEPTH = 16  # how deep folders may be nested
NOTES = 20  # lines about what was left out


class _Stream(io.RawIOBase):
    """Chunks of bytes as a file that can only be read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def unpack(chunks: Iterable[bytes], folder: Path) -> list[str]:
    """Unpack a tar archive of one folder into another one, which must be empty.

    Args:
        chunks: the archive; its names begin with the name of the archived folder.
        folder: where to put the content of that folder.

    Returns:
        One line for each thing that was left out, the first few of them.
    """
    notes: list[str] = []
    left = MAX_BYTES
    count = 0

    def leave_out(member: tarfile.TarInfo, why: str) -> None:
        if len(notes) < NOTES:
            notes.append(f"left out: {shown(member.name)} {why}")

    try:
        with tarfile.open(fileobj=io.BufferedReader(_Stream(chunks)), mode="r|") as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts[1:]
                count += 1
                if not parts:
                    continue
                if member.size > left or count > MAX_FILES:
                    leave_out(member, "and everything after it: too much")
                    break
                if ".." in parts or not (member.isfile() or member.isdir()) or member.issparse():
                    leave_out(member, "is no plain file")
                    continue
                if len(parts) > MAX_DEPTH:
                    leave_out(member, "lies too deep")
                    continue
                left -= member.size
                _write(archive, member, folder.joinpath(*parts))
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        notes.append(f"the output folder broke off: {clean(error)}")
    return notes


def walk(folder: Path) -> Iterator[Path]:
    """A folder and what lies in it, at most `MAX_DEPTH` folders deep below it and one for the run's
    own; links are not followed, and what cannot be read is passed over.
    """
    yield folder
    todo = [(folder, 0)]
    while todo:
        current, depth = todo.pop()
        try:
            with os.scandir(current) as found:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        except OSError:
            continue
        for name, is_folder in entries:
            yield current / name
            if is_folder and depth <= MAX_DEPTH:
                todo.append((current / name, depth + 1))


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None
    # "x": the folder was empty and gets no link, so this can only be a new file inside of it.
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
