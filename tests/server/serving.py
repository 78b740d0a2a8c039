"""A contest with all its parts, registry and pages, behind a real socket, without an executor."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from server_kit import PASSWORD, contest_in, wait_for

from retro_contest.server.contest import Contest
from retro_contest.server.http.app import create_app
from retro_contest.server.parts import running_parts
from retro_contest.server.registry.program import PROGRAMS

needs_registry = pytest.mark.skipif(
    not any(map(shutil.which, PROGRAMS)), reason="needs Debian's docker-registry"
)


@dataclass(frozen=True)
class Served:
    """A contest and where it is."""

    contest: Contest
    address: str
    """HOST:PORT"""

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def registry_login(self, name: str) -> tuple[str, str]:
        """User name and password for the registry of an account."""
        account = self.contest.accounts.find(name)
        assert account is not None
        credentials = self.contest.registry.credentials(account)
        return credentials["username"], credentials["password"]


@contextlib.contextmanager
def serving(data: Path, settings: str = "{}", accounts: tuple[str, ...] = ()) -> Iterator[Served]:
    """Serve the contest in a data folder.

    Args:
        data: the folder; it is made.
        settings: its contest.yaml.
        accounts: names of accounts to make, with `PASSWORD`.
    """
    contest = contest_in(data, settings)
    for name in accounts:
        if contest.accounts.find(name) is None:
            contest.accounts.add(name, PASSWORD)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with running_parts(contest, address) as routes:
            app = create_app(contest, routes)
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                wait_for(lambda: server.started, 20, "the web server")
                yield Served(contest, address)
            finally:
                server.should_exit = True
                thread.join()
                contest.store.close()
