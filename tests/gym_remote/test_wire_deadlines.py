"""Time limits hold whatever the other side sends, or does not send, or does not read."""

import contextlib
import socket
import threading
import time

import pytest
from wire_peers import (
    FRAME_BYTES,
    GENESIS_DESCRIPTION,
    RESET,
    RESET_ANSWER,
    FrameEnv,
    RawClient,
    Serving,
)

from gym_remote.client import RemoteEnv
from gym_remote.exceptions import ProtocolError, ServerDisconnectError, ServerTimeoutError
from gym_remote.messages import Connection
from gym_remote.server import Reason

LIMIT = 0.5  # seconds
LATE = 5.0  # seconds after which a limit did not hold


def send_nothing(sock: socket.socket, ended: threading.Event) -> None:
    ended.wait()


def send_one_urgent_byte(sock: socket.socket, ended: threading.Event) -> None:
    sock.send(b"x", socket.MSG_OOB)
    ended.wait()


def send_urgent_bytes(sock: socket.socket, ended: threading.Event) -> None:
    while not ended.wait(0.01):
        sock.send(b" ", socket.MSG_OOB)


def send_half_a_message(sock: socket.socket, ended: threading.Event) -> None:
    sock.sendall(RESET[:20])
    ended.wait()


def send_half_a_message_and_an_urgent_byte(sock: socket.socket, ended: threading.Event) -> None:
    sock.sendall(RESET[:20])
    sock.send(b"x", socket.MSG_OOB)
    ended.wait()


def send_bytes_slowly(sock: socket.socket, ended: threading.Event) -> None:
    while not ended.wait(0.02):
        sock.send(b" ")


def send_bytes_quickly(sock: socket.socket, ended: threading.Event) -> None:
    """So quickly that the other side never has to wait for the next one."""
    while not ended.is_set():
        sock.send(b" ")
        time.sleep(1e-5)


HOSTILE = [
    send_nothing,
    send_one_urgent_byte,
    send_urgent_bytes,
    send_half_a_message,
    send_half_a_message_and_an_urgent_byte,
    send_bytes_slowly,
    send_bytes_quickly,
]


@contextlib.contextmanager
def misbehaving(behave, sock: socket.socket):
    """Let `behave` use a socket in another thread, until the block ends."""
    ended = threading.Event()

    def run() -> None:
        with contextlib.suppress(OSError):  # the other side has closed
            behave(sock, ended)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        sock.close()
        thread.join(20)
        assert not thread.is_alive()


class HostileServer:
    """Sends `first` to one client, then misbehaves; `RemoteEnv` can connect to it."""

    def __init__(self, directory, first: bytes, behave):
        (directory / "ob").write_bytes(bytes(FRAME_BYTES))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / "sock"))
        self._listener.listen(1)
        self._first, self._behave = first, behave
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        sock, _ = self._listener.accept()
        with sock, contextlib.suppress(OSError):
            sock.sendall(self._first)
            self._behave(sock, self._ended)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.mark.parametrize("behave", HOSTILE)
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"wallclock_limit": LIMIT}, Reason.WALLCLOCK_LIMIT),
        ({"request_timeout": LIMIT}, Reason.NO_REQUEST),
    ],
    ids=["wallclock", "request"],
)
def test_the_servers_limits(behave, limits, reason, tmp_path):
    start = time.monotonic()
    with Serving(FrameEnv(), tmp_path, **limits) as serving:
        client = RawClient(tmp_path)
        client.read()
        client.ask(RESET)
        with misbehaving(behave, client.sock):
            served = serving.result()
            assert time.monotonic() - start < LATE
    assert (served.timesteps, served.reason) == (1, reason)
    assert served.seconds >= LIMIT


@pytest.mark.parametrize("behave", HOSTILE)
@pytest.mark.parametrize("described", [False, True])
def test_the_clients_timeouts(behave, described, tmp_path):
    first = GENESIS_DESCRIPTION if described else b""
    limits = {"timeout": LIMIT} if described else {"connect_timeout": LIMIT}
    with HostileServer(tmp_path, first, behave):
        start = time.monotonic()
        # Bytes that nobody asked for may be noticed before the time is up.
        with pytest.raises((ServerTimeoutError, ProtocolError)) as caught:
            RemoteEnv(tmp_path, **{"connect_timeout": 20, "timeout": 20, **limits}).reset()
        assert time.monotonic() - start < LATE
    if not described or behave in (send_nothing, send_bytes_slowly):
        assert caught.type is ServerTimeoutError


def test_an_urgent_byte_does_not_hide_what_comes_after_it(tmp_path):
    """It is a byte like any other: here it is the first one of a request."""
    with Serving(FrameEnv(), tmp_path), RawClient(tmp_path) as client:
        client.read()
        client.sock.send(RESET[:1], socket.MSG_OOB)
        client.sock.sendall(RESET[1:])
        assert client.read() == RESET_ANSWER


def test_an_urgent_byte_costs_no_processor_time():
    """A socket that is said to be readable, but is not, must not be asked again and again."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours)
        theirs.send(b"x", socket.MSG_OOB)
        before = time.thread_time()
        with pytest.raises(TimeoutError):
            connection.receive(time.monotonic() + 1.0)
        assert time.thread_time() - before < 0.5


def test_a_client_that_asks_and_never_reads(tmp_path):
    def ask_without_reading(sock: socket.socket, ended: threading.Event) -> None:
        while not ended.is_set():
            sock.sendall(RESET)  # all but the first one are refused, which is an answer, too

    start = time.monotonic()
    with (
        Serving(FrameEnv(), tmp_path, wallclock_limit=20) as serving,
        misbehaving(ask_without_reading, RawClient(tmp_path).sock),
    ):
        served = serving.result()
        assert time.monotonic() - start < 15
    assert served.reason == Reason.PROTOCOL_ERROR and "does not read" in served.detail


def test_a_server_that_answers_and_never_reads(tmp_path):
    """Each answer is there before its request, until the requests have filled the buffer."""

    def answer_without_reading(sock: socket.socket, ended: threading.Event) -> None:
        while not ended.wait(0.001):
            sock.sendall(RESET_ANSWER.replace(b"false, ", b"true, "))

    with HostileServer(tmp_path, GENESIS_DESCRIPTION, answer_without_reading):
        start = time.monotonic()
        env = RemoteEnv(tmp_path, connect_timeout=20, timeout=LIMIT)
        with pytest.raises((ProtocolError, ServerTimeoutError, ServerDisconnectError)):
            while time.monotonic() < start + 20:
                env.reset()
        assert time.monotonic() - start < 15


def test_a_long_message_in_pieces_may_take_its_time(tmp_path):
    """Only what is too late is refused: a slow request before its time-out is answered."""
    with Serving(FrameEnv(), tmp_path, request_timeout=20) as serving:
        with RawClient(tmp_path) as client:
            client.read()
            for start in range(0, len(RESET), 5):
                client.sock.sendall(RESET[start : start + 5])
                time.sleep(0.01)
            assert client.read() == RESET_ANSWER
        assert serving.result().timesteps == 1
