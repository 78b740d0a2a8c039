"""The other ends that the wire is tested against: toy environments, raw sockets, and peers that
behave as those of 2018 did, quirks included."""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

from gym_remote.exceptions import BY_ID
from gym_remote.server import Served, Server

FRAME_SHAPE = (224, 320, 3)
FRAME_BYTES = 224 * 320 * 3
GENESIS_DESCRIPTION = (
    b'{"type": "description", "content": {'
    b'"ac": ["int_fold", "[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2],",'
    b' {"n": "12", "type": "MultiBinary"}], '
    b'"ob": ["np", "(224, 320, 3), dtype(\\"|u1\\")",'
    b' {"type": "Box", "shape": "(224, 320, 3)"}], '
    b'"reward": ["float", null, {}], "done": ["bool", null, {}], "reset": ["bool", null, {}]}}\f'
)
RESET = b'{"type": "update", "content": {"reset": true}}\f'
STEP_RIGHT = b'{"type": "update", "content": {"ac": 128}}\f'
RESET_ANSWER = (
    b'{"type": "update", "content": {"ob": true, "reward": 0.0, "done": false, "reset": false}}\f'
)


class FrameEnv(gymnasium.Env):
    """The frame is filled with the number of the step, the reward is the action as a number."""

    observation_space = spaces.Box(0, 255, FRAME_SHAPE, np.uint8)

    def __init__(self, episode_length=3, action_space=None):
        self.action_space = action_space or spaces.MultiBinary(12)
        self.episode_length = episode_length
        self.actions = []
        self.resets = 0

    def _frame(self):
        return np.full(FRAME_SHAPE, self.steps % 256, np.uint8)

    def reset(self, *, seed=None, options=None):
        self.resets += 1
        self.steps = 0
        return self._frame(), {"secret": 1}

    def step(self, action):
        self.steps += 1
        self.actions.append(action)
        reward = float(np.dot(np.ravel(action), 1 << np.arange(np.size(action))))
        return self._frame(), reward, False, self.steps >= self.episode_length, {"secret": 1}


class Serving:
    """A Server that serves in a thread. `result()` waits for what `serve` returns or raises."""

    def __init__(self, env, directory, **limits):
        self.server = Server(env, directory)
        self._limits = limits
        self._result = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with self.server:
            try:
                self._result = self.server.serve(**self._limits)
            except Exception as error:
                self._result = error

    def result(self) -> Served:
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server hangs"
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server hangs"


class RawClient:
    """Sends bytes to a server and reads whole messages, as bytes."""

    def __init__(self, directory):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(Path(directory) / "sock"))
        self._buffer = b""

    def read(self) -> bytes:
        """One message with its end byte, or what was left when the other side closed."""
        while b"\f" not in self._buffer:
            chunk = self.sock.recv(4096)
            if not chunk:
                break
            self._buffer += chunk
        end = self._buffer.find(b"\f") + 1 or len(self._buffer)
        message, self._buffer = self._buffer[:end], self._buffer[end:]
        return message

    def ask(self, request: bytes) -> bytes:
        self.sock.sendall(request)
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class RawServer:
    """A socket that answers one client with given bytes, in a thread.

    `script` is a list of replies: the first one is sent at once, every other one after a request.
    Then the connection is closed, or left open and silent if `hang`. `requests` are the bytes of
    each request.
    """

    def __init__(self, directory, script, hang=False, files=(("ob", FRAME_BYTES),)):
        self.directory = Path(directory)
        for name, size in files:
            (self.directory / name).write_bytes(b"\7" * size)
        self.requests = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / "sock"))
        self._listener.listen(1)
        self._hang, self._released = hang, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(list(script),), daemon=True)
        self._thread.start()

    def _run(self, script):
        with self._listener, contextlib.suppress(OSError):
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(20)
                sock.sendall(script.pop(0))
                for reply in script:
                    request = b""
                    while not request.endswith(b"\f"):
                        chunk = sock.recv(4096)
                        if not chunk:
                            return
                        request += chunk
                    self.requests.append(request)
                    sock.sendall(reply)
                if self._hang:
                    self._released.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._released.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        assert not self._thread.is_alive()


