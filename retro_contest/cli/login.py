"""`retro-contest login` and `retro-contest logout`"""

from __future__ import annotations

import getpass
import platform
import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg

from retro_common.errors import UsageError
from retro_common.text import clean


@dataclass(frozen=True)
class Login:
    """Log in to a contest's server; the other commands mean this server from now on.

    The server gives a token, which is kept in ~/.config/retro-contest/servers.json for its owner
    alone. The password is not kept. With an invitation, the account is made first.
    """

    server: Annotated[str, arg(metavar="URL")]
    """Address of the server, https://HOST:PORT."""
    name: Annotated[str, arg(metavar="NAME")] = ""
    """Name or e-mail address (default: asks)."""
    password_stdin: FlagCreatePairsOff[bool] = False
    """Read the password from standard input (default: asks)."""
    invitation: Annotated[str, arg(metavar="WORD")] = ""
    """Make an account with this invitation of the host."""
    email: Annotated[str, arg(metavar="ADDRESS")] = ""
    """With --invitation: an e-mail address."""

    def run(self) -> int:
        from retro_contest.entry import remote

        server = remote.Remote(remote.address_of(self.server))
        if server.is_readable:
            print(
                "warning: without https, others on the way can read the password", file=sys.stderr
            )
        if self.email and not self.invitation:
            raise UsageError("--email belongs to --invitation")
        name = self.name or input("name: ").strip()
        password = self._password()
        if self.invitation:
            values = {"invitation": self.invitation, "email": self.email}
            answer = server.post("register", name=name, password=password, **values)
        else:
            answer = server.post("login", name=name, password=password, label=platform.node())
        token, account = answer.get("token"), answer.get("name")
        if not (isinstance(token, str) and isinstance(account, str)):
            raise OSError(f"{server.server} gives no token: is it a contest's server?")
        remote.remember(remote.Remote(server.server, token), account)
        print(f"logged in to {server.server} as {clean(account)}")
        return 0

    def _password(self) -> str:
        if self.password_stdin:
            return sys.stdin.readline().rstrip("\r\n")
        first = getpass.getpass()
        if self.invitation and getpass.getpass("Again: ") != first:
            raise UsageError("the two passwords differ")
        return first


@dataclass(frozen=True)
class Logout:
    """End the token of this machine, and forget it."""

    server: Annotated[str, arg(metavar="URL")] = ""
    """Address of the server (default: that of the last login)."""

    def run(self) -> int:
        from retro_contest.entry import remote

        found = remote.connect(self.server)
        try:
            found.post("logout")
        except UsageError:
            pass  # it has ended already
        finally:
            remote.forget(found.server)
        print(f"logged out of {found.server}")
        return 0
