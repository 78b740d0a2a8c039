"""The Docker engine: reaching it, its images, and removing the leftovers of killed evaluations.

Leftovers are found by the leases of their evaluators: see `retro_contest.runs.lease`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from retro_common.errors import UsageError
from retro_contest.runs import lease

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

# Labels of containers and volumes. The first is for persons, only the second counts.
LABEL = "retro-contest.results"  # their results folder
LEASE_LABEL = "retro-contest.lease"  # the token of their evaluator's lease


def connect() -> DockerClient:
    """A client of the engine that `DOCKER_HOST` names, or of this machine's.

    Raises:
        UsageError: no engine answers.
    """
    try:
        # Each container occupies two connections for as long as it runs.
        client = docker.from_env(max_pool_size=200)
        client.ping()
    except (DockerException, OSError) as error:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise UsageError(
            f"no Docker engine answers at {where}: is it running, and are you allowed to use it? "
            "(the environment variable DOCKER_HOST names another one)"
        ) from error
    return client


def find_image(client: DockerClient, name: str, hint: str) -> Image:
    """An image that this engine has. Never pulls: only images of this machine are evaluated.

    Args:
        hint: end of the error's message, which says how to get the image.

    Raises:
        UsageError: there is no such image.
    """
    try:
        return client.images.get(name)
    except ImageNotFound:
        raise UsageError(f"no image '{name}' here: {hint}") from None
    except DockerException as error:
        raise UsageError(f"image '{name}': {' '.join(str(error).split())}") from error


@dataclass(frozen=True)
class Cleaned:
    """The result of `clean`."""

    containers: int
    """number of containers removed"""
    volumes: int
    """number of volumes removed"""
    in_use: int
    """number of containers and volumes of evaluations that are running"""


def clean(client: DockerClient) -> Cleaned:
    """Remove containers and volumes of this user's evaluations that no longer live.

    Raises:
        DockerException: the engine refuses; what is left stays in its lease.
    """
    containers = volumes = 0
    engine = client.info()["ID"]
    for old in lease.ended():
        if old.engine != engine:
            continue
        labelled = {"label": f"{LEASE_LABEL}={old.token}"}
        for container in client.containers.list(all=True, filters=labelled, ignore_removed=True):
            if container.name in old.names:
                containers += _remove(container, v=True)
        for volume in client.volumes.list(filters=labelled):
            if volume.name in old.names:
                volumes += _remove(volume)
        old.path.unlink(missing_ok=True)
    return Cleaned(containers, volumes, sum(1 for _ in _labelled(client)))


def _labelled(client: DockerClient) -> Iterator[Any]:
    """What carries a lease's label: after a clean-up, that of evaluations that are running."""
    running = lease.running()
    labelled = {"label": LEASE_LABEL}
    for container in client.containers.list(all=True, filters=labelled, ignore_removed=True):
        if container.labels[LEASE_LABEL] in running:
            yield container
    for volume in client.volumes.list(filters=labelled):
        if volume.attrs["Labels"][LEASE_LABEL] in running:
            yield volume


def _remove(found: Any, **options: bool) -> int:
    """Remove a container or volume; 1 if it was there, 0 if somebody else removed it."""
    try:
        found.remove(force=True, **options)
    except NotFound:
        return 0
    except APIError as error:
        if error.status_code != 409 or "already in progress" not in str(error):
            raise
        return 0
    return 1
