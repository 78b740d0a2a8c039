"""Hostile clients against the real server, hostile servers against the real client.

Whatever the other side sends, or does not send: only documented exceptions, an end within the time
limits, no file descriptor and no memory left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil
from gymnasium import spaces
from hypothesis import example, given
from hypothesis import strategies as st

from gym_remote.client import RemoteEnv
from gym_remote.exceptions import GymRemoteError
from gym_remote.server import Reason, Served, Server
from tests.fuzz.kit import Tally, examples
from tests.fuzz.mutate import JSON_RAW, damaged, mutated, to_json

SHAPE = (4, 4, 3)
IDLE = 0.1  # seconds that a side waits for the next message
WHOLE = 0.6  # seconds that a contest lasts at most
SLACK = 1.0  # seconds more for a machine that is busy
MEMORY = 48 * 2**20  # bytes that all examples of a property together may leave behind

RESET = {"type": "update", "content": {"reset": True}}
STEP = {"type": "update", "content": {"ac": 128}}
CLOSE = {"type": "close", "content": {"reason": None}}
FAREWELL = {"type": "close", "content": {"reason": None, "exception": 1}}
REFUSAL = {"type": "exception", "content": {"reason": None, "exception": 5}}
ANSWER = {
    "type": "update",
    "content": {"ob": True, "reward": 0.0, "done": False, "reset": False},
}
DESCRIPTION = {
    "type": "description",
    "content": {
        "ac": ["int_fold", f"{[2] * 12},", {"n": "12", "type": "MultiBinary"}],
        "ob": ["np", '(4, 4, 3), dtype("|u1")', {"type": "Box", "shape": "(4, 4, 3)"}],
        "reward": ["float", None, {}],
        "done": ["bool", None, {}],
        "reset": ["bool", None, {}],
    },
}


class Level(gymnasium.Env):
    """Episodes of three steps."""

    action_space = spaces.MultiBinary(12)
    observation_space = spaces.Box(0, 255, SHAPE, np.uint8)

    def reset(self, **_: Any) -> tuple[np.ndarray, dict]:
        self.steps = 0
        return np.zeros(SHAPE, np.uint8), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert action.shape == (12,) and set(action) <= {0, 1}
        self.steps += 1
        return np.full(SHAPE, self.steps, np.uint8), 1.0, self.steps == 3, False, {}


def line(message: dict) -> bytes:
    return to_json(message).encode(errors="surrogatepass") + b"\f"


def hostile(*good: dict) -> st.SearchStrategy[bytes]:
    """What the other side sends: good messages, changed ones, and what is none."""
    whole = [line(message) for message in good]
    changed = st.sampled_from(good).flatmap(lambda message: mutated(message, JSON_RAW)).map(line)
    return (
        st.sampled_from(whole)
        | st.lists(st.sampled_from(whole), max_size=20).map(b"".join)
        | changed
        | st.sampled_from(whole).flatmap(damaged)
        | st.binary(max_size=40)
        | st.sampled_from([b"\f", b"\f" * 5_000, b" " * 2**20, b"[" * 70_000, b"{" * 3_000_000])
    )


def conversations(*good: dict) -> st.SearchStrategy[list]:
    """Bytes to send, some with pauses, half messages, out-of-band bytes and ends between them."""
    sent = st.tuples(st.just("send"), hostile(*good))
    split = hostile(*good).flatmap(
        lambda data: st.integers(0, len(data)).map(lambda at: ("split", data[:at], data[at:]))
    )
    other = st.sampled_from(
        [("urgent",), ("pause",), ("read",), ("no more",), ("end",), ("message",)]
    )
    return st.lists(sent | sent | split | other, max_size=8)


def perform(sock: socket.socket, conversation: list) -> None:
    """Send a conversation. Who is not read any more, or is cut off, goes on."""
    sock.settimeout(IDLE)
    for kind, *pieces in conversation:
        with contextlib.suppress(OSError):
            match kind:
                case "send":
                    sock.sendall(pieces[0])
                case "split":
                    sock.sendall(pieces[0])
                    time.sleep(0.002)
                    sock.sendall(pieces[1])
                case "urgent":
                    sock.send(b"x", socket.MSG_OOB)
                case "pause":
                    time.sleep(0.01)
                case "read":
                    sock.recv(65536)
                case "message":  # with file descriptors, which nobody asked for
                    socket.send_fds(sock, [b"{"], [sock.fileno()] * 3)
                case "no more":
                    sock.shutdown(socket.SHUT_WR)
                case "end":
                    sock.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def nothing_left_behind(directory: Path) -> Iterator[None]:
    files, threads = descriptors(), threading.active_count()
    yield
    assert descriptors() == files, "a file descriptor is left open"
    assert threading.active_count() == threads, "a thread is left behind"
    assert not list(directory.iterdir()), "a file is left behind"


def memory() -> int:
    return psutil.Process().memory_info().rss


def serve(server: Server, results: list) -> None:
    limits = {"wallclock_limit": WHOLE, "request_timeout": IDLE, "connect_timeout": WHOLE}
    try:
        results.append(server.serve(timestep_limit=30, **limits))
    except BaseException as error:
        results.append(error)


def attack_server(directory: Path, conversation: list, hold: bool) -> tuple[Any, float]:
    """What `serve` returned or raised (None: nothing in time), and the seconds that it took."""
    results: list = []
    server = Server(Level(), directory)
    with server:
        thread = threading.Thread(target=serve, args=(server, results))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(directory / "sock"))
            began = time.monotonic()
            thread.start()
            perform(sock, conversation)
            if hold:  # stay connected, and silent
                thread.join(WHOLE + SLACK)
        thread.join(WHOLE + SLACK)
        seconds = time.monotonic() - began
        if thread.is_alive():
            server.stop()
            thread.join()
            return None, seconds
    return results[0], seconds


def test_a_server_survives_its_client(tmp_path: Path, tally: Tally) -> None:
    attack_server(tmp_path, [("send", line(RESET))], hold=False)
    before = memory()

    @examples(120)
    @given(conversations(RESET, STEP, CLOSE), st.sampled_from([False] * 7 + [True]))
    @example([("send", line(RESET)), ("urgent",)], True)
    @example([("urgent",)], True)
    @example([("send", line(RESET)[:-1]), ("urgent",), ("send", line(STEP))], True)
    def survives(conversation: list, hold: bool) -> None:
        with nothing_left_behind(tmp_path):
            served, seconds = attack_server(tmp_path, conversation, hold)
        assert served is not None, f"still serving after {seconds:.1f} s"
        assert isinstance(served, Served), f"serve() raised {served!r}"
        tally[str(served.reason)] += 1
        assert served.reason not in (Reason.STOPPED, Reason.NO_CLIENT)
        assert served.seconds < WHOLE + SLACK
        assert served.timesteps <= 30
        assert len(served.detail) < 1_000 and served.detail.isprintable()

    survives()
    assert memory() < before + MEMORY


def test_a_server_answers_the_next_client_after_a_hostile_one(tmp_path: Path) -> None:
    """The same directory serves an honest client right after each hostile session."""

    @examples(20)
    @given(conversations(RESET, STEP, CLOSE))
    def answers(conversation: list) -> None:
        attack_server(tmp_path, conversation, hold=False)
        results: list = []
        with Server(Level(), tmp_path) as server:
            thread = threading.Thread(target=serve, args=(server, results))
            thread.start()
            env = RemoteEnv(tmp_path, connect_timeout=5, timeout=5)
            env.reset()
            assert [env.step(np.ones(12))[1:4] for _ in range(3)] == [
                (1.0, False, False),
                (1.0, False, False),
                (1.0, True, False),
            ]
            env.close()
            thread.join()
        assert results[0].timesteps == 4 and results[0].reason == Reason.CLIENT_CLOSED

    answers()


class HostileServer:
    """A listening socket that accepts one client and performs a conversation with it."""

    def __init__(self, directory: Path, conversation: list, hold: bool) -> None:
        self._directory, self._conversation, self._hold = directory, conversation, hold
        self._released = threading.Event()

    def __enter__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._directory / "sock"))
        self._listener.listen(1)
        self._listener.settimeout(WHOLE)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._thread.join()
        self._listener.close()
        (self._directory / "sock").unlink()

    def _run(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except TimeoutError:
            return
        with sock:
            perform(sock, self._conversation)
            if self._hold:
                self._released.wait()


def frame_file(directory: Path, kind: str) -> None:
    """The file that the observation travels through, or what a hostile server puts there."""
    path = directory / "ob"
    match kind:
        case "good":
            path.write_bytes(bytes(48))
        case "short":
            path.write_bytes(bytes(47))
        case "sparse":
            path.touch()
            os.truncate(path, 2**40)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to("ob")


def use(directory: Path) -> BaseException | None:
    """Play against whatever is there, as an agent does; how it ended."""
    try:
        env = RemoteEnv(directory, connect_timeout=IDLE, timeout=IDLE)
    except BaseException as error:
        return error
    try:
        assert len(str(env.action_space)) < 10_000 and len(str(env.observation_space)) < 10_000
        for _ in range(3):
            env.reset()
            done = False
            while not done:
                action = np.ones(12) if env.action_space == Level.action_space else 0
                frame, reward, done, truncated, info = env.step(action)
                assert np.isfinite(reward) and not truncated and info == {}
                assert np.shape(frame) == env.observation_space.shape
    except BaseException as error:
        return error
    finally:
        env.close()
    return None


# An action of the wrong space is a ValueError; a directory or a file that cannot be used an
# OSError. Both are documented.
DOCUMENTED = (GymRemoteError, OSError, ValueError)

talks = st.tuples(
    st.just([("send", line(DESCRIPTION))]) | conversations(DESCRIPTION),
    conversations(ANSWER, ANSWER, FAREWELL, REFUSAL),
).map(lambda parts: parts[0] + parts[1])
files = st.sampled_from(["good"] * 12 + ["short", "sparse", "fifo", "folder", "link", "loop", ""])
described = [("send", line(DESCRIPTION))]


def test_a_client_survives_its_server(tmp_path: Path, tally: Tally) -> None:
    def attack(conversation: list, hold: bool, file: str) -> tuple[BaseException | None, float]:
        frame_file(tmp_path, file)
        ended: list = []
        try:
            with HostileServer(tmp_path, conversation, hold):
                began = time.monotonic()
                thread = threading.Thread(target=lambda: ended.append(use(tmp_path)))
                thread.start()
                thread.join(2 * WHOLE + SLACK)
                seconds = time.monotonic() - began
                hangs = thread.is_alive()
            thread.join()
        finally:
            path = tmp_path / "ob"
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        assert not hangs, f"the client still waits after {seconds:.1f} s"
        return ended[0], seconds

    attack(described, False, "good")
    before = memory()

    @examples(120)
    @given(talks, st.sampled_from([False] * 7 + [True]), files)
    @example([("urgent",)], True, "good")
    @example([*described, ("urgent",)], True, "good")
    @example([*described, ("send", line(ANSWER)), ("urgent",)], True, "good")
    def survives(conversation: list, hold: bool, file: str) -> None:
        with nothing_left_behind(tmp_path):
            error, _ = attack(conversation, hold, file)
        tally["played to the end" if error is None else type(error).__name__] += 1
        if error is not None and not isinstance(error, DOCUMENTED):
            raise AssertionError(f"{type(error).__name__} is not documented") from error
        assert error is None or len(str(error)) < 1_000

    survives()
    assert memory() < before + MEMORY


def test_a_flood_of_bytes_without_an_end_is_not_kept(tmp_path: Path) -> None:
    """Neither side buffers more than a message may be long."""
    before = memory()
    for _ in range(3):
        flood = [("send", b"x" * 2**20)] * 64
        served, _ = attack_server(tmp_path, flood, hold=False)
        assert served.reason == Reason.PROTOCOL_ERROR
        with HostileServer(tmp_path, flood, hold=False):
            assert isinstance(use(tmp_path), GymRemoteError)
    assert memory() < before + 16 * 2**20
    assert json.loads(to_json(RESET)) == RESET
