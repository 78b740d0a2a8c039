"""`retro-contest host`"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg


@dataclass(frozen=True)
class Host:
    """Run a contest that others take part in: a web server, and an executor that plays their jobs.

    The data folder holds everything: settings (contest.yaml), accounts and jobs (contest.sqlite),
    results. It is made with default settings where it is missing. Accounts, invitations and the
    final are made by retro-contest admin, also while the server runs.

    Ends at Ctrl-C or SIGTERM; jobs that are being played are queued again, and the same command
    goes on with them. Exits with 2 if something is missing or impossible.
    """

    data: Annotated[Path, arg(metavar="DIR")]
    """Data folder of the contest."""
    listen: Annotated[str, arg(metavar="HOST:PORT")] = "127.0.0.1:8055"
    """Where to listen."""
    certificate: Annotated[Path | None, arg(metavar="FILE")] = None
    """Certificate in PEM, for HTTPS."""
    key: Annotated[Path | None, arg(metavar="FILE")] = None
    """Its key."""

    def run(self) -> int:
        # Not at the top: only hosts have these libraries.
        from retro_contest.server.host import Listen, host

        return host(self.data, Listen.parse(self.listen, self.certificate, self.key))
