"""The container runner of another machine: the same images as here, by their IDs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from docker.errors import DockerException, ImageNotFound

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.containers import engine
from retro_contest.containers.runner import ContainerRunner


@dataclass(frozen=True)
class RemoteContainers:
    """Makes the runner on the machine where it is called; it is pickled on its way there.

    Raises:
        UsageError: (by the call) an image is neither there nor can it be pulled by its digest.
    """

    agent: str
    """the agent's name in results"""
    image: str
    """ID of the submitted image"""
    environment: str
    """ID of the environment image"""
    cpus: float
    """processors of an agent"""
    memory: str
    """memory of an agent"""
    gpus: int
    """GPUs of an agent: those that the cluster gave to the run, in `CUDA_VISIBLE_DEVICES`"""
    image_user: bool
    """see `ContainerRunner`"""
    references: Mapping[str, str] = field(default_factory=dict)
    """image ID -> `NAME@sha256:...`, where a machine without the image pulls it"""
    login: Mapping[str, str] | None = field(default=None, repr=False)
    """`username` and `password` for pulling"""

    @classmethod
    def of(cls, runner: ContainerRunner, *, gpus: int, image_user: bool) -> RemoteContainers:
        """The runner of another machine that plays as `runner` does on this one."""
        references: dict[str, str] = {}
        for image in (runner.image.id, runner.environment):
            digests = runner.client.images.get(image).attrs.get("RepoDigests")
            references |= {image: digests[0]} if digests else {}
        return cls(
            runner.agent,
            runner.image.id,
            runner.environment,
            runner.limits.cpus,
            runner.limits.memory,
            gpus,
            image_user,
            references,
        )

    def __call__(self) -> ContainerRunner:
        for image in (self.image, self.environment):
            self._have(image)
        gpus = f"device={os.environ['CUDA_VISIBLE_DEVICES']}" if self.gpus else ""
        runner = ContainerRunner(
            self.image,
            Path(tempfile.gettempdir()),
            environment=self.environment,
            cpus=self.cpus,
            memory=self.memory,
            gpus=gpus,
            image_user=self.image_user,
        )
        runner.agent = self.agent
        return runner

    def _have(self, image: str) -> None:
        """Pull an image that is missing, by its digest."""
        client = engine.connect()
        try:
            client.images.get(image)
            return
        except ImageNotFound:
            pass
        reference = self.references.get(image, "")
        if not reference:
            raise UsageError(
                f"node {os.uname().nodename}: image {image} is missing there, and was never "
                "pushed: push it to a registry, or copy it (docker save, docker load)"
            )
        try:
            client.images.pull(reference, auth_config=dict(self.login) if self.login else None)
        except DockerException as error:
            where = f"node {os.uname().nodename}"
            raise UsageError(f"{where}: {reference} cannot be pulled: {clean(error)}") from None
