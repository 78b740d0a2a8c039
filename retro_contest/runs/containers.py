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

All containers run under a seccomp profile of this kit's own, `seccomp.json`, because the engine's
default profile depends on the engine: with Docker 20.10 AF_VSOCK, a channel to the hypervisor that
no network namespace cuts, and io_uring are open. It is a list of what is allowed, as the engine's
own is: a system call that a future kernel adds is refused until somebody has looked at it. A list
of the denied ones would be easier on unusual agents, but is never complete. The list is generous
where the kernel serves every program (files, memory, threads, signals, timers), and it refuses what
only administrators, debuggers and sandboxes use. Programs of 32 bits cannot run: their system call
for sockets hides its arguments from a filter.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, NotFound
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.levels import Level, rom_file
from retro_contest.runs import engine, lease, outputs
from retro_contest.runs.limits import check as check_limits
from retro_contest.runs.match import Run, Side
from retro_contest.runs.processes import (
    LINE_LIMIT,
    LOG_LIMIT,
    STOP_SECONDS,
    last_line,
    serve_command,
    server_variables,
)
from retro_contest.runs.serve import STATUS_FILE
from retro_contest.runs.supervisor import BoundedLog

if TYPE_CHECKING:
    from docker.models.containers import Container
    from docker.models.volumes import Volume

SECCOMP_FILE = Path(__file__).with_name("seccomp.json")
ENVIRONMENT_IMAGE = "retro-contest-environment"
MEMORY = "4g"  # of an agent, its files in /tmp and in its output folder included

ROOT_SERVER = 10000  # user of the environment where the evaluator is root; else the evaluator's
AGENT = 10001  # user of an agent whose image names none that it may have; group of every agent
SHARED_GROUP = 10002  # group of the socket and of the frame file
SOCKET_OPTIONS = "size=4m,nr_inodes=16,mode=2750"  # only the server may create files in it
OUT_OPTIONS = f"size={outputs.MAX_BYTES},nr_inodes={outputs.MAX_FILES},mode=1777"
ULIMITS = {"core": 0, "nofile": 4096}
READY_TIMEOUT = 60.0  # seconds that a server gets to load its level
CANNOT_START = 127  # exit code of an agent whose container could not be started, as in a shell
ENGINE_GONE = 125  # "exit code" of a container whose engine does not answer any more
OOM_SECONDS = 3.0  # within these the engine says that a killed container was out of memory


@dataclass(frozen=True)
class Limits:
    """The limits of one agent."""

    cpus: float
    """processors"""
    memory: str = MEMORY
    """bytes, with the suffixes k, m and g"""
    processes: int = 512
    """processes and threads"""
    gpus: str = ""
    """`all`, a number, `device=0,1`, or nothing: as in `docker run --gpus`"""


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
        memory: str = MEMORY,
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
        self.image = found.id  # not its name, which may mean another image later
        self.environment = engine.find_image(
            self.client,
            environment,
            "retro-contest environment builds retro-contest-environment",
        ).id
        config = found.attrs["Config"]
        self.directory = PurePosixPath(config.get("WorkingDir") or "/")
        self.volumes = sorted(config.get("Volumes") or {})
        self.security = security_options()
        self.results = results.resolve()
        self.server_uid = os.getuid() or ROOT_SERVER
        wanted = config.get("User") or "root"
        self.user = wanted if image_user else _user(wanted, self.server_uid)
        machine = self.client.info()
        self.limits = Limits(machine["NCPU"] / jobs if cpus is None else cpus, memory, gpus=gpus)
        check_limits(
            self.limits.cpus,
            memory,
            machine_cpus=machine["NCPU"],
            machine_memory=machine["MemTotal"],
        )
        _device_requests(gpus)
        self.rules = (
            f"each agent: user {self.user}, {self.limits.cpus:g} CPUs, {memory} memory, "
            f"{self.limits.processes} processes, {f'GPUs: {gpus}' if gpus else 'no GPU'}, "
            "no network"
        )
        if self.user.split(":")[0] != wanted.split(":")[0]:
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
        self.agent: Side = _NotStarted()
        try:
            self._start()
        except BaseException:
            self._clean_up.close()
            raise

    def _start(self) -> None:
        runner, run = self._runner, self._run
        _give(run.folder, runner.server_uid)
        self._clean_up.callback(_give, run.folder, os.getuid())
        uid = f"uid={runner.server_uid},gid={SHARED_GROUP}"
        socket = self._volume("socket", f"{SOCKET_OPTIONS},{uid}")
        out = self._volume("out", OUT_OPTIONS)
        self._keeper = self._create("keeper", runner.environment, **_keeper_options(out))
        try:
            self._keeper.start()
        except APIError as error:
            # The first container of all: an engine that refuses it refuses every one.
            raise UsageError(
                f"the engine cannot start a container: {clean(error.explanation, LINE_LIMIT)} "
                "(retro-contest doctor looks for the reason)"
            ) from error
        server = self._create("environment", runner.environment, **_server_options(self, socket))
        self.server = ContainerSide(server, run.folder / "server.log")
        self._clean_up.callback(self.server.stop)
        self.server.start()
        if not self._ready():
            self.server.stop()
            return
        try:
            agent = self._create("agent", runner.image, **_agent_options(self, socket, out))
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

    @property
    def runner(self) -> ContainerRunner:
        return self._runner

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

    def _volume(self, name: str, options: str) -> Volume:
        name = f"{self._name}-{name}"
        self._lease.note(name)
        volume = self._runner.client.volumes.create(
            name,
            driver="local",
            driver_opts={"type": "tmpfs", "device": "tmpfs", "o": options},
            labels=self._labels,
        )
        self._clean_up.callback(volume.remove, force=True)
        return volume

    def _create(self, name: str, image: str, **options: Any) -> Container:
        self._lease.note(f"{self._name}-{name}")
        container = self._runner.client.containers.create(
            image,
            name=f"{self._name}-{name}",
            hostname=name,
            labels=self._labels,
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=self._runner.security,
            init=True,  # reaps children, and lets SIGTERM end a program that does not handle it
            stop_signal="SIGTERM",
            healthcheck={"test": ["NONE"]},
            # For `docker logs` while it runs; the log that is kept comes through ContainerSide.
            log_config=LogConfig(type="local", config={"max-size": "1m", "max-file": "2"}),
            **options,
        )
        self._clean_up.callback(_remove, container)
        return container


