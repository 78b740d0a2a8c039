"""Everything that can go wrong on the wire.

The classes in `BY_ID` are those of 2018; `ID` is their number in a message. All are GymRemoteError.
"""

from __future__ import annotations


class GymRemoteError(RuntimeError):
    """Base class; on the wire (number 0) any failure that has no number of its own."""

    ID = 0


class ContestOver(TimeoutError, GymRemoteError):
    """The budget of the contest is used up: the regular end. One of the two classes below."""


class TimestepTimeoutError(ContestOver):
    """The timesteps of the contest are used up."""

    ID = 1


class WallClockTimeoutError(ContestOver):
    """The hours of the contest are used up."""

    ID = 2


class ClientDisconnectError(BrokenPipeError, GymRemoteError):
    """The client closed the connection or died."""

    ID = 3


class ServerDisconnectError(BrokenPipeError, GymRemoteError):
    """The server closed the connection, was stopped or died."""

    ID = 4


class ResetError(GymRemoteError):
    """A reset during an episode, or a step outside one. The connection is still good."""

    ID = 5


class ProtocolError(GymRemoteError):
    """The other side does not keep to the protocol. Sent as number 0, with a reason."""


class ServerTimeoutError(TimeoutError, GymRemoteError):
    """The client waited too long for a server to appear or for an answer. Never sent."""


class SocketInUseError(OSError, GymRemoteError):
    """Another server lives in this directory. Never sent."""


BY_ID: dict[int, type[GymRemoteError]] = {
    cls.ID: cls
    for cls in (
        GymRemoteError,
        TimestepTimeoutError,
        WallClockTimeoutError,
        ClientDisconnectError,
        ServerDisconnectError,
        ResetError,
    )
}
