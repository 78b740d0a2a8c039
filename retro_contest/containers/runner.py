"""Starts the two sides of a run as containers, so that untrusted agents can be evaluated.

Three containers per run. The *environment* container serves the level. The *agent* container runs
the submitted image. They share one thing: a tmpfs volume of a few MiB with the socket and the frame
file, in which the agent can write to those two and cannot create files. The *keeper* container only
holds the agent's output folder, a tmpfs volume too, so that it can be read after the agent ended.

The agent has no network, no capability, a read-only file system apart from `/tmp` and its output
folder (both tmpfs of limited size, which count as its memory), limits on memory, processors and
processes, and is not root. It sees neither results nor ROMs nor a level's name. It finds the socket
and its output folder where the contest of 2018 had them, `tmp/sock` and `out` below the image's
working directory, and in the same environment variables as a process would.

The agent starts when the server is ready, never before: so it cannot claim the socket's directory
before the server does.

What each container may do is written in `retro_contest.containers.options`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, NotFound

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.containers import engine, options, outputs
from retro_contest.containers.limits import Limits
from retro_contest.containers.limits import check as check_limits
from retro_contest.containers.side import ContainerSide, NotStarted
from retro_contest.runs import lease
from retro_contest.runs.match import Run, Side
from retro_contest.runs.processes import LINE_LIMIT
from retro_contest.runs.serve import STATUS_FILE

if TYPE_CHECKING:
    from docker.models.containers import Container
    from docker.models.volumes import Volume

ENVIRONMENT_IMAGE = "retro-contest-environment"
ROOT_SERVER = 10000  # user of the environment where the evaluator is root; else the evaluator's
READY_TIMEOUT = 60.0  # seconds that a server gets to load its level
CANNOT_START = 127  # exit code of an agent whose container could not be started, as in a shell


class ContainerRunner:
    """Runs a server and a submitted image as containers of a Docker engine."""

    name = "container"

    def __init__(
        self,
        image: str,
        results: Path,
        *,
        jobs: int = 1,
        environment: str = ENVIRONMENT_IMAGE,
        cpus: float | None = None,
        memory: str = "4g",
        gpus: str = "",
        image_user: bool = False,
    ) -> None:
        """
        Args:
            image: the submitted image.
            results: the evaluation's results folder.
            jobs: runs that will be played side by side.
            environment: the environment image.
            cpus: processors of an agent; None for an equal share of the engine's.
            memory: memory of an agent.
            gpus: GPUs of an agent; see `Limits`.
            image_user: whether the agent runs as the user that its image names, even as root.

        Raises:
            UsageError: no engine answers, an image is missing, or a limit is impossible.
        """
        self.client = engine.connect()
        found = engine.find_image(self.client, image, "build or pull it first (docker build, pull)")
        self.agent = f"{image} ({found.short_id.removeprefix('sha256:')})"
        self.agent_files: dict[str, str] = {}  # the image's ID is part of its name
        self.environment = engine.find_image(
            self.client,
            environment,
            "retro-contest environment builds retro-contest-environment",
        ).id
        config = found.attrs["Config"]
        self.results = results.resolve()
        self.server_uid = os.getuid() or ROOT_SERVER
        wanted = config.get("User") or "root"
        self.image = options.AgentImage(
            id=found.id,
            directory=PurePosixPath(config.get("WorkingDir") or "/"),
            volumes=sorted(config.get("Volumes") or {}),
            user=wanted if image_user else options.agent_user(wanted, self.server_uid),
        )
        machine = self.client.info()
        self.limits = Limits(machine["NCPU"] / jobs if cpus is None else cpus, memory, gpus=gpus)
        check_limits(
            self.limits.cpus,
            memory,
            machine_cpus=machine["NCPU"],
            machine_memory=machine["MemTotal"],
        )
        options.device_requests(gpus)
        self.rules = (
            f"each agent: user {self.image.user}, {self.limits.cpus:g} CPUs, {memory} memory, "
            f"{self.limits.processes} processes, {f'GPUs: {gpus}' if gpus else 'no GPU'}, "
            "no network"
        )
        if self.image.user.split(":")[0] != wanted.split(":")[0]:
            self.rules += f" (its image asks for user {wanted}: --image-user grants it)"

        lease.remove_temporary_folders()
        with contextlib.suppress(DockerException):  # what it refuses is left for the next time
            engine.clean(self.client)
        self._lease: lease.Lease | None = None
        self._matches = 0
        self._left_over = False
        self._mutex = threading.Lock()

    def start(self, run: Run) -> ContainerMatch:
        with self._mutex:
            if self._lease is None:
                self._lease = lease.Lease(self.client.info()["ID"])
            self._matches += 1
            held = self._lease
        try:
            return ContainerMatch(self, run, held)
        except BaseException:
            self.ended(left_over=True)
            raise

    def ended(self, *, left_over: bool) -> None:
        """A match has ended; after the last one that runs the lease ends, too.

        Args:
            left_over: whether it may have failed to remove something.
        """
        with self._mutex:
            self._matches -= 1
            self._left_over |= left_over
            if self._matches == 0 and self._lease is not None:
                self._lease.close(left_over=self._left_over)
                self._lease, self._left_over = None, False


class ContainerMatch:
    """Both sides of a run as containers, with their volumes; `close` removes all of it."""

    def __init__(self, runner: ContainerRunner, run: Run, held: lease.Lease) -> None:
        self._runner = runner
        self._lease = held
        self._run = run
        self._name = f"retro-contest-{secrets.token_hex(6)}"
        self._clean_up = contextlib.ExitStack()
        self._keeper: Container | None = None
        self.agent: Side = NotStarted()
        try:
            self._start()
        except BaseException:
            self._clean_up.close()
            raise

    def _start(self) -> None:
        runner, run = self._runner, self._run
        _give(run.folder, runner.server_uid)
        self._clean_up.callback(_give, run.folder, os.getuid())
        uid = f"uid={runner.server_uid},gid={options.SHARED_GROUP}"
        socket = self._volume("socket", f"{options.SOCKET_VOLUME},{uid}")
        out = self._volume("out", options.OUT_VOLUME)
        self._keeper = self._create("keeper", runner.environment, **options.of_keeper(out))
        try:
            self._keeper.start()
        except APIError as error:
            # The first container of all: an engine that refuses it refuses every one.
            raise UsageError(
                f"the engine cannot start a container: {clean(error.explanation, LINE_LIMIT)} "
                "(retro-contest doctor looks for the reason)"
            ) from error
        server = self._create(
            "environment",
            runner.environment,
            **options.of_server(run, runner.server_uid, socket),
        )
        self.server = ContainerSide(server, run.folder / "server.log")
        self._clean_up.callback(self.server.stop)
        self.server.start()
        if not self._ready():
            self.server.stop()
            return
        try:
            agent = self._create(
                "agent",
                runner.image.id,
                **options.of_agent(run, runner.image, runner.limits, socket, out),
            )
            side = ContainerSide(agent, run.folder / "agent.log")
            self._clean_up.callback(side.stop)
            side.start()
        except APIError as error:
            self.agent = _cannot_start(error, runner.limits, run.folder / "agent.log")
        else:
            self.agent = side

    @property
    def _labels(self) -> dict[str, str]:
        return {
            engine.LABEL: str(self._runner.results),
            engine.LEASE_LABEL: self._lease.token,
        }

    @property
    def run(self) -> Run:
        return self._run

    def close(self) -> None:
        left_over = True
        try:
            self._close()
            left_over = False
        finally:
            self._runner.ended(left_over=left_over)

    def _close(self) -> None:
        with self._clean_up:
            self.agent.stop()
            self.server.stop()
            assert self._keeper is not None
            try:
                tar, _ = self._keeper.get_archive("/out")
                notes = outputs.unpack(tar, self._run.out)
            except DockerException as error:
                notes = [f"the output folder could not be read: {' '.join(str(error).split())}"]
            if notes:
                with (self._run.folder / "agent.log").open("a") as log:
                    log.writelines(f"[{note}]\n" for note in notes)

    def _ready(self) -> bool:
        """Wait until an agent can connect; False if the server ended or took too long."""
        deadline = time.monotonic() + READY_TIMEOUT
        while not (self._run.folder / STATUS_FILE).exists():
            if self.server.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _volume(self, name: str, mount_options: str) -> Volume:
        name = f"{self._name}-{name}"
        self._lease.note(name)
        volume = self._runner.client.volumes.create(
            name,
            driver="local",
            driver_opts={"type": "tmpfs", "device": "tmpfs", "o": mount_options},
            labels=self._labels,
        )
        self._clean_up.callback(volume.remove, force=True)
        return volume

    def _create(self, name: str, image: str, **more: Any) -> Container:
        self._lease.note(f"{self._name}-{name}")
        container = self._runner.client.containers.create(
            image,
            name=f"{self._name}-{name}",
            labels=self._labels,
            **options.of_every_container(name),
            **more,
        )
        self._clean_up.callback(_remove, container)
        return container


def _cannot_start(error: APIError, limits: Limits, log: Path) -> NotStarted:
    """An image that cannot run counts against the agent; missing GPUs are a mistake of the host."""
    line = clean(error.explanation, LINE_LIMIT)
    if limits.gpus and ("device driver" in line or "nvidia" in line):
        raise UsageError(f"--gpus {limits.gpus}: {line}")
    log.write_text(f"{line}\n")
    return NotStarted(CANNOT_START, line)


def _give(folder: Path, uid: int) -> None:
    """Give a folder and its content to a user; only root can do this, and only root needs to."""
    if os.getuid() != 0:
        return
    for path in outputs.walk(folder):
        os.chown(path, uid, uid, follow_symlinks=False)


def _remove(container: Container) -> None:
    with contextlib.suppress(NotFound):
        container.remove(force=True, v=True)