class ContainerSide:
    """One container: its exit code, and its output in a bounded log file."""

    def __init__(self, container: Container, log: Path) -> None:
        self._container = container
        self._log = log
        self._code: int | None = None
        self._started = False
        self._ended = threading.Event()
        self._copier = threading.Thread(target=self._copy, daemon=True)

    def start(self) -> None:
        """Start it. Raises APIError if the engine cannot, for example without a program to run."""
        self._output = self._container.attach(stream=True)
        self._container.start()
        self._started = True
        self._copier.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def poll(self) -> int | None:
        return self._code

    def wait(self, seconds: float) -> int | None:
        self._ended.wait(seconds)
        return self._code

    def stop(self) -> None:
        if not self._started or self._ended.is_set():
            return
        with contextlib.suppress(NotFound):
            self._container.stop(timeout=round(STOP_SECONDS))
        self._ended.wait(STOP_SECONDS)
        self._copier.join(STOP_SECONDS)

    def last_line(self) -> str:
        self._copier.join(STOP_SECONDS)
        if self._out_of_memory():
            return "it was out of memory"
        return last_line(self._log)

    def _out_of_memory(self) -> bool:
        """The engine reports the end and its reason separately: the reason may come later."""
        deadline = time.monotonic() + OOM_SECONDS
        with contextlib.suppress(DockerException, OSError):
            while self._code == 137:
                self._container.reload()
                if self._container.attrs["State"]["OOMKilled"] or time.monotonic() > deadline:
                    return self._container.attrs["State"]["OOMKilled"]
                time.sleep(0.1)
        return False

    def _wait(self) -> None:
        try:
            self._code = self._container.wait(timeout=None)["StatusCode"]
        except (DockerException, OSError):
            self._code = ENGINE_GONE
        self._ended.set()

    def _copy(self) -> None:
        log = BoundedLog(str(self._log), LOG_LIMIT)
        try:
            for data in self._output:
                log.write(data)
        except (DockerException, OSError, ValueError):
            log.write(b"[the engine broke off the log]\n")
        finally:
            log.finish()


class _NotStarted:
    """An agent that was not started, or could not be."""

    def __init__(self, code: int | None = None, line: str = "") -> None:
        self._code = code
        self._line = line

    def poll(self) -> int | None:
        return self._code

    def wait(self, seconds: float) -> int | None:
        time.sleep(seconds)
        return self._code

    def stop(self) -> None:
        pass

    def last_line(self) -> str:
        return self._line


def _keeper_options(out: Volume) -> dict[str, Any]:
    return {
        "entrypoint": ["sleep", "infinity"],
        "command": [],
        "mounts": [_mount(out, "/out", read_only=True)],
        "mem_limit": "64m",
        "pids_limit": 16,
    }


def _server_options(match: ContainerMatch, socket: Volume) -> dict[str, Any]:
    run, uid = match.run, match.runner.server_uid
    inside = replace(
        run,
        level=Level(run.level.game, run.level.state, Path("/levels")),
        folder=Path("/results"),
    )
    results = Mount("/results", str(run.folder.resolve()), type="bind")
    return {
        "user": f"{uid}:{uid}",
        "group_add": [SHARED_GROUP],
        # Files of the server are for the group, too: the agent writes to socket and frame file.
        "entrypoint": ["sh", "-c", 'umask 002; exec "$@"', "sh"],
        "command": ["python", *serve_command(inside, Path("/socket"))[1:]],
        "mounts": [_mount(socket, "/socket"), results, *_level_mounts(run.level)],
        "tmpfs": {"/tmp": "size=64m,mode=1777"},
        "environment": {"HOME": "/tmp", **server_variables(run)},
        "mem_limit": "2g",
        "memswap_limit": "2g",
        "pids_limit": 128,
        # Where processors are short, the server comes first: the clock of the run is running.
        "cpu_shares": 2048,
    }


