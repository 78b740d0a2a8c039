"""The Docker engine: reaching it, its images, and removing the leftovers of killed evaluations.

Every container and volume of an evaluation carries a label with its results folder. An evaluation
holds the lock of that folder for as long as it lives, so everything labelled with a folder that is
not locked is a leftover.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import docker
from docker.errors import DockerException, ImageNotFound

from retro_common.errors import UsageError
from retro_contest.runs.results import LOCK_FILE

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

LABEL = "retro-contest.results"  # of containers and volumes; its value is their results folder


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
    """Remove containers and volumes of evaluations that no longer live."""
    containers = volumes = in_use = 0
    labelled = {"label": LABEL}
    for container in client.containers.list(all=True, filters=labelled, ignore_removed=True):
        if _locked(Path(container.labels[LABEL])):
            in_use += 1
        else:
            container.remove(force=True, v=True)
            containers += 1
    for volume in client.volumes.list(filters=labelled):
        if _locked(Path(volume.attrs["Labels"][LABEL])):
            in_use += 1
        else:
            volume.remove(force=True)
            volumes += 1
    return Cleaned(containers, volumes, in_use)


def _locked(results: Path) -> bool:
    """Whether an evaluation that writes to this folder is alive."""
    try:
        descriptor = os.open(results / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
