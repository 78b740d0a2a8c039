"""Messages as bytes, and a connection that sends and receives them under a deadline."""

from __future__ import annotations

import collections
import contextlib
import json
import math
import os
import select
import socket
import time

from gym_remote.exceptions import (
    BY_ID,
    GymRemoteError,
    ProtocolError,
    ServerDisconnectError,
    TimestepTimeoutError,
    WallClockTimeoutError,
)

END = b"\f"  # never occurs inside a message: JSON escapes control characters
MAX_BYTES = 1 << 20  # of one message; the longest honest one, a description, has some hundred

raw_decode = json.JSONDecoder().raw_decode

AT_ONCE = 0.0002  # seconds that are worth staying awake for an answer
WHILE = 0.1  # seconds without doing so after it was in vain

RESET_REQUEST = b'{"type": "update", "content": {"reset": true}}\f'


def encode(kind: str, content: dict) -> bytes:
    return json.dumps({"type": kind, "content": content}).encode() + END


def encode_farewell(kind: str, error: type[GymRemoteError], reason: str | None = None) -> bytes:
    """A `close` or `exception` message that raises `error(reason)` on the other side."""
    return encode(kind, {"reason": reason, "exception": error.ID})


# The two messages of every timestep, as `encode` would write them, but faster.


def encode_step(action: str) -> bytes:
    """`action` is JSON, as a channel's `encode` returns it."""
    return f'{{"type": "update", "content": {{"ac": {action}}}}}\f'.encode()


def encode_answer(observation: str, reward: float, done: bool) -> bytes:
    """`observation` is JSON, as a channel's `encode` returns it. `reward` must be finite.

    `"reset": false` is no news, but a client of 2018 repeats its reset until it reads this.
    """
    done_json = "true" if done else "false"
    return (
        f'{{"type": "update", "content": {{"ob": {observation}, "reward": {reward!r}, '
        f'"done": {done_json}, "reset": false}}}}\f'
    ).encode()