def _agent_options(match: ContainerMatch, socket: Volume, out: Volume) -> dict[str, Any]:
    run, runner = match.run, match.runner
    limits = runner.limits
    socket_path = str(runner.directory / "tmp/sock")
    out_path = str(runner.directory / "out")
    # A volume that an image declares would be a folder on the disk, without a limit.
    tmpfs = {path: "size=64m,mode=1777" for path in {"/tmp", *runner.volumes}}
    for path in (socket_path, out_path):
        tmpfs.pop(path, None)
    return {
        "user": runner.user,
        "group_add": [SHARED_GROUP],
        "mounts": [_mount(socket, socket_path), _mount(out, out_path)],
        "tmpfs": tmpfs,
        "environment": {
            "HOME": "/tmp",
            "RETRO_CONTEST_SOCKET": socket_path,
            "RETRO_CONTEST_OUT": out_path,
            "RETRO_CONTEST_SEED": str(run.seed),
            "RETRO_CONTEST_TIMESTEPS": str(run.rules.timesteps),
            "RETRO_CONTEST_WALLCLOCK": f"{run.rules.wallclock:g}",
        },
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "shm_size": "64m",
        "nano_cpus": round(limits.cpus * 1e9),
        "cpu_shares": 1024,
        "pids_limit": limits.processes,
        "ulimits": [
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="nofile", soft=4096, hard=4096),
        ],
        "device_requests": _device_requests(limits.gpus),
    }


def _level_mounts(level: Level) -> Iterator[Mount]:
    """The files of this level and of no other, read-only. Its ROM may be a link to elsewhere."""
    rom = rom_file(level)
    for file in sorted(level.folder.iterdir()):
        another_state = file.suffix == ".state" and file.stem != level.state
        if file.is_file() and not another_state and (file.stem != "rom" or file == rom):
            yield Mount(
                f"/levels/{level.game}/{file.name}",
                str(file.resolve()),
                type="bind",
                read_only=True,
            )


def _mount(volume: Volume, target: str, *, read_only: bool = False) -> Mount:
    # no_copy: files that an image holds at that path stay out of the volume.
    return Mount(target, volume.name, type="volume", read_only=read_only, no_copy=True)


def security_options() -> list[str]:
    """The engine's `security_opt` for every container of an evaluation."""
    profile = json.dumps(json.loads(SECCOMP_FILE.read_text()), separators=(",", ":"))
    return ["no-new-privileges", f"seccomp={profile}"]


def _user(wanted: str, server_uid: int) -> str:
    """The user that an agent runs as.

    A name could mean any user in the image's own `/etc/passwd`, so only a number counts; and
    neither root nor the owner of the socket's directory. The group is always the same: a number
    alone would come with group 0, and an image could name the server's.
    """
    match = re.fullmatch(r"(\d{1,9})(:\d{1,9})?", wanted, re.ASCII)
    uid = int(match[1]) if match and int(match[1]) not in (0, server_uid) else AGENT
    return f"{uid}:{AGENT}"


def _device_requests(gpus: str) -> list[DeviceRequest]:
    if not gpus:
        return []
    capabilities = [["gpu"]]
    if gpus.startswith("device="):
        ids = gpus.removeprefix("device=").split(",")
        return [DeviceRequest(device_ids=ids, capabilities=capabilities)]
    if gpus != "all" and not re.fullmatch(r"[1-9]\d*", gpus):
        raise UsageError(f"--gpus '{gpus}' is neither all, nor a number, nor device=0,1")
    return [DeviceRequest(count=-1 if gpus == "all" else int(gpus), capabilities=capabilities)]


def _cannot_start(error: APIError, limits: Limits, log: Path) -> _NotStarted:
    """An image that cannot run counts against the agent; missing GPUs are a mistake of the host."""
    line = clean(error.explanation, LINE_LIMIT)
    if limits.gpus and ("device driver" in line or "nvidia" in line):
        raise UsageError(f"--gpus {limits.gpus}: {line}")
    log.write_text(f"{line}\n")
    return _NotStarted(CANNOT_START, line)


def _give(folder: Path, uid: int) -> None:
    """Give a folder and its content to a user; only root can do this, and only root needs to."""
    if os.getuid() != 0:
        return
    for path in outputs.walk(folder):
        os.chown(path, uid, uid, follow_symlinks=False)


def _remove(container: Container) -> None:
    with contextlib.suppress(NotFound):
        container.remove(force=True, v=True)
