"""One environment in a process of its own: the worker's half of `retro_contest.emulator.vector`.

Frames, actions and rewards lie in memory that parent and worker share; the socket between them
carries only commands and acknowledgements, and now and then an episode's record or a traceback.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from retro_common.errors import UsageError
from retro_contest.levels import Level

if TYPE_CHECKING:
    from retro_contest.emulator.environment import ContestEnv

# parent -> worker
SETUP = b"S"  # pickled dict, then the shared memory's file descriptor
RESET = b"R"  # pickled (level index, seed): start an episode there
STEP = b"T"  # play one timestep with the action in shared memory
# worker -> parent
SPACES = b"p"  # pickled (observation space, action space)
DONE = b"k"  # the command is carried out
ENDED = b"e"  # a STEP that ended the episode; pickled (reward, length, variables, from_start)
FAILED = b"x"  # pickled (a UsageError's text or None, traceback as text); the worker exits

_HEADER = struct.Struct("<cI")


def send(sock: socket.socket, kind: bytes, payload: Any = None) -> None:
    """Send one message; `payload` is pickled unless it is None."""
    data = b"" if payload is None else pickle.dumps(payload)
    sock.sendall(_HEADER.pack(kind, len(data)) + data)


def receive(sock: socket.socket) -> tuple[bytes, Any]:
    """Wait for one message, at most as long as the socket's timeout.

    Raises:
        EOFError: the other side is gone.
        TimeoutError: nothing came in time.
    """
    kind, size = _HEADER.unpack(_read(sock, _HEADER.size))
    return kind, pickle.loads(_read(sock, size)) if size else None


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            part = sock.recv(size - len(data))
        except ConnectionResetError:
            part = b""
        if not part:
            raise EOFError("the other side closed the connection")
        data += part
    return data


@dataclass
class Shared:
    """The arrays that parent and workers share; row `i` belongs to environment `i`."""

    actions: np.ndarray
    """`[N, ...]`, the next STEP plays them"""
    observations: np.ndarray
    """`[N, ...]`, after the last command"""
    final_observations: np.ndarray
    """`[N, ...]`, last frame of the last episode that ended"""
    rewards: np.ndarray
    """`[N]` float32"""
    terminations: np.ndarray
    """`[N]` bool"""
    truncations: np.ndarray
    """`[N]` bool"""
    variables: np.ndarray
    """`[N, V]` float32, RAM variables that go with `observations`; NaN where the game has none of
    that name"""

    @staticmethod
    def specification(observation_space, action_space, num_envs: int, num_variables: int) -> list:
        """`(shape, dtype)` of every array, in order."""
        n, observation = num_envs, (observation_space.shape, observation_space.dtype)
        rows = [
            (action_space.shape, action_space.dtype),
            observation,
            observation,
            ((), np.float32),
            ((), np.bool_),
            ((), np.bool_),
            ((num_variables,), np.float32),
        ]
        return [((n, *shape), np.dtype(dtype)) for shape, dtype in rows]

    @staticmethod
    def size(specification: list) -> int:
        """Bytes of memory that the arrays need."""
        return sum(_padded(shape, dtype) for shape, dtype in specification)

    @classmethod
    def over(cls, fd: int, specification: list) -> Shared:
        """Lay the arrays over the memory behind a file descriptor."""
        memory = mmap.mmap(fd, cls.size(specification))
        arrays, offset = [], 0
        for shape, dtype in specification:
            count = int(np.prod(shape))
            arrays.append(np.frombuffer(memory, dtype, count, offset).reshape(shape))
            offset += _padded(shape, dtype)
        return cls(*arrays)


def _padded(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Size in bytes, rounded up to whole cache lines and never 0."""
    return (int(np.prod(shape)) * dtype.itemsize // 64 + 1) * 64


class Worker:
    """Plays one environment on the parent's command."""

    env: gymnasium.Env[Any, Any]
    """the environment with the caller's wrapper"""
    contest_env: ContestEnv
    """the environment itself"""
    shared: Shared
    """set once the parent has sent the memory"""

    def __init__(self, setup: dict[str, Any]) -> None:
        self.levels = setup["levels"]
        self.index = setup["index"]
        if self.index > 0:  # one worker's warning about frames that must be drawn is enough
            logging.getLogger("retro_contest.emulator.undrawn").setLevel(logging.ERROR)
        self.names = setup["variables"]
        self.draw_all = setup["draw_all"]
        self.wrap = pickle.loads(setup["wrap"])
        self._make(self.levels[setup["level"]])
        self.spaces = (self.env.observation_space, self.env.action_space)

    def _make(self, level: Level) -> None:
        """Make an environment with a new emulator."""
        from retro_contest.emulator.make import make  # here: the parent needs no emulator

        self.contest_env = make(level, draw_all=self.draw_all)
        self.env = self.contest_env if self.wrap is None else self.wrap(self.contest_env)

    def _enter(self, level: Level) -> None:
        """Make the environment play `level`, with a new emulator where the game is another."""
        if self.contest_env.level == level:
            return
        if self.contest_env.can_play(level):
            self.contest_env.change_level(level)
            return
        self.env.close()
        self._make(level)

    def reset(self, level: int, seed: int) -> None:
        """Start an episode on a level; its randomness depends on `seed` alone."""
        self._enter(self.levels[level])
        if (self.env.observation_space, self.env.action_space) != self.spaces:
            raise ValueError(
                f"{self.levels[level].name} has other spaces than {self.levels[0].name}: "
                f"{self.env.observation_space} {self.env.action_space} against {self.spaces}"
            )
        self._write(self.env.reset(seed=seed)[0])

    def step(self) -> tuple[float, int, dict[str, int], bool] | None:
        """Play one timestep; the record of an episode that ended with it (see `ENDED`)."""
        shared, i = self.shared, self.index
        action = shared.actions[i]
        observation, reward, terminated, truncated, _ = self.env.step(
            action.copy() if action.ndim else action.item()
        )
        shared.rewards[i] = reward
        shared.terminations[i] = terminated
        shared.truncations[i] = truncated
        if not (terminated or truncated):
            self._write(observation)
            return None
        shared.final_observations[i] = observation
        inner = self.contest_env
        return inner.episode_reward, inner.episode_length, inner.variables(), inner.from_start

    def _write(self, observation: np.ndarray) -> None:
        self.shared.observations[self.index] = observation
        if self.names:
            values = self.contest_env.variables()
            self.shared.variables[self.index] = [values.get(name, np.nan) for name in self.names]


def main(sock: socket.socket) -> None:
    """Serve the parent until it hangs up. The parent's death is a hang-up, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent decides
    try:
        kind, setup = receive(sock)
        assert kind == SETUP
        worker = Worker(setup)
        send(sock, SPACES, worker.spaces)
        _, (fd,), _, _ = socket.recv_fds(sock, 1, 1)
        worker.shared = Shared.over(
            fd,
            Shared.specification(*worker.spaces, setup["num_envs"], len(setup["variables"])),
        )
        os.close(fd)
        while True:
            kind, payload = receive(sock)
            if kind == RESET:
                worker.reset(*payload)
                send(sock, DONE)
            else:
                record = worker.step()
                send(sock, DONE if record is None else ENDED, record)
    except (EOFError, BrokenPipeError):
        pass
    except Exception as error:
        usage = str(error) if isinstance(error, UsageError) else None
        with contextlib.suppress(OSError):
            send(sock, FAILED, (usage, traceback.format_exc()))


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
