"""What a stranger can put in the place of a file."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

SPECIAL = ("missing", "fifo", "folder", "socket", "link to a device", "link to itself", "sparse")


def put(kind: str, path: Path) -> None:
    """Put something else in the place of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match kind:
        case "missing":
            pass
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as sock:
                directory = os.open(path.parent, os.O_RDONLY)
                try:  # the path may be longer than the address of a socket
                    sock.bind(f"/proc/self/fd/{directory}/{path.name}")
                finally:
                    os.close(directory)
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "link to itself":
            path.symlink_to(path.name)
        case "sparse":
            path.touch()
            os.truncate(path, 2**36)
        case _:
            raise ValueError(kind)


def nest(folder: Path, depth: int) -> None:
    """Make `depth` folders in one another; the path may be longer than a system call takes."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
