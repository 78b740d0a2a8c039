"""Files that are whole at every moment, reading within bounds, and memory without a file name.

Whatever another program wrote may be a link, a FIFO, a device, endless, or damaged: it is read by
`open_plain` and the functions above it, never by `open`.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from retro_common.errors import UsageError
from retro_common.text import clean, shown

JSON_BYTES = 16 << 20
"""bytes that a JSON file may have"""
JSON_DEPTH = 32
"""how deep its lists and objects may be nested"""


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


class UnreadableFile(UsageError):
    """A file that is missing, is not a plain file, is too big, or whose content is damaged."""

    def __init__(self, path: Path, why: str, *, missing: bool = False) -> None:
        super().__init__(f"cannot read {clean(path, 400)}: {why}")
        self.why = why
        """the reason alone"""
        self.missing = missing
        """whether there is no such file"""


def open_plain(path: Path, limit: int, *, follow: bool = False) -> BinaryIO:
    """Open a plain file for reading, without waiting for anything.

    Args:
        limit: bytes that the file may have.
        follow: whether the path itself may be a link; for files that only a person names.

    Raises:
        UnreadableFile: it is missing, a link, a folder, a FIFO, a device, or too big.
    """
    # O_NONBLOCK: the opening of a FIFO waits for its other end. It changes nothing for plain files.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise UnreadableFile(path, "no such file", missing=True) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL, or a lone surrogate
        raise UnreadableFile(path, _why_not_opened(path, error)) from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile(path, f"it is {_kind(status.st_mode)}, not a plain file")
        if status.st_size > limit:
            raise UnreadableFile(path, f"it has {status.st_size:,} bytes, more than {limit:,}")
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def _why_not_opened(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "its name cannot be the name of a file"
    if error.errno == errno.ELOOP:
        return "it is a link, not a plain file"
    if error.errno == errno.ENXIO:
        return "it is a socket or a device, not a plain file"
    return error.strerror or str(error)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def read_plain(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """The content of a plain file of at most `limit` bytes; see `open_plain`.

    Raises:
        UnreadableFile: as in `open_plain`, or it cannot be read.
    """
    content = bytearray()
    with open_plain(path, limit, follow=follow) as file:
        try:
            while chunk := file.read(1 << 20):
                content += chunk
                if len(content) > limit:  # it grows while it is read
                    raise UnreadableFile(path, f"it has more than {limit:,} bytes")
        except OSError as error:
            raise UnreadableFile(path, error.strerror or str(error)) from None
    return bytes(content)


def read_text(path: Path, limit: int, *, follow: bool = False) -> str:
    """The content of a plain text file in UTF-8; see `read_plain`."""
    try:
        return read_plain(path, limit, follow=follow).decode()
    except UnicodeDecodeError as error:
        raise UnreadableFile(path, f"it is not text in UTF-8 (byte {error.start})") from None


def read_json(path: Path, limit: int = JSON_BYTES) -> Any:
    """The content of a JSON file.

    Raises:
        UnreadableFile: the file is missing, not a plain file or too big (`open_plain`), or its
            content is damaged or out of bounds (`parse_json`).
    """
    try:
        return parse_json(read_text(path, limit))
    except ValueError as error:
        raise UnreadableFile(path, clean(error)) from None


def read_json_object(path: Path, limit: int = JSON_BYTES) -> dict[str, Any]:
    """The content of a JSON file that must hold an object; see `read_json`."""
    content = read_json(path, limit)
    if not isinstance(content, dict):
        raise UnreadableFile(path, f"it holds {shown(content)}, not a JSON object")
    return content


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text from a source that is not trusted.

    Raises:
        ValueError: it is not JSON, nested more than `JSON_DEPTH` deep, or holds a number that is
            not finite or beyond 64 bits, or a text that cannot be encoded.
    """
    try:
        value = json.loads(text, parse_constant=_not_finite)
    except RecursionError:
        raise ValueError(f"it is nested more than {JSON_DEPTH} deep") from None
    # Without recursion: what is here may be as deep as Python's own limit.
    level = [value]
    for _ in range(JSON_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                item.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("a number in it is not finite")
            elif isinstance(item, int) and not -(1 << 63) <= item < 1 << 64:
                raise ValueError("a number in it is beyond 64 bits")
        if not below:
            return value
        level = below
    raise ValueError(f"it is nested more than {JSON_DEPTH} deep")


def _not_finite(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with everything in it, however deep; nothing if it is missing.

    Links are removed, not followed. `shutil.rmtree` fails where folders are nested deeper than
    Python's recursion limit, or have names longer than the system takes at once. Here a folder that
    is not empty is first moved to the top, so that nothing is ever deep.

    Raises:
        OSError: something cannot be removed.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except PermissionError:
        os.chmod(path, 0o700)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        path.unlink()  # a file or a link
        return
    try:
        os.fchmod(top, 0o700)
        names = _unlink_files(top)
        while names:
            name = names.pop()
            names += _raise_folders(name, top)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    path.rmdir()


def _unlink_files(folder: int) -> list[str]:
    """Remove all but folders from an open folder; the names of those."""
    with os.scandir(folder) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in entries:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in entries if is_folder]


def _raise_folders(name: str, top: int) -> list[str]:
    """Remove the files of a folder in `top`, and move its folders into `top`; their names there."""
    os.chmod(name, 0o700, dir_fd=top)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(name, flags, dir_fd=top)
    try:
        raised = []
        for inner in _unlink_files(folder):
            os.chmod(inner, 0o700, dir_fd=folder)  # a folder that is moved must be writable
            raised.append(f".removed-{secrets.token_hex(12)}")
            os.rename(inner, raised[-1], src_dir_fd=folder, dst_dir_fd=top)
        return raised
    finally:
        os.close(folder)


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
