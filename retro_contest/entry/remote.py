"""A contest on another machine: its API, and where this user's tokens for it are kept.

The file `retro-contest/servers.json` in the folder of configurations (`XDG_CONFIG_HOME`, else
`~/.config`) holds the servers that this user has logged in to, with a token for each, and which of
them the commands mean that name none. Only its owner may read it.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, parse_json, read_json_object
from retro_common.text import clean, shown
from retro_contest.runs.results import make_folder

SECONDS = 60.0  # that an answer may take
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Remote:
    """A contest's server."""

    server: str
    """its address, `https://HOST:PORT`"""
    token: str = ""
    """of this user; empty before a login"""

    @property
    def is_readable(self) -> bool:
        """Whether others on the way can read passwords and tokens."""
        parts = urlsplit(self.server)
        return parts.scheme == "http" and parts.hostname not in LOCAL

    def get(self, path: str, **query: Any) -> Any:
        """The value that the API gives at a path; see `call`."""
        return _value(self.call("GET", path, query=query))

    def post(self, path: str, **body: Any) -> Any:
        """The value that the API answers to an object; None where it is empty. See `call`."""
        return _value(self.call("POST", path, body=body))

    def call(
        self, method: str, path: str, *, query: Any = None, body: Any = None, stream: bool = False
    ) -> requests.Response:
        """Call the API.

        Raises:
            UsageError: the server refuses; the message is its own, cleaned.
            OSError: it does not answer, or has made a mistake.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            response = requests.request(
                method,
                f"{self.server}/api/v1/{path}",
                params=query,
                json=body,
                headers=headers,
                timeout=SECONDS,
                allow_redirects=False,  # a token goes to no other server
                stream=stream,
            )
        except requests.RequestException as error:
            raise OSError(f"{self.server} does not answer: {clean(_reason(error), 300)}") from None
        if response.ok and not response.is_redirect:
            return response
        message = _error(response)
        if response.status_code == 401 and self.token:
            message = f"{message} (retro-contest login --server {self.server})"
        if response.status_code < 500:
            raise UsageError(f"{self.server}: {message}")
        raise OSError(f"{self.server} answers {response.status_code}: {message}")


def connect(server: str = "", *, logged_in: bool = True) -> Remote:
    """The server that a person names, or the one of the last login.

    Args:
        server: its address; empty for that of the last login.
        logged_in: whether a token is needed.

    Raises:
        UsageError: the address is none, or there was no login.
    """
    kept = _read()
    if not server and not kept.get("server"):
        raise UsageError("which server? give --server URL, or retro-contest login --server URL")
    address = address_of(server) if server else str(kept["server"])
    entry = kept["servers"].get(address)
    token = entry.get("token", "") if isinstance(entry, dict) else ""
    if logged_in and not token:
        raise UsageError(f"not logged in to {address}: retro-contest login --server {address}")
    return Remote(address, token if isinstance(token, str) else "")


def address_of(server: str) -> str:
    """A server's address as it is kept: with its scheme, without a slash at the end.

    Raises:
        UsageError: it is no address.
    """
    text = server if "://" in server else f"http://{server}"
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            clear = not (parts.query or parts.fragment or parts.username)
            if clear and text.isascii() and text.isprintable() and " " not in text:
                return text.rstrip("/")
    raise UsageError(f"{shown(server)} is no server's address: give https://HOST:PORT")


def remember(remote: Remote, name: str) -> None:
    """Keep a server's token; the commands that name no server mean this one from now on."""
    kept = _read()
    kept["server"] = remote.server
    kept["servers"][remote.server] = {"name": name, "token": remote.token}
    _write(kept)


def forget(server: str) -> None:
    """Remove a server's token."""
    kept = _read()
    kept["servers"].pop(server, None)
    _write(kept)


def config_file() -> Path:
    """Where servers and tokens are kept."""
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "retro-contest" / "servers.json"


def _read() -> dict[str, Any]:
    path = config_file()
    try:
        kept = read_json_object(path)
    except UnreadableFile as error:
        if not error.missing:
            raise
        kept = {}
    if not isinstance(kept.get("servers", {}), dict):
        raise UsageError(f"{path} is damaged: remove it, and log in again")
    return {"server": kept.get("server", ""), "servers": kept.get("servers", {})}


def _write(kept: dict[str, Any]) -> None:
    path = config_file()
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(kept, indent=2) + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _value(response: requests.Response) -> Any:
    if response.status_code == 204 or not response.content:
        return None
    try:
        return parse_json(response.content)
    except ValueError as error:
        raise OSError(f"{response.url} answers what is not JSON: {clean(error)}") from None


def _error(response: requests.Response) -> str:
    with contextlib.suppress(ValueError):
        content = parse_json(response.content)
        if isinstance(content, dict) and isinstance(content.get("error"), str):
            return clean(content["error"], 500)
    return f"{response.status_code} {clean(response.reason, 80)}"


def _reason(error: BaseException) -> str:
    """The innermost reason of an exception, which says what is wrong."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
