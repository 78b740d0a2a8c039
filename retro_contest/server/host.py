"""Runs a contest: the web server and, through it, the executor, until somebody stops it."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.routing import BaseRoute

from retro_common.errors import UsageError
from retro_contest.levels import check_playable
from retro_contest.server.contest import Contest, open_contest
from retro_contest.server.http.app import create_app
from retro_contest.server.parts import running_parts
from retro_contest.server.settings import OPEN, Places, prepare
from retro_contest.server.work.watch import Watch

MOST_CONNECTIONS = 2000
STOP_SECONDS = 5


@dataclass(frozen=True)
class Listen:
    """Where the web server listens."""

    host: str
    """name or address of the interface"""
    port: int
    """TCP port; 0 for any free one"""
    certificate: Path | None = None
    """file with the certificate, in PEM, for HTTPS"""
    key: Path | None = None
    """file with its key"""

    @classmethod
    def parse(cls, text: str, certificate: Path | None, key: Path | None) -> Listen:
        """`HOST:PORT`, `[IPv6]:PORT` or `:PORT`.

        Raises:
            UsageError: it is none of these, or a file is missing.
        """
        host, colon, port = text.rpartition(":")
        if not (colon and port.isascii() and port.isdecimal() and int(port[:6]) < 65536):
            raise UsageError(f"--listen {text!r} is no HOST:PORT")
        if (certificate is None) != (key is None):
            raise UsageError("--certificate and --key belong together")
        for path in (certificate, key):
            if path is not None and not path.is_file():
                raise UsageError(f"no file {path}")
        return cls(host.strip("[]") or "0.0.0.0", int(port), certificate, key)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def host(data: Path, listen: Listen) -> int:
    """Run the contest in a data folder, which is made where it is missing; the exit code.

    Raises:
        UsageError: the settings are wrong, the levels of the open phase cannot be played, the
            address cannot be used, or another server has the folder.
    """
    places = prepare(data)
    with _locked(places), _bound(listen) as server_socket:
        contest = open_contest(data)
        check_playable(contest.phases.levels(OPEN)[1])
        where = _address(listen, server_socket)
        print(f"{contest.settings.name}: {where} (settings: {places.settings})", flush=True)
        if not listen.is_local and listen.certificate is None:
            print(
                "warning: passwords travel readable: let a proxy with TLS listen to the world, "
                "or give --certificate and --key",
                file=sys.stderr,
                flush=True,
            )
        _serve(contest, listen, server_socket)
    return 0


def _serve(contest: Contest, listen: Listen, server_socket: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        UsageError: there is no registry on this machine, or it does not start.
    """
    with running_parts(contest, _own_address(listen, server_socket)) as routes:
        _serve_routes(contest, routes, listen, server_socket)


def _serve_routes(
    contest: Contest,
    routes: Sequence[BaseRoute],
    listen: Listen,
    server_socket: socket.socket,
) -> None:
    config = uvicorn.Config(
        create_app(contest, routes),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )
    watch = Watch(contest)
    watch.start()
    try:
        _Server(config).run(sockets=[server_socket])
    finally:
        print("stopping: jobs that are played are queued again", flush=True)
        watch.stop()


class _Server(uvicorn.Server):
    """A server that ends in good order at a signal. uvicorn's own sends it to the process again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _bound(listen: Listen) -> socket.socket:
    """A socket that listens."""
    server_socket = socket.socket(socket.AF_INET6 if ":" in listen.host else socket.AF_INET)
    try:
        server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server_socket.bind((listen.host, listen.port))
        server_socket.listen(2048)
    except OSError as error:
        server_socket.close()
        raise UsageError(f"cannot listen at {listen.host}:{listen.port}: {error}") from error
    return server_socket


def _address(listen: Listen, server_socket: socket.socket) -> str:
    """The address with the port that the system has chosen, as a person types it."""
    scheme = "http" if listen.certificate is None else "https"
    name = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"{scheme}://{name}:{server_socket.getsockname()[1]}"


def _own_address(listen: Listen, server_socket: socket.socket) -> str:
    """HOST:PORT for the programs of this machine: Docker trusts 127.0.0.1 without TLS."""
    everywhere = listen.host in ("0.0.0.0", "::", "localhost")
    host = "127.0.0.1" if everywhere else listen.host
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{server_socket.getsockname()[1]}"


@contextmanager
def _locked(places: Places) -> Iterator[None]:
    """Keep other web servers out of a data folder."""
    descriptor = os.open(places.server_lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another server runs the contest in {places.data}") from None
        yield
    finally:
        os.close(descriptor)
