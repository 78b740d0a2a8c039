"""Files that are whole at every moment, and memory without a file name."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from retro_common.errors import UsageError


def write_atomically(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    """Replace a file in one step: a reader, or a kill at any moment, finds the old or the new one.

    Args:
        sync: wait until the content is on the disk, so that it also survives a power cut; False is
            for a status that is written many times.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any, *, sync: bool = True) -> None:
    """Write a JSON file with `write_atomically`."""
    write_atomically(path, json.dumps(content, indent=2) + "\n", sync=sync)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UsageError: the file is missing or damaged, or cannot be read.
    """
    try:
        return json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def anonymous_memory(name: str, size: int) -> int:
    """A file descriptor of `size` zero bytes of memory that processes can share.

    The memory has no name in any file system and goes with its last user. On Linux it counts as
    the processes' memory, so it is not bounded by the size of `/dev/shm` (64 MB in a container).

    Args:
        name: appears in `/proc` only.

    Raises:
        OSError: there is not enough memory.
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd
