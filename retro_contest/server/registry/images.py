"""The registry of a contest: its credentials, which digest a tag has, how a job gets its image.

An account's images lie in its name space `u` + its number. Its user name in the registry is that of
the account; its password follows from a key in the data folder and the account's password hash, so
it is stored nowhere and changes with the account's password. The executor has credentials of its
own, which read everything and write nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import shutil
from pathlib import Path

import httpx2
from starlette.routing import BaseRoute, Mount

from retro_common.errors import UsageError
from retro_common.files import read_plain
from retro_contest.runs.results import make_folder
from retro_contest.server.accounts import Account
from retro_contest.server.images import Source, split
from retro_contest.server.registry.front import Front, Visitor
from retro_contest.server.registry.program import RegistryProgram
from retro_contest.server.store import Store

ADDRESS = "registry.address"  # fact with the server's address for the programs of its own machine
EXECUTOR = "@executor"
"""user name of the executor; no account can have it"""
ROOM = 8 << 30
"""bytes that uploads leave free on the registry's disk"""
ANSWER_SECONDS = 10.0
"""for a question about a tag"""
UPLOAD_SECONDS = 900.0
"""for the end of an upload: the registry reads a whole layer again to check it"""
_MANIFESTS = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)


class Keys:
    """User names and passwords of the registry."""

    def __init__(self, store: Store, folder: Path) -> None:
        """
        Args:
            store: knows the accounts.
            folder: the registry's, which holds the key; both are made.

        Raises:
            UsageError: the key cannot be read or written.
        """
        self._store = store
        self._key = _key(folder)

    def entrant(self, account: Account) -> tuple[str, str]:
        """User name and password of an account."""
        row = self._store.one("SELECT password FROM accounts WHERE id = ?", account.id)
        assert row is not None
        return account.username, self._password(f"{account.id} {row['password']}")

    @property
    def executor(self) -> tuple[str, str]:
        """User name and password of the executor."""
        return EXECUTOR, self._password(EXECUTOR)

    def visitor(self, username: str, password: str) -> Visitor | None:
        """Whose credentials these are; None if they are wrong, or of an account that is banned."""
        if username == EXECUTOR:
            right = _same(password, self._password(EXECUTOR))
            return Visitor("", writes=False) if right else None
        row = self._store.one(
            "SELECT id, password FROM accounts WHERE username = ? AND banned IS NULL", username
        )
        if row is None or not _same(password, self._password(f"{row['id']} {row['password']}")):
            return None
        return Visitor(name_space(row["id"]))

    def _password(self, text: str) -> str:
        return hmac.new(self._key, f"registry {text}".encode(), hashlib.sha256).hexdigest()[:40]


class DockerRegistry:
    """The registry of a contest: our own program behind an authenticating front.

    The server starts it. The executor, another process, pulls from it and needs `source` only.
    """

    def __init__(self, store: Store, folder: Path, address: str) -> None:
        """
        Args:
            store: knows the accounts.
            folder: for images, key and log; it is made.
            address: HOST or HOST:PORT under which entrants reach the server; empty for the one that
                it is started with.

        Raises:
            UsageError: the folder cannot be used.
        """
        self._store = store
        self._folder = folder
        self._address = address
        self._keys = Keys(store, folder)
        self._program: RegistryProgram | None = None

    def start(self, address: str) -> list[BaseRoute]:
        """Start it; its routes in the server.

        Args:
            address: HOST:PORT of the server for the programs of its own machine.

        Raises:
            UsageError: there is no registry on this machine, or it does not start.
        """
        program = self._program = RegistryProgram(self._folder)
        with self._store.write() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (ADDRESS, address))
        behind = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(program.socket), limits=_UNLIMITED),
            base_url="http://registry",
            timeout=httpx2.Timeout(UPLOAD_SECONDS, connect=ANSWER_SECONDS),
        )
        return [Mount("/v2", app=Front(behind, self._keys.visitor, self._has_room))]

    def stop(self) -> None:
        """End it, if it was started."""
        if self._program is not None:
            self._program.stop()

    def credentials(self, account: Account) -> dict[str, str]:
        """What an entrant needs for `docker login`: `url`, `username`, `password`."""
        username, password = self._keys.entrant(account)
        return {"url": self._address or self._own, "username": username, "password": password}

    def resolve(self, account: Account, tag: str) -> str:
        """The digest that a tag of an account has now, `sha256:...`.

        Args:
            account: the account.
            tag: the image as the entrant names it, as `agent:v1`.

        Raises:
            UsageError: the account has no such image, or the registry does not answer.
        """
        if self._program is None:
            raise UsageError("the registry runs in the server alone")
        repository, version = split(tag)
        transport = httpx2.HTTPTransport(uds=str(self._program.socket))
        path = f"/v2/{name_space(account.id)}/{repository}/manifests/{version}"
        try:
            with httpx2.Client(transport=transport, timeout=ANSWER_SECONDS) as client:
                answer = client.head(f"http://registry{path}", headers={"accept": _MANIFESTS})
        except httpx2.HTTPError:
            raise UsageError("the registry does not answer: try again in a minute") from None
        if answer.status_code == 404:
            raise UsageError(
                f"you have no image {repository}:{version} in this contest's registry: push it "
                "first; if you did, the push has failed"
            )
        digest = answer.headers.get("docker-content-digest", "")
        if answer.status_code != 200 or not digest:
            raise UsageError(f"the registry answers {answer.status_code}: tell the host")
        return digest

    def source(self, account: Account, tag: str, digest: str) -> Source:
        """Where the engine of the server's machine pulls an image from.

        Args:
            account: whose image it is.
            tag: the image as its owner named it.
            digest: its digest.
        """
        repository, _ = split(tag)
        reference = f"{self._own}/{name_space(account.id)}/{repository}@{digest}"
        return Source(reference, *self._keys.executor)

    @property
    def _own(self) -> str:
        """HOST:PORT of the server for the programs of its own machine."""
        return self._store.fact(ADDRESS) or ""

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._folder).free > ROOM


_UNLIMITED = httpx2.Limits(max_connections=None, max_keepalive_connections=20)


def name_space(account: int) -> str:
    """The name space of an account's images."""
    return f"u{account}"


def _key(folder: Path) -> bytes:
    """The key in a folder; it is made where there is none."""
    make_folder(folder)
    path = folder / "key"
    if not path.exists():
        # Whole or not at all, and never another's in its place.
        fresh = folder / f"key.{secrets.token_hex(8)}"
        try:
            with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return read_plain(path, 64)


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())
