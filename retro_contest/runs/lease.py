"""Leases: a record of everything that an evaluation makes outside of its results folder.

Containers, volumes and temporary folders live on when their evaluator is killed with SIGKILL. So
an evaluator in containers first takes a *lease*: a file in a folder of this user's (`folder`) that
it keeps locked for as long as it lives. The file's name is a random token. Containers and volumes
carry the token as a label, and the file lists their names, each before it is made. So a leftover
is known by three things together: its name is in a lease, its label is that lease's token, and
nobody holds the lease's lock. An image can carry any label, but it knows no token, and whoever
renames the results folder changes nothing.

A lease also has a *watcher*: a shell in a session of its own that waits until the evaluator's end
of a pipe closes, and then runs `retro-contest clean`. The kernel closes it however the evaluator
ends. The watcher shares no process group, terminal or memory with the evaluator. Where it is killed
as well, the next evaluation in containers, or `retro-contest clean`, does its work.

A temporary folder of an evaluation in processes is marked by a file that the evaluator keeps
locked. Its processes need no lease: their supervisors end with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retro_common.errors import UsageError
from retro_common.provenance import INSTALLED, ROOT

TOKEN = re.compile(r"[0-9a-f]{32}")
GRACE = 3  # seconds in which the engine finishes what a killed evaluator had asked for
TEMPORARY_PREFIX = "contest-"
MARK = ".retro-contest"  # file in a temporary folder of ours, locked while the folder is used
MOST = 1 << 20  # bytes of a lease that are read

# `read` succeeds when the evaluator says that it has cleaned up itself, and fails when it is gone.
WATCHER = f'trap "" INT TERM HUP QUIT; read -r _ || {{ sleep {GRACE}; exec "$@"; }}'


def folder() -> Path:
    """The folder of this user's leases; `XDG_STATE_HOME` moves it."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "retro-contest" / "leases"


class Lease:
    """The lease of this process for one engine. `close` ends it; so does the end of the process."""

    def __init__(self, engine: str) -> None:
        """
        Args:
            engine: the engine's own identifier: what another one has is not ours to remove.

        Raises:
            UsageError: the folder of leases cannot be written.
        """
        self.token = secrets.token_hex(16)
        self._path = folder() / self.token
        self._mutex = threading.Lock()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(
                self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._note({"engine": engine})
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"cannot write to {self._path.parent}, which the clean-up needs: {error} "
                "(the environment variable XDG_STATE_HOME names another folder)"
            ) from error
        self._watcher = subprocess.Popen(
            ["sh", "-c", WATCHER, "sh", sys.executable, "-m", "retro_contest", "clean"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_importable(),
            start_new_session=True,
        )

    def note(self, name: str) -> None:
        """Write down the name of a container or volume that is about to be made."""
        self._note({"name": name})

    def close(self, *, left_over: bool) -> None:
        """End the lease.

        Args:
            left_over: whether some of what is listed may still be there; then the watcher goes on
                and removes it, or a later clean-up does.
        """
        assert self._watcher.stdin is not None
        if not left_over:
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._watcher.stdin.write(b"done\n")
        os.close(self._file)
        with contextlib.suppress(OSError):
            self._watcher.stdin.close()
        if not left_over:
            self._watcher.wait()

    def _note(self, entry: dict[str, str]) -> None:
        with self._mutex:
            os.write(self._file, json.dumps(entry).encode() + b"\n")


@dataclass(frozen=True)
class Ended:
    """A lease whose evaluator is gone."""

    token: str
    """the label of its containers and volumes"""
    engine: str
    """identifier of the engine that has them"""
    names: frozenset[str]
    """their names"""
    path: Path
    """its file, to be removed when nothing of it is left"""


def ended() -> Iterator[Ended]:
    """The leases of evaluators that no longer live. Each is locked while the caller handles it."""
    for path in _files(folder()):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # ended by its own evaluator meanwhile
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(descriptor, closefd=False) as file:
                entries = [_entry(line) for line in file.read(MOST).splitlines()]
            engines = [entry["engine"] for entry in entries if "engine" in entry]
            names = frozenset(entry["name"] for entry in entries if "name" in entry)
            # Between the making of the file and its lock it is empty: not ended, but beginning.
            if engines:
                yield Ended(path.name, engines[0], names, path)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def running() -> set[str]:
    """The tokens of all other leases of this user."""
    over = {old.token for old in ended()}
    return {path.name for path in _files(folder())} - over


def _entry(line: str) -> dict[str, str]:
    """One line of a lease. The last one may be cut off: its writer was killed."""
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict):
            return {key: value for key, value in entry.items() if isinstance(value, str)}
    return {}


def _files(leases: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in sorted(leases.iterdir()) if TOKEN.fullmatch(path.name)]
    return []


def _importable() -> dict[str, str]:
    """The environment, in which `python -m retro_contest` is found."""
    paths = ["" if INSTALLED else str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


class TemporaryFolder:
    """A folder with a short name that a later evaluation removes if this process is killed."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
        new = self.path / f"{MARK}.new"
        self._mark = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._mark, fcntl.LOCK_EX)
        # Its name comes after its lock: a marked folder that is not locked is always a leftover.
        new.rename(self.path / MARK)

    def close(self) -> None:
        """Remove the folder and its content."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._mark)


def remove_temporary_folders() -> int:
    """Remove the temporary folders of this user's killed evaluations; how many there were."""
    removed = 0
    for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            mark = os.open(path / MARK, flags)
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
                removed += 1
            finally:
                os.close(mark)
    return removed
