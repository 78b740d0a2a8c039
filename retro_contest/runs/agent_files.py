"""The files that an agent's command names, as hashes: a score belongs to the code that earned it.

`python my_agent.py --bundle bundles/mine` names a script and a folder. When one of them changes,
the command is another agent, although its text is the same; an image has its ID for that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

MAX_BYTES = 1 << 30  # of one folder; beyond that a file counts by its size and time of change
SKIPPED = ("__pycache__", ".git")


def agent_files(command: Iterable[str], search: Iterable[Path]) -> dict[str, str]:
    """The word that names a file or folder -> hash of its content, for each in a command.

    A word counts if such a path exists, also after the `=` of an option. After `-m`, a module
    counts if its file or package lies in one of the folders to search.

    Args:
        command: the words of the command.
        search: folders that Python imports from.
    """
    found: dict[str, str] = {}
    module_next = False
    for word in command:
        name = word.partition("=")[2] if word.startswith("-") else word
        path = _module(name, search) if module_next else Path(name) if name else None
        module_next = word == "-m"
        if path is not None and os.path.exists(path):  # False also for a word too long for a path
            found[name] = digest(path)
    return found


def digest(path: Path) -> str:
    """Hash of a file's content, or of the names and contents of all files in a folder."""
    hashed = hashlib.sha256()
    left = MAX_BYTES
    for file in [path] if path.is_file() else _files(path):
        status = file.stat()
        hashed.update(f"{file.relative_to(path).as_posix()}\0{status.st_size}\0".encode())
        if status.st_size > left:
            hashed.update(str(status.st_mtime_ns).encode())
            continue
        left -= status.st_size
        with file.open("rb") as content:
            hashed.update(hashlib.file_digest(content, "sha256").digest())
    return hashed.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, in a fixed order; links to folders are not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - set(SKIPPED))
        yield from (path for name in sorted(names) if (path := Path(place, name)).is_file())


def _module(name: str, search: Iterable[Path]) -> Path | None:
    """The file or the package of a module, in the first folder that has it."""
    for folder in search:
        path = folder / name.replace(".", "/")
        for candidate in (path, path.with_name(f"{path.name}.py")):
            if candidate.exists():
                return candidate
    return None
