"""The images that are submitted: what the contest asks of a registry, and a stand-in for trials."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from retro_common.errors import UsageError
from retro_common.text import shown
from retro_contest.server.accounts import Account

REPOSITORY = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
TAG = re.compile(
    rf"(?P<repository>{REPOSITORY}(?:/{REPOSITORY})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?"
)


@dataclass(frozen=True)
class Source:
    """Where the engine of the executor's machine pulls an image from."""

    reference: str
    """`HOST:PORT/REPOSITORY@sha256:...`"""
    username: str
    """for the registry"""
    password: str
    """for the registry"""


class Registry(Protocol):
    """Where entrants push their images, each into a name space of his own."""

    def credentials(self, account: Account) -> dict[str, str]:
        """`url` (`HOST:PORT`, with a path if need be), `username` and `password` for pushing."""

    def resolve(self, account: Account, tag: str) -> str:
        """The digest of an account's image, given as `REPOSITORY:TAG` or `REPOSITORY`.

        Raises:
            UsageError: there is no such image, or the registry does not answer.
        """

    def source(self, account: Account, tag: str, digest: str) -> Source:
        """Where to pull an image from whose digest is known."""


def split(tag: str) -> tuple[str, str]:
    """Repository and tag of `REPOSITORY:TAG` or `REPOSITORY`, whose tag is `latest`.

    Raises:
        UsageError: it is neither.
    """
    found = TAG.fullmatch(tag) if len(tag) <= 255 else None
    if found is None:
        raise UsageError(f"{shown(tag)} is no REPOSITORY:TAG")
    return found["repository"], found["tag"] or "latest"


class LocalAgents:
    """In place of a registry: the agents that the host's settings name, for trials without Docker.

    `jerk` and `jerk:latest` mean the agent `jerk`; the digest is that of its command.
    """

    def __init__(self, agents: Mapping[str, str]) -> None:
        self._agents = agents

    def credentials(self, account: Account) -> dict[str, str]:
        return {"url": "", "username": account.username, "password": ""}

    def resolve(self, account: Account, tag: str) -> str:
        return f"sha256:{hashlib.sha256(self.command(tag).encode()).hexdigest()}"

    def source(self, account: Account, tag: str, digest: str) -> Source:
        raise AssertionError("agents of the host's settings are not pulled")

    def command(self, tag: str) -> str:
        """The command of an agent.

        Raises:
            UsageError: there is none of this name.
        """
        name, version = split(tag)
        if name not in self._agents or version != "latest":
            known = ", ".join(self._agents)
            raise UsageError(f"this trial contest has no agent {shown(tag)} (it has: {known})")
        return self._agents[name]
