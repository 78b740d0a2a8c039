"""Pushes an image to a registry, within bounded time, and reads the bill of materials of one."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, NotFound
from urllib3.exceptions import HTTPError

from retro_common.files import JSON_BYTES, parse_json
from retro_common.text import clean
from retro_contest.entry.build import StepFailed

if TYPE_CHECKING:
    from docker import DockerClient

SILENCE = 120.0
"""seconds without a word from the engine after which a push counts as hanging"""
BILL = "/opt/venv/pip-inspect.json"
LOGIN = re.compile(
    "no basic auth|unauthorized|authentication required|access.*denied", re.IGNORECASE
)


def push(
    client: DockerClient,
    repository: str,
    tag: str,
    *,
    login: Mapping[str, str] | None = None,
    silence: float = SILENCE,
    progress: Callable[[str], object] = lambda line: None,
) -> str:
    """Push an image; its digest in the registry.

    Args:
        repository: where to, as HOST/REPOSITORY.
        tag: the image's tag.
        login: `username` and `password`; None for those that `docker login` has stored.
        silence: seconds without any news after which it is given up.
        progress: is given a line now and then.

    Raises:
        StepFailed: the registry refuses, wants a login, cannot be reached, or does not answer.
    """
    usual, client.api.timeout = client.api.timeout, silence
    digest = ""
    try:
        sent: dict[str, tuple[int, int]] = {}  # of each layer: bytes, and of how many
        more = {"auth_config": dict(login)} if login else {}
        for event in client.images.push(repository, tag=tag, stream=True, decode=True, **more):
            if "error" in event:
                raise StepFailed(_refusal(str(event["error"]), repository))
            digest = (event.get("aux") or {}).get("Digest") or digest
            if (part := event.get("progressDetail") or {}).get("total"):
                sent[event.get("id", "")] = part.get("current", 0), part["total"]
                progress(f"{_megabytes(sent, 0)} of {_megabytes(sent, 1)} MB")
    except (DockerException, HTTPError, OSError) as error:
        if "timed out" in str(error).lower():
            raise StepFailed(
                f"the registry did not answer for {silence:g} s: nothing was submitted; is "
                f"{host(repository)} the right one, and does it work?"
            ) from None
        raise StepFailed(_refusal(str(error), repository)) from None
    finally:
        client.api.timeout = usual
    if not digest:
        raise StepFailed(f"the registry gave no digest for {repository}:{tag}")
    return digest


def host(repository: str) -> str:
    """The registry's host in HOST/REPOSITORY."""
    return repository.split("/")[0]


def _refusal(words: str, repository: str) -> str:
    if LOGIN.search(words):
        return (
            f"not logged in, or not allowed to push to {repository}: docker login "
            f"{host(repository)}"
        )
    # A stranger's words: nothing in them that a terminal would obey, and not all of them.
    return f"the push was refused: {clean(words, 300)}"


def _megabytes(sent: dict[str, tuple[int, int]], which: int) -> str:
    return f"{sum(each[which] for each in sent.values()) / 1e6:,.0f}"


def bill_of_materials(client: DockerClient, image: str) -> dict[str, Any] | None:
    """pip's list of what an image holds, made when it was built; None if it has none.

    It is copied out of the image, so nothing of the image runs.
    """
    container = client.containers.create(image, ["none"], entrypoint=[], network_mode="none")
    try:
        content = bytearray()
        for chunk in container.get_archive(BILL)[0]:
            content += chunk
            if len(content) > JSON_BYTES:
                return None
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            member = archive.next()
            # In an image of a stranger it may be a link, or anything.
            file = archive.extractfile(member) if member is not None and member.isfile() else None
            bill = parse_json(file.read()) if file is not None else None
    except (NotFound, tarfile.TarError, ValueError):
        return None
    finally:
        container.remove(v=True, force=True)
    return bill if isinstance(bill, dict) else None