def decode(data: bytes) -> tuple[str, dict]:
    """The type and the content of one message without its end byte; raises ProtocolError."""
    try:
        text = data.decode()
        message, end = raw_decode(text)  # json.loads would also look for white space around it
        kind, content = message["type"], message["content"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProtocolError(f"not a message: {shorten(data)}") from None
    if type(kind) is not str or type(content) is not dict or len(message) != 2 or end != len(text):
        raise ProtocolError(f"not a message: {shorten(data)}")
    return kind, content


def error_in(kind: str, content: dict, timesteps: int = 0) -> GymRemoteError:
    """The exception that a `close` or `exception` message stands for; raises ProtocolError.

    `timesteps` were played so far: an exception that ends the contest says so.
    """
    reason = content.get("reason")
    number = content.get("exception", ServerDisconnectError.ID if kind == "close" else None)
    if not (reason is None or type(reason) is str) or type(number) is not int:
        raise ProtocolError(f"not a {kind} message: {shorten(content)}")
    if number not in BY_ID:
        raise ProtocolError(f"the server raised an unknown exception, number {shorten(number)}")
    error = BY_ID[number]
    if reason:
        return error(shorten(reason))
    if error is TimestepTimeoutError:
        return error(f"the contest is over: {timesteps:,} timesteps played")
    if error is WallClockTimeoutError:
        return error(f"the contest is over: out of time after {timesteps:,} timesteps")
    return error(f"{error.__name__} from the server")


def is_integer(value: object) -> bool:
    """Whether `value` is a JSON integer that fits 64 bits. (`true` is an int for Python.)"""
    return type(value) is int and -(2**63) <= value < 2**63


def is_finite(value: object) -> bool:
    """Whether `value` is a JSON number that a float can hold."""
    return is_integer(value) or (type(value) is float and math.isfinite(value))


def shorten(value: object, length: int = 200) -> str:
    """`value` as printable text that fits an error message."""
    if not isinstance(value, str):
        # A huge int or a deep list would make repr() itself fail.
        try:
            value = repr(value[:length] if isinstance(value, bytes) else value)
        except (ValueError, RecursionError):
            value = f"a {type(value).__name__}"
    text = "".join(letter if letter.isprintable() else "?" for letter in value[:length])
    return text if len(value) <= length else text + "..."


def wait(poll: select.poll, deadline: float) -> bool:
    """Wait for what `poll` watches; false if the deadline, a time.monotonic(), comes first."""
    while (seconds := deadline - time.monotonic()) > 0:
        # An hour at most: poll() counts milliseconds in 32 bits.
        if poll.poll(1000 * min(seconds, 3600.0)):
            return True
    return False


class PeerGone(Exception):
    """The other side has closed the connection or died. Each side has its own word for that."""


class Connection:
    """Sends and receives whole messages on a connected socket."""

    def __init__(self, sock: socket.socket):
        sock.setblocking(True)
        self._sock = sock
        self._messages: collections.deque[bytes] = collections.deque()  # received, not yet read
        self._partial = bytearray()  # the beginning of the message after them
        self._sleep_until = 0.0  # a time.monotonic()
        # Waiting in poll() instead of socket timeouts saves system calls.
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    @property
    def buffered(self) -> bool:
        """Whether more than the last message has been received."""
        return bool(self._messages or self._partial)

    def send(self, message: bytes) -> None:
        """Raises PeerGone if the other side is gone, ProtocolError if it does not read.

        Never waits: messages are small and each is answered before the next, so a socket buffer
        can only be full if the other side does not read what it is sent.
        """
        try:
            sent = self._sock.send(message, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerGone(str(error)) from None
        if sent != len(message):
            raise ProtocolError("the other side does not read what it is sent")

    def receive(self, deadline: float) -> tuple[str, dict]:
        """The next message, as (type, content).

        `deadline` is a time.monotonic() or infinity. Raises TimeoutError at the deadline,
        PeerGone if the other side is gone, ProtocolError for what is not a message.
        """
        while not self._messages:
            chunk = self._receive_some(deadline)
            if not chunk:
                raise PeerGone("the other side is gone")
            *complete, rest = chunk.split(END)
            if complete and self._partial:
                complete[0] = bytes(self._partial) + complete[0]
                self._partial.clear()
            self._messages.extend(complete)
            self._partial += rest
            if len(self._partial) > MAX_BYTES:
                raise ProtocolError(f"a message of more than {MAX_BYTES} bytes")
        return decode(self._messages.popleft())

    def _receive_some(self, deadline: float) -> bytes:
        """Whatever comes first: bytes, or none if the other side is gone.

        Putting a core to sleep and waking it up takes longer than a whole round trip, above all in
        a virtual machine. So stay awake for the moment in which a quick answer comes. If none
        comes, because the other side has work to do or because other processes want the core,
        just sleep for the next while.
        """
        start = now = time.monotonic()
        ready: object = False  # or what poll() found
        if start >= self._sleep_until:
            while not ready and now < start + AT_ONCE:
                os.sched_yield()
                ready = self._readable.poll(0)
                now = time.monotonic()
            if now >= start + AT_ONCE:
                self._sleep_until = now + WHILE
        if not ready and not wait(self._readable, deadline):
            raise TimeoutError("no message in time")
        try:
            return self._sock.recv(65536)
        except ConnectionError:
            return b""

    def stop_receiving(self) -> None:
        """Make this and every later `receive` raise PeerGone; sending still works.

        May be called from another thread or from a signal handler.
        """
        with contextlib.suppress(OSError):  # not connected any more
            self._sock.shutdown(socket.SHUT_RD)

    def close(self, farewell: bytes | None = None) -> None:
        """Close, after an attempt to send a last message."""
        if farewell is not None:
            with contextlib.suppress(PeerGone, ProtocolError):
                self.send(farewell)
        self._sock.close()
