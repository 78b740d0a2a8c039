"""The directory that a server and its client share: who owns it, and the socket inside.

A server holds a lock (flock) on the directory itself. The kernel drops it when the server dies,
however it dies, and it leaves no file behind. So a socket found under the lock is stale.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import sys
import time

from gym_remote.exceptions import ServerTimeoutError, SocketInUseError

SOCKET_NAME = "sock"
MAX_PATH = 107  # bytes of a Unix socket's path
FIRST_PAUSE = 0.01  # seconds between two attempts to connect, doubled each time ...
LAST_PAUSE = 1.0  # ... up to this
NOTICE_AFTER = 5.0  # seconds of waiting before it is written to stderr


def open_directory(directory: str) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def socket_path(directory: str, directory_fd: int) -> str:
    path = os.path.join(directory, SOCKET_NAME)
    if len(os.fsencode(path)) > MAX_PATH:
        # Linux's detour for paths that are too long for a socket address.
        path = f"/proc/self/fd/{directory_fd}/{SOCKET_NAME}"
    return path


def claim(directory: str) -> int:
    """Lock the directory for one server; returns its file descriptor, which holds the lock.

    Removes the socket of a server that was killed. Raises SocketInUseError if a server lives here,
    and OSError if the directory is missing or not a directory: it is never created.
    """
    directory_fd = open_directory(directory)
    try:
        try:
            fcntl.flock(directory_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SocketInUseError(f"socket in use: a server is running in {directory}") from None
        _remove_stale_socket(directory, directory_fd)
    except BaseException:
        os.close(directory_fd)
        raise
    return directory_fd


def _remove_stale_socket(directory: str, directory_fd: int) -> None:
    path = socket_path(directory, directory_fd)
    try:
        mode = os.stat(SOCKET_NAME, dir_fd=directory_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{os.path.join(directory, SOCKET_NAME)} exists and is no socket")
    # A server of 2018 takes no lock. It is alive if it can be connected to.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(SOCKET_NAME, dir_fd=directory_fd)
            return
        except BlockingIOError:
            pass  # its queue is full: alive
    raise SocketInUseError(f"socket in use: a server is running in {directory}")


def listen(directory: str, directory_fd: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(socket_path(directory, directory_fd))
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(directory: str, timeout: float, notice: str) -> tuple[socket.socket, int]:
    """A socket connected to the server, and the directory's file descriptor.

    A directory, a socket or a listener that is missing may still come: tries again, quickly at
    first, for `timeout` seconds. Writes `notice` to stderr, once, when that takes long. Raises
    ServerTimeoutError after the timeout, OSError for anything that waiting does not mend.
    """
    start = time.monotonic()
    deadline = start + timeout
    noticed = False
    pause = FIRST_PAUSE
    while True:
        try:
            return _connect_once(directory)
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as error:
            left = deadline - time.monotonic()
            if left <= 0:
                where = os.path.join(directory, SOCKET_NAME)
                raise ServerTimeoutError(
                    f"no server at {where} within {timeout:g} s ({error.strerror})"
                ) from None
        if not noticed and time.monotonic() >= start + NOTICE_AFTER:
            print(notice, file=sys.stderr, flush=True)
            noticed = True
        time.sleep(min(pause, left))
        pause = min(2 * pause, LAST_PAUSE)


def _connect_once(directory: str) -> tuple[socket.socket, int]:
    directory_fd = open_directory(directory)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)  # a full queue is an error then, not a wait without end
        sock.connect(socket_path(directory, directory_fd))
    except BaseException:
        sock.close()
        os.close(directory_fd)
        raise
    return sock, directory_fd
