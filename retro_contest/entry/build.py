"""Builds images with the program `docker`, and has their base images named by digest.

The program, not the library: whoever builds may need any of its options.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import DockerException
from docker.utils import parse_repository_tag

from retro_common.errors import UsageError
from retro_common.provenance import INSTALLED, ROOT
from retro_contest.entry import sources
from retro_contest.entry.new import LEFT_OUT

if TYPE_CHECKING:
    from docker import DockerClient

ENVIRONMENT_IMAGE = "retro-contest-environment"
ENVIRONMENT_SOURCES = ("gym_remote", "retro_common", "retro_contest", "pangolin_dash/integration")
# Options of `docker build` that say how to build, not what.
WITH_VALUE = ("--build-arg", "--network", "--add-host", "--platform")
WITHOUT_VALUE = ("--pull", "--no-cache")
# Of the kit's own checkout: bundles have a label of their own, and wheels have locked hashes.
KIT_HASHED = ("runs", "wheels")
SOCKET = "unix:///var/run/docker.sock"


class StepFailed(Exception):
    """A step of a submission failed; the message is one line for a person."""


@dataclass(frozen=True)
class Options:
    """Options for `docker build`, as they stand after `--` on a command line.

    Raises:
        UsageError: one lacks its value, or names the image.
    """

    words: tuple[str, ...] = ()
    """all of them"""

    def __post_init__(self) -> None:
        for word, value in self._pairs():
            if word in WITH_VALUE and value is None:
                raise UsageError(f"{word} after -- needs a value")
            if word.startswith("-t") or word.split("=")[0] == "--tag":
                raise UsageError(
                    f"{word} after --: the image's name is made from --registry and --tag"
                )

    @property
    def how(self) -> tuple[str, ...]:
        """Those that say how to build, not what: fit for another image, too."""
        found: list[str] = []
        for word, value in self._pairs():
            if word in WITH_VALUE:
                found += [word, value or ""]
            elif word.split("=")[0] in (*WITH_VALUE, *WITHOUT_VALUE):
                found.append(word)
        return tuple(found)

    @property
    def base(self) -> str:
        """The image that `--build-arg BASE=` names; empty without one."""
        base = ""
        for word, value in self._pairs():
            given = f"{word}={value}" if word == "--build-arg" else word
            if given.startswith("--build-arg=BASE="):
                base = given.removeprefix("--build-arg=BASE=")
        return base

    def dockerfile(self, folder: Path) -> Path:
        """The Dockerfile that they name, else that of the folder."""
        for word, value in self._pairs():
            if word in ("-f", "--file"):
                return Path(value or "")
            if word.startswith("--file="):
                return Path(word.removeprefix("--file="))
        return folder / "Dockerfile"

    def _pairs(self) -> Iterator[tuple[str, str | None]]:
        """Each option with the word after it where it takes one."""
        words = list(self.words)
        while words:
            word = words.pop(0)
            takes = word in (*WITH_VALUE, "-f", "--file")
            yield word, words.pop(0) if takes and words else None


NO_OPTIONS = Options()


@dataclass(frozen=True)
class Build:
    """A `docker build` of one image."""

    image: str
    """name and tag"""
    folder: Path
    """the folder that the build sees"""
    arguments: Mapping[str, str]
    """build arguments; those that the Dockerfile does not declare are left out"""
    options: Options = NO_OPTIONS
    """more options"""
    dockerfile: Path | None = None
    """the Dockerfile; None for that of the options or the folder"""

    def declared(self) -> dict[str, str]:
        """The build arguments that the Dockerfile declares, with their defaults."""
        return sources.arguments(self.dockerfile or self.options.dockerfile(self.folder))

    def command(self, base: str = "") -> list[str]:
        """The command line.

        Args:
            base: the base image; empty for that of the options or the Dockerfile.
        """
        command = ["docker", "build", "--quiet", "--tag", self.image]
        if self.dockerfile is not None:
            command += ["--file", str(self.dockerfile)]
        declared = self.declared()
        given = {**self.arguments, "BASE": base} if base else self.arguments
        for name, value in given.items():
            if name in declared:
                command += ["--build-arg", f"{name}={value}"]
        return [*command, *self.options.words, str(self.folder)]

    def run(self, client: DockerClient) -> None:
        """Build the image, from the digest of its base image if nobody chose another.

        Raises:
            UsageError: there is no program `docker`.
            StepFailed: the build failed; the reason is on standard error.
        """
        if shutil.which("docker") is None:
            raise UsageError("there is no program 'docker', which builds images: install Docker")
        wanted = self.declared().get("BASE", "")
        base = digest_of(client, wanted) if wanted and not self.options.base else ""
        # The program may have another engine in its own settings than the library.
        engine = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", SOCKET)}
        done = subprocess.run(
            self.command(base), stdout=subprocess.DEVNULL, env=os.environ | engine
        )
        if done.returncode != 0:
            raise StepFailed(f"the image {self.image} could not be built")


@functools.cache
def digest_of(client: DockerClient, name: str) -> str:
    """Pull an image, once; its name with the digest, or nothing if that fails.

    Once: so that two images are built from the same base. Nothing: then the build says why there is
    no such image, or takes one that was made here.
    """
    if "@" in name:
        return name
    print(f"pulling {name}", flush=True)
    repository, tag = parse_repository_tag(name)
    try:
        digests = client.images.pull(repository, tag=tag or "latest").attrs.get("RepoDigests")
    except (DockerException, OSError):
        return ""
    return digests[0] if digests else ""


@contextmanager
def environment_build(options: Options = NO_OPTIONS) -> Iterator[Build]:
    """The build of the environment image, the contest's side, from this very kit.

    In a checkout it sees the checkout, so wheels/ counts; an installed kit is copied first, since
    the folder that it lies in holds every other library, too.
    """
    if not INSTALLED:
        commit = sources.revision(ROOT, KIT_HASHED).commit
        yield _environment(ROOT, commit, options)
        return
    with tempfile.TemporaryDirectory(prefix="retro-contest-build-") as folder:
        for package in ENVIRONMENT_SOURCES:
            shutil.copytree(ROOT / package, Path(folder, package), ignore=LEFT_OUT)
        yield _environment(Path(folder), sources.UNKNOWN, options)


def _environment(folder: Path, commit: str, options: Options) -> Build:
    return Build(
        ENVIRONMENT_IMAGE,
        folder,
        {"COMMIT": commit},
        Options(options.how),
        folder / "retro_contest" / "Dockerfile",
    )
