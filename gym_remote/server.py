"""The contest's side of the wire: serves one gymnasium environment to one client, once."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import math
import os
import select
import socket
import time
from collections.abc import Callable

import gymnasium
from gymnasium import spaces

from gym_remote import directory as shared
from gym_remote.channels import BoolChannel, FloatChannel, IntFoldChannel
from gym_remote.exceptions import (
    ClientDisconnectError,
    GymRemoteError,
    ProtocolError,
    ResetError,
    ServerDisconnectError,
    TimestepTimeoutError,
    WallClockTimeoutError,
)
from gym_remote.messages import (
    Connection,
    PeerGone,
    decode_request,
    encode,
    encode_answer,
    encode_farewell,
    shorten,
    wait,
)
from gym_remote.spaces import channel_for


class Reason(enum.StrEnum):
    """Why a server stopped serving."""

    TIMESTEP_LIMIT = "timestep limit"
    WALLCLOCK_LIMIT = "wallclock limit"
    CLIENT_CLOSED = "client closed"
    CLIENT_DIED = "client died"
    NO_CLIENT = "no client connected"
    NO_REQUEST = "client fell silent"
    PROTOCOL_ERROR = "protocol error"
    STOPPED = "stopped"


@dataclasses.dataclass(frozen=True)
class Served:
    """What `serve` returns: resets and steps answered, seconds since its call, and the end."""

    timesteps: int
    seconds: float
    reason: Reason
    detail: str = ""  # of a protocol error


def serve(env: gymnasium.Env, directory: str | os.PathLike, **limits) -> Served:
    """Serve `env` once and clean up; takes the arguments of `Server` and `Server.serve`."""
    with Server(env, directory) as server:
        return server.serve(**limits)


class Server:
    """Serves `env` to the first client that connects in `directory`.

    From here on a client can connect; it is answered once `serve` is called. Use it as a context
    manager, or call `close`: that removes the socket and the channel files from the directory. The
    environment belongs to the caller and is not closed.

    Raises SocketInUseError if a server is already running in the directory, OSError if the
    directory is missing or cannot be written, ValueError if the environment's spaces cannot be
    served.
    """

    def __init__(self, env: gymnasium.Env, directory: str | os.PathLike):
        self._env = env
        self._action = channel_for(env.action_space)
        self._observation = channel_for(env.observation_space)
        self._channels = {
            "ac": self._action,
            "ob": self._observation,
            "reward": FloatChannel(),
            "done": BoolChannel(),
            "reset": BoolChannel(),
        }
        # A folded vector is always valid, and what a Box's bounds mean is up to the environment.
        self._check_action = not isinstance(env.action_space, spaces.Box) and not isinstance(
            self._action, IntFoldChannel
        )
        self._connection: Connection | None = None
        self._listener: socket.socket | None = None
        self._stopped = False
        self._files: list[str] = []  # to be removed

        directory = os.fspath(directory)
        self._directory_fd: int | None = shared.claim(directory)
        try:
            for name, channel in self._channels.items():
                channel.create_file(name, self._directory_fd)
                self._files.append(name)
            self._listener = shared.listen(directory, self._directory_fd)
            self._files.append(shared.SOCKET_NAME)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def stop(self) -> None:
        """Make `serve` end soon, however long it would still wait.

        May be called from another thread or from a signal handler.
        """
        self._stopped = True
        connection, listener = self._connection, self._listener  # serve() may drop them meanwhile
        if connection is not None:
            connection.stop_receiving()
        if listener is not None:
            with contextlib.suppress(OSError):  # closed already
                listener.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Disconnect and clean the directory up. May be repeated."""
        self._disconnect(encode_farewell("close", ServerDisconnectError))
        self._close_listener()
        for channel in self._channels.values():
            channel.close()
        if self._directory_fd is None:
            return
        for name in self._files:
            with contextlib.suppress(OSError):  # removed, or replaced by a folder, by the client
                os.unlink(name, dir_fd=self._directory_fd)
        os.close(self._directory_fd)  # and with it the lock on the directory
        self._directory_fd = None

    def _disconnect(self, farewell: bytes) -> None:
        if self._connection is not None:
            self._connection.close(farewell)
            self._connection = None

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def serve(
        self,
        *,
        timestep_limit: int | None = None,
        wallclock_limit: float | None = None,
        connect_timeout: float = 600.0,
        request_timeout: float = 3600.0,
        allow_early_reset: bool = False,
        on_connect: Callable[[], object] | None = None,
    ) -> Served:
        """Serve until a limit is reached, the client goes, or `stop` is called.

        `timestep_limit` counts resets and steps alike; refused requests do not count.
        `wallclock_limit` (seconds) runs from this call. `connect_timeout` (seconds) limits the
        wait for a client, `request_timeout` that for each request; both are there to end a contest
        whose agent is dead or asleep. A reset during an episode is refused, unless
        `allow_early_reset`; a step outside one is always refused. `on_connect` is called once a
        client has connected.

        What the environment raises passes through, after the client was told. So does a ValueError
        for an observation or a reward that cannot be sent.
        """
        for limit in (timestep_limit, wallclock_limit, connect_timeout, request_timeout):
            if limit is not None and not limit > 0:
                raise ValueError(f"a limit must be positive, not {limit}")
        start = time.monotonic()
        end = math.inf if wallclock_limit is None else start + wallclock_limit
        self._timesteps = 0
        detail = ""
        try:
            if self._accept(min(end, start + connect_timeout)):
                assert self._connection is not None
                if on_connect is not None:
                    on_connect()
                self._connection.send(encode("description", self._describe()))
                reason = self._answer_requests(
                    timestep_limit, end, request_timeout, allow_early_reset
                )
            else:
                reason = Reason.STOPPED if self._stopped else Reason.NO_CLIENT
        except ProtocolError as error:
            reason, detail = Reason.PROTOCOL_ERROR, str(error)
        except PeerGone:
            left = Reason.CLIENT_CLOSED if self._said_goodbye() else Reason.CLIENT_DIED
            reason = Reason.STOPPED if self._stopped else left
        except Exception as error:
            text = f"the environment failed: {type(error).__name__}"
            self._disconnect(encode_farewell("close", GymRemoteError, text))
            raise
        self._disconnect(_farewell(reason, detail))
        return Served(self._timesteps, time.monotonic() - start, reason, detail)

    def _describe(self) -> dict[str, list]:
        return {name: channel.describe() for name, channel in self._channels.items()}

    def _accept(self, deadline: float) -> bool:
        """Wait for the one client; whether it came. Later ones are turned away."""
        if self._listener is None:
            raise RuntimeError("a server serves only once")
        connectable = select.poll()
        connectable.register(self._listener, select.POLLIN)
        try:
            if not wait(connectable, deadline) or self._stopped:
                return False
            self._listener.setblocking(False)
            sock, _ = self._listener.accept()
        finally:
            self._close_listener()
        self._connection = Connection(sock)
        return True

    def _answer_requests(
        self,
        timestep_limit: int | None,
        end: float,
        request_timeout: float,
        allow_early_reset: bool,
    ) -> Reason:
        """The main loop. `end` is a time.monotonic() or infinity."""
        env, connection = self._env, self._connection
        assert connection is not None
        in_episode = False
        while self._timesteps != timestep_limit:
            now = time.monotonic()
            if self._stopped:
                return Reason.STOPPED
            if now >= end:
                return Reason.WALLCLOCK_LIMIT
            try:
                data = connection.receive_bytes(min(end, now + request_timeout))
            except TimeoutError:
                return Reason.WALLCLOCK_LIMIT if time.monotonic() >= end else Reason.NO_REQUEST
            request = decode_request(data)
            if request is None:
                return Reason.CLIENT_CLOSED
            is_reset, value = request
            action = None if is_reset else self._decode_action(value)

            if is_reset:
                refused = in_episode and not allow_early_reset
            else:
                refused = not in_episode
            if refused:
                connection.send(encode_farewell("exception", ResetError))
                continue
            if is_reset:
                observation, _ = env.reset()
                reward, done = 0.0, False
            else:
                observation, given, terminated, truncated, _ = env.step(action)
                reward, done = float(given), bool(terminated or truncated)
            in_episode = not done
            if not math.isfinite(reward):
                raise ValueError(f"a reward of {reward} cannot be sent")
            connection.send(encode_answer(self._observation.encode(observation), reward, done))
            self._timesteps += 1
        return Reason.TIMESTEP_LIMIT

    def _said_goodbye(self) -> bool:
        """Whether a client that is gone closed, in the middle of a request perhaps, or died."""
        assert self._connection is not None
        try:
            kind, _ = self._connection.receive(time.monotonic() + 1.0)  # at once: it is gone
        except (PeerGone, ProtocolError, TimeoutError):
            return False
        return kind == "close"

    def _decode_action(self, value: object) -> object:
        """Raises ProtocolError for what is not an action of the environment."""
        action = self._action.decode(value)
        if self._check_action and not self._env.action_space.contains(action):
            raise ProtocolError(f"not an action: {shorten(action)}")
        return action


def _farewell(reason: Reason, detail: str) -> bytes:
    """The last message to the client."""
    match reason:
        case Reason.TIMESTEP_LIMIT:
            return encode_farewell("close", TimestepTimeoutError)
        case Reason.WALLCLOCK_LIMIT:
            return encode_farewell("close", WallClockTimeoutError)
        case Reason.CLIENT_CLOSED | Reason.CLIENT_DIED:
            return encode_farewell("close", ClientDisconnectError)
        case Reason.PROTOCOL_ERROR:
            return encode_farewell("close", GymRemoteError, f"protocol error: {detail}")
        case Reason.NO_REQUEST:
            return encode_farewell("close", GymRemoteError, "the client fell silent")
        case _:
            return encode_farewell("close", ServerDisconnectError)