class Client2018:
    """Speaks as the client of 2018: maps the frame with w+ (which empties the file for a moment and
    zeroes it), never forgets an action once sent, and repeats a refused reset with every step."""

    def __init__(self, directory):
        self._raw = RawClient(directory)
        self.description = json.loads(self._raw.read()[:-1])["content"]
        self._frame = np.memmap(
            Path(directory) / "ob", mode="w+", dtype=np.uint8, shape=FRAME_SHAPE
        )
        self._unsent = {}  # what the original calls dirty: only an answer clears it

    def _ask(self):
        message = json.dumps({"type": "update", "content": self._unsent}).encode() + b"\f"
        with contextlib.suppress(BrokenPipeError):  # the original reads on to find out why
            self._raw.sock.sendall(message)
        data = self._raw.read()
        if not data:
            raise BrokenPipeError
        answer = json.loads(data[:-1])
        if answer["type"] in ("close", "exception"):
            raise BY_ID[answer["content"]["exception"]](answer["content"]["reason"])
        for name in answer["content"]:
            self._unsent.pop(name, None)
        return answer["content"]

    def reset(self):
        self._unsent["reset"] = True
        self._ask()
        return self._frame

    def step(self, buttons):
        self._unsent["ac"] = int(sum(int(bit) << i for i, bit in enumerate(buttons)))
        answer = self._ask()
        return self._frame, answer["reward"], answer["done"], {}

    def close(self):
        self._raw.sock.sendall(b'{"type": "close", "content": {"reason": null}}\f')
        self._raw.sock.close()


class Server2018(threading.Thread):
    """Serves as the server of 2018: a writable mapping, fields that are sent for ever once set, and
    two messages for every refused request."""

    def __init__(self, env, directory, timestep_limit):
        super().__init__(daemon=True)
        self.directory = Path(directory)
        self._env, self._limit = env, timestep_limit
        self.requests = []
        self._frame = np.memmap(self.directory / "ob", mode="w+", dtype=np.uint8, shape=FRAME_SHAPE)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / "sock"))
        self._listener.listen(1)
        self.start()

    def run(self):
        with contextlib.suppress(OSError):  # of a client that is gone
            self._serve()

    def _serve(self):
        sock, _ = self._listener.accept()
        sock.sendall(GENESIS_DESCRIPTION)
        values, sent, buffer = {}, {}, b""
        done, timesteps = True, 0
        while timesteps < self._limit:
            while b"\f" not in buffer:
                chunk = sock.recv(4096)
                if not chunk:
                    return self._clean_up(sock)
                buffer += chunk
            request, buffer = buffer.split(b"\f", 1)
            self.requests.append(request + b"\f")
            message = json.loads(request)
            if message["type"] == "close":
                break
            values.update(message["content"])
            if values.get("reset") != done:
                self._send(sock, "exception", {"reason": None, "exception": 5})
                self._send(sock, "update", sent)
                continue
            if values.get("reset"):
                observation, reward, done = self._env.reset()[0], 0, False
                values["reset"] = sent["reset"] = False
            else:
                bits = [values["ac"] >> i & 1 for i in range(12)]
                observation, reward, terminated, truncated, _ = self._env.step(np.array(bits))
                done = terminated or truncated
            self._frame[:] = observation
            sent = {"ob": True, "reward": float(reward), "done": done, **sent}
            sent.update(reward=float(reward), done=done)
            self._send(sock, "update", sent)
            timesteps += 1
        else:
            self._send(sock, "close", {"reason": None, "exception": 1})
        self._clean_up(sock)

    def _send(self, sock, kind, content):
        sock.sendall(json.dumps({"type": kind, "content": content}).encode() + b"\f")

    def _clean_up(self, sock):
        sock.close()
        self._listener.close()
        (self.directory / "sock").unlink()
        (self.directory / "ob").unlink()


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def names_in(directory) -> set[str]:
    return set(os.listdir(directory))
