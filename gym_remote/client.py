"""The agent's side of the wire: a gymnasium environment that lives in another process."""

from __future__ import annotations

import os
import time

import gymnasium
import numpy as np

from gym_remote import directory as shared
from gym_remote.channels import BoolChannel, Channel, FloatChannel, parse_description
from gym_remote.exceptions import (
    ProtocolError,
    ResetError,
    ServerDisconnectError,
    ServerTimeoutError,
)
from gym_remote.messages import (
    RESET_REQUEST,
    Connection,
    PeerGone,
    decode,
    decode_usual_answer,
    encode,
    encode_step,
    error_in,
    is_finite,
    shorten,
)
from gym_remote.spaces import BUTTONS, space_for

SOCKET_VARIABLE = "RETRO_CONTEST_SOCKET"
DEFAULT_DIRECTORY = "tmp/sock"


class RemoteEnv(gymnasium.Env):
    """The environment served in `directory`.

    Without a directory, it is the one that the environment variable `RETRO_CONTEST_SOCKET` names
    (`retro-contest evaluate` sets it for each run), else `tmp/sock` (the place in a container).
    Connects at once, and waits up to `connect_timeout` seconds for a server to appear; after 5 s
    it says on stderr that it waits. An answer may take up to `timeout` seconds.

    The contest's observation is one frame, uint8 of shape (224, 320, 3), RGB. Its action is a
    vector of 12 values that are 0 or 1, of any dtype: the buttons that are held, in the order of
    `buttons`.

    Follows the rules of the contest:

    - The budget counts timesteps; a reset is one of them, like a step.
    - `reset` is only allowed when no episode is running: before the first one, and when `step`
      has said `terminated`. An earlier reset, and a step outside an episode, raise ResetError here
      without asking the server; the connection stays good.
    - `truncated` is always False: the wire has one `done` for every end of an episode, also for
      the time limit, and it comes as `terminated`.

    Any other error ends the connection:

    - ContestOver (TimestepTimeoutError or WallClockTimeoutError): the budget is used up;
    - ServerDisconnectError: the server closed the connection or died;
    - ServerTimeoutError: no server appeared, or no answer came in time;
    - ProtocolError: the server does not keep to the protocol.

    All of them are GymRemoteError. A directory that cannot be entered raises OSError.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (gymnasium declares it so)

    buttons = BUTTONS
    """the names of the contest's 12 buttons, in the order of an action's elements"""

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        connect_timeout: float = 300.0,
        timeout: float = 120.0,
    ):
        named = os.environ.get(SOCKET_VARIABLE)
        directory = os.fspath(directory or named or DEFAULT_DIRECTORY)
        notice = f"gym_remote: waiting up to {connect_timeout:g} s for a server in {directory}"
        if named and directory != named:
            notice += f" (RemoteEnv() without a directory would look in {named})"

        self._timeout = timeout
        self._in_episode = False
        self._timesteps = 0
        self._channels: dict[str, Channel] = {}
        deadline = time.monotonic() + connect_timeout
        sock, directory_fd = shared.connect(directory, connect_timeout, notice)
        self._connection: Connection | None = Connection(sock)
        try:
            channels = parse_description(self._receive("description", deadline))
            self._use(channels, directory_fd)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(directory_fd)

    def _use(self, channels: dict[str, Channel], directory_fd: int) -> None:
        missing = {"ac", "ob", "reward", "done", "reset"} - channels.keys()
        if missing:
            raise ProtocolError(f"the server describes no channel {', '.join(sorted(missing))}")
        for name, kind in ("reward", FloatChannel), ("done", BoolChannel), ("reset", BoolChannel):
            if not isinstance(channels[name], kind):
                raise ProtocolError(f"channel {name} is {channels[name].TYPE}, not {kind.TYPE}")
        self._action, self._observation = channels["ac"], channels["ob"]
        self.action_space = space_for("ac", self._action)
        self.observation_space = space_for("ob", self._observation)
        self._channels = {"ac": self._action, "ob": self._observation}
        for name, channel in self._channels.items():
            channel.open_file(name, directory_fd)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """Start an episode; returns (observation, {}). It costs one timestep of the budget.

        `seed` does not reach the server: its randomness is its own. It seeds `np_random` here.
        """
        if seed is not None:
            super().reset(seed=seed)
        if self._in_episode:
            raise ResetError("the episode is not done: the contest allows no reset yet")
        observation, _, done = self._request(RESET_REQUEST)
        self._in_episode = not done
        return observation, {}

    def step(self, action):
        """Returns (observation, reward, terminated, truncated, {}).

        The observation is a new array. `truncated` is always False, also where the time limit
        ended the episode. `info` is empty: the server keeps its own. An action that does not fit
        the space raises ValueError and is not sent.
        """
        if not self._in_episode:
            raise ResetError("no episode is running: call reset() first")
        observation, reward, done = self._request(encode_step(self._action.encode(action)))
        self._in_episode = not done
        return observation, reward, done, False, {}

    def close(self) -> None:
        """Tell the server, if it is still there, and let go of everything. May be repeated."""
        if self._connection is not None:
            self._connection.close(encode("close", {"reason": None}))
            self._connection = None
        self._in_episode = False
        for channel in self._channels.values():
            channel.close()

    def _request(self, message: bytes) -> tuple[np.ndarray | int, float, bool]:
        """Send one request and return its answer: (observation, reward, done)."""
        if self._connection is None:
            raise ServerDisconnectError("the connection is closed")
        try:
            deadline = time.monotonic() + self._timeout
            if self._connection.buffered:
                # Nothing but the end of the contest may come without being asked for.
                self._receive("close", deadline)
            try:
                self._connection.send(message)
            except PeerGone:
                # The server has closed; it may have said why.
                self._receive("close", deadline)
            data = self._receive_bytes(deadline)
            usual = decode_usual_answer(data)
            observation, reward, done = (True, *usual) if usual else self._read_answer(data)
            self._timesteps += 1
            return self._observation.decode(observation), reward, done
        except BaseException:
            # Whatever happened, even Ctrl-C: the next answer would be that to this request.
            self.close()
            raise

    def _receive(self, expected: str, deadline: float) -> dict:
        """The content of the next message, which must be of the expected type.

        Raises what the server says in a `close` or `exception` message, ProtocolError for any
        other message.
        """
        return self._content(self._receive_bytes(deadline), expected)

    def _receive_bytes(self, deadline: float) -> bytes:
        assert self._connection is not None
        try:
            return self._connection.receive_bytes(deadline)
        except TimeoutError:
            raise ServerTimeoutError("the server does not answer") from None
        except PeerGone:
            raise ServerDisconnectError(
                "the server closed the connection without a reason, or died"
            ) from None

    def _content(self, data: bytes, expected: str) -> dict:
        """As `_receive`, of a message that was received."""
        kind, content = decode(data)
        if kind in ("close", "exception"):
            raise error_in(kind, content, self._timesteps)
        if kind != expected:
            raise ProtocolError(f"{shorten(kind)} message instead of {expected}")
        return content

    def _read_answer(self, data: bytes) -> tuple[object, float, bool]:
        """(ob, reward, done) of any answer; raises as `_receive` does."""
        answer = self._content(data, "update")
        try:
            observation, reward, done = answer["ob"], answer["reward"], answer["done"]
        except KeyError:
            raise ProtocolError(
                f"an answer without ob, reward or done: {shorten(answer)}"
            ) from None
        if not is_finite(reward) or type(done) is not bool:
            raise ProtocolError(f"not an answer: {shorten(answer)}")
        return observation, float(reward), done
