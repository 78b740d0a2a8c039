"""Runs one command that must not outlive its parent and must not fill the disk with its log.

`python -I -S supervisor.py LOG LIMIT GRACE COMMAND ARG...`

The command runs in a process group of its own. Its output goes to the file LOG, at most LIMIT
bytes of it: the first half as it comes, of the rest the end. Standard input is the lifeline: when
it closes, because the parent closed it or because the parent was killed, the whole group gets
SIGTERM and, GRACE seconds later, SIGKILL. Processes of the group that still run when the
command exits are killed too. Exits with the command's code, or 128 + the signal that ended it.

Only the standard library, so that it starts in a few milliseconds. Python's own `preexec_fn` with
a parent-death signal would not do: the evaluator has threads, and that signal reaches the command
itself but not the processes that the command started.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from functools import partial
from typing import BinaryIO

PR_SET_PDEATHSIG = 1
CHUNK = 65536


class BoundedLog:
    """A log file of at most `limit` bytes, and one line that says how many were left out."""

    def __init__(self, path: str, limit: int) -> None:
        self._file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115 - closed in finish()
        self._room = limit // 2
        self._tail: deque[bytes] = deque()
        self._tail_limit = limit - self._room
        self._tail_bytes = 0
        self._left_out = 0

    def write(self, data: bytes) -> None:
        head, rest = data[: self._room], data[self._room :]
        if head:
            self._file.write(head)
            self._room -= len(head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail_bytes > self._tail_limit:
            excess = self._tail_bytes - self._tail_limit
            first = self._tail.popleft()
            if len(first) > excess:
                self._tail.appendleft(first[excess:])
            gone = min(len(first), excess)
            self._tail_bytes -= gone
            self._left_out += gone

    def finish(self) -> None:
        if self._left_out:
            self._file.write(b"\n... %d bytes left out ...\n" % self._left_out)
        for part in self._tail:
            self._file.write(part)
        self._file.close()


def supervise(command: list[str], log: BoundedLog, grace: float) -> int:
    """Run `command` until it ends or the lifeline closes; its exit code."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            # This process has one thread, so this is safe here.
            preexec_fn=partial(_die_with, os.getpid()),
        )
    except OSError as error:
        log.write(f"cannot start {command[0]}: {error.strerror}\n".encode())
        return 127
    assert child.stdout is not None
    output = child.stdout.fileno()
    os.set_blocking(output, False)
    ended = os.pidfd_open(child.pid)
    kill_at: float | None = None
    with selectors.DefaultSelector() as selector:
        for descriptor in (0, output, ended):
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
            ready = {key.fd for key, _ in selector.select(timeout)}
            if output in ready and not _copy(output, log):
                selector.unregister(output)
            if 0 in ready and not os.read(0, CHUNK):
                selector.unregister(0)
                _signal_group(child.pid, signal.SIGTERM)
                kill_at = time.monotonic() + grace
            if ended in ready:
                break
            if kill_at is not None and time.monotonic() >= kill_at:
                _signal_group(child.pid, signal.SIGKILL)
                kill_at = None
    _signal_group(child.pid, signal.SIGKILL)
    _drain(output, log)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _copy(output: int, log: BoundedLog) -> bool:
    """Copy one chunk to the log; False at the end of the output."""
    try:
        data = os.read(output, CHUNK)
    except BlockingIOError:
        return True
    log.write(data)
    return bool(data)


def _drain(output: int, log: BoundedLog, seconds: float = 1.0) -> None:
    """Copy the rest of the output, within bounded time: a process may still hold the pipe open."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            if not _copy(output, log):
                return


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _die_with(parent: int) -> None:
    """In case this supervisor itself is killed, also between the fork and this call."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def main() -> int:
    path, limit, grace, *command = sys.argv[1:]
    log = BoundedLog(path, int(limit))
    try:
        return supervise(command, log, float(grace))
    finally:
        log.finish()


if __name__ == "__main__":
    sys.exit(main())
