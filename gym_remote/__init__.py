"""The wire between an agent and a contest.

A server plays the environment, a client plays the agent. Both share one directory:

- `sock`: a Unix stream socket. A message is one JSON object `{"type": T, "content": C}` in UTF-8,
  followed by one form feed byte.
- one file per array channel (`ob` holds the last observation as raw bytes in C order). The strict
  order of request and answer is the only synchronisation.

After the connection the server describes its channels (`ac`, `ob`, `reward`, `done`, `reset`).
From then on the client asks, `{"reset": true}` or `{"ac": ACTION}`, and the server writes the
observation and answers with `ob`, `reward`, `done` and `reset`. When a limit is reached the server
says so in a `close` message that carries the number of an exception.

The protocol is that of the Retro Contest of 2018, in both directions.

An agent needs three names: `from gym_remote import RemoteEnv, ContestOver, BUTTONS`.

Modules: `client` (`RemoteEnv`), `server` (`Server`, `serve`), `exceptions`; below them `messages`
(bytes on the socket), `channels` (values and files), `spaces` (gymnasium spaces as channels) and
`directory` (the shared directory and its socket).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gym_remote.client import RemoteEnv
    from gym_remote.exceptions import ContestOver, GymRemoteError
    from gym_remote.spaces import BUTTONS

__version__ = "0.1.0"  # of the whole kit: both distributions read it from here

__all__ = ["BUTTONS", "ContestOver", "GymRemoteError", "RemoteEnv"]

# Imported at the first use: `gym_remote.exceptions` alone needs neither numpy nor gymnasium.
_HOMES = {
    "BUTTONS": "gym_remote.spaces",
    "ContestOver": "gym_remote.exceptions",
    "GymRemoteError": "gym_remote.exceptions",
    "RemoteEnv": "gym_remote.client",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
