"""Messages as bytes, and a connection that sends and receives them under a deadline."""

from __future__ import annotations

import collections
import contextlib
import functools
import json
import math
import os
import re
import select
import socket
import time
from typing import NamedTuple

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

SHORT = 128  # bytes of a message whose meaning is remembered: it must not fill the memory

# A number without a fraction or with an exponent is not usual: JSON has its own rules for -0, and
# infinity is no reward.
USUAL_ANSWER = re.compile(
    rb'\{"type": "update", "content": \{"ob": true, '
    rb'"reward": (-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,20}), "done": (true|false), "reset": false\}\}'
)

raw_decode = json.JSONDecoder().raw_decode

CHUNK = 4096  # bytes that are received at once

AT_ONCE = 0.0002  # seconds that are worth staying awake for an answer
WHILE = 0.1  # seconds without doing so after it was in vain
PAUSE = 0.01  # seconds between two looks at a socket that is readable, but holds nothing

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


class Request(NamedTuple):
    """What a client asks for: a reset, or a step with an action."""

    is_reset: bool
    action: object
    """the action as a JSON value, for its channel's `decode`; None in a reset"""


# A contest consists of few different messages, and what one of them means depends on nothing else.


def decode_request(data: bytes) -> Request | None:
    """The request in one message without its end byte, or None if it is the client's farewell.

    Raises ProtocolError.
    """
    return _decode_short_request(data) if len(data) <= SHORT else _decode_request(data)


def _decode_request(data: bytes) -> Request | None:
    kind, content = decode(data)
    if kind == "close":
        return None
    if kind != "update":
        raise ProtocolError(f"{shorten(kind)} message instead of a request")
    is_reset = content.get("reset", False)
    if type(is_reset) is not bool or not content.keys() <= {"ac", "reset"}:
        raise ProtocolError(f"not a request: {shorten(content)}")
    if is_reset:
        return Request(True, None)  # a client of 2018 repeats its last action in a reset
    if "ac" not in content:
        raise ProtocolError("a request without ac or reset")
    return Request(False, content["ac"])


_decode_short_request = functools.lru_cache(maxsize=4096)(_decode_request)


def decode_usual_answer(data: bytes) -> tuple[float, bool] | None:
    """(reward, done) of an answer whose `ob` is true, if it is written as `encode_answer` does.

    None for any other bytes: those are for `decode`. What this reads, `decode` reads alike.
    """
    return _decode_usual_answer(data) if len(data) <= SHORT else None


@functools.lru_cache(maxsize=4096)
def _decode_usual_answer(data: bytes) -> tuple[float, bool] | None:
    match = USUAL_ANSWER.fullmatch(data)
    return (float(match[1]), match[2] == b"true") if match else None


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
    """Sends and receives whole messages on a connected socket.

    No call on the socket ever blocks; only `poll` and a short pause wait, and both know the
    deadline. So it holds whatever the other side sends.
    """

    def __init__(self, sock: socket.socket):
        sock.setblocking(False)
        # An out-of-band byte becomes a byte like any other. Otherwise it would make poll() say
        # that there is something to read, and recv() find nothing, for as long as it lies there.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self._sock = sock
        self._messages: collections.deque[bytes] = collections.deque()  # received, not yet read
        self._partial = bytearray()  # the beginning of the message after them
        self._sleep_until = 0.0  # a time.monotonic(), or 0
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
            sent = self._sock.send(message)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerGone(str(error)) from None
        if sent != len(message):
            raise ProtocolError("the other side does not read what it is sent")

    def receive(self, deadline: float) -> tuple[str, dict]:
        """The next message, as (type, content); raises as `receive_bytes` and `decode` do."""
        return decode(self.receive_bytes(deadline))

    def receive_bytes(self, deadline: float) -> bytes:
        """The next message as it came, without its end byte.

        `deadline` is a time.monotonic() or infinity. Raises TimeoutError if no whole message has
        come by then, PeerGone if the other side is gone, ProtocolError for a message that is too
        long.
        """
        while not self._messages:
            chunk = self._receive_some(deadline)
            if not chunk:
                raise PeerGone("the other side is gone")
            if not self._partial and chunk.find(END) == len(chunk) - 1:
                return chunk[:-1]  # nearly always: one message and nothing else
            *complete, rest = chunk.split(END)
            if complete and self._partial:
                complete[0] = bytes(self._partial) + complete[0]
                self._partial.clear()
            self._messages.extend(complete)
            self._partial += rest
            if len(self._partial) > MAX_BYTES:
                raise ProtocolError(f"a message of more than {MAX_BYTES} bytes")
            # However quickly the pieces of a message come, they do not put the deadline off.
            if not complete and time.monotonic() >= deadline:
                raise TimeoutError("no whole message in time")
        return self._messages.popleft()

    def _receive_some(self, deadline: float) -> bytes:
        """Whatever comes first: bytes, or none if the other side is gone.

        Putting a core to sleep and waking it up takes longer than a whole round trip, above all in
        a virtual machine. So stay awake for the moment in which a quick answer comes. If none
        comes, because the other side has work to do or because other processes want the core,
        just sleep for the next while.
        """
        now = time.monotonic()
        if now >= self._sleep_until:
            awake_until = min(now + AT_ONCE, deadline)
            chunk = None
            while chunk is None and now < awake_until:
                os.sched_yield()  # to the other side, if it waits for this core
                chunk = self._receive_now()
                now = time.monotonic()
            if now >= awake_until:
                self._sleep_until = now + WHILE
            if chunk is not None:
                return chunk
        while wait(self._readable, deadline):
            chunk = self._receive_now()
            if chunk is not None:
                return chunk
            # poll() was wrong. If it stays so, asking again at once would take a whole core.
            time.sleep(max(0.0, min(PAUSE, deadline - time.monotonic())))
        raise TimeoutError("no message in time")

    def _receive_now(self) -> bytes | None:
        """Bytes that are here; none of them if the other side is gone; None if nothing is here."""
        try:
            return self._sock.recv(CHUNK)
        except BlockingIOError:
            return None
        except OSError:
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
