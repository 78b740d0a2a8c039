"""What each container of an evaluation may do: the options that the engine gets.

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

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from retro_common.errors import UsageError
from retro_contest.containers import outputs
from retro_contest.containers.limits import Limits
from retro_contest.levels import Level, rom_file
from retro_contest.runs.match import Run
from retro_contest.runs.processes import serve_command, server_variables

if TYPE_CHECKING:
    from docker.models.volumes import Volume

SECCOMP_FILE = Path(__file__).with_name("seccomp.json")

AGENT = 10001  # user of an agent whose image names none that it may have; group of every agent
SHARED_GROUP = 10002  # group of the socket and of the frame file
SOCKET_VOLUME = "size=4m,nr_inodes=16,mode=2750"  # only the server may create files in it
OUT_VOLUME = f"size={outputs.MAX_BYTES},nr_inodes={outputs.MAX_FILES},mode=1777"


def of_every_container(name: str) -> dict[str, Any]:
    """Options that all three containers have; `name` is its host name."""
    return {
        "hostname": name,
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": security_options(),
        "init": True,  # reaps children, and lets SIGTERM end a program that does not handle it
        "stop_signal": "SIGTERM",
        "healthcheck": {"test": ["NONE"]},
        # For `docker logs` while it runs; the log that is kept comes through ContainerSide.
        "log_config": LogConfig(type="local", config={"max-size": "1m", "max-file": "2"}),
    }


def of_keeper(out: Volume) -> dict[str, Any]:
    return {
        "entrypoint": ["sleep", "infinity"],
        "command": [],
        "mounts": [_mount(out, "/out", read_only=True)],
        "mem_limit": "64m",
        "pids_limit": 16,
    }


def of_server(run: Run, uid: int, socket: Volume) -> dict[str, Any]:
    """Options of the container that serves the level, as user `uid`."""
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


@dataclass(frozen=True)
class AgentImage:
    """What an agent's container takes from its image."""

    id: str
    """not its name, which may mean another image later"""
    directory: PurePosixPath
    """working directory"""
    volumes: Sequence[str]
    """folders that it declares as volumes"""
    user: str
    """`UID:GID` that it runs as"""


def of_agent(
    run: Run, image: AgentImage, limits: Limits, socket: Volume, out: Volume
) -> dict[str, Any]:
    socket_path = str(image.directory / "tmp/sock")
    out_path = str(image.directory / "out")
    # A volume that an image declares would be a folder on the disk, without a limit.
    tmpfs = {path: "size=64m,mode=1777" for path in {"/tmp", *image.volumes}}
    for path in (socket_path, out_path):
        tmpfs.pop(path, None)
    return {
        "user": image.user,
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
        "device_requests": device_requests(limits.gpus),
    }


def _level_mounts(level: Level) -> Iterator[Mount]:
    """The files of this level and of no other, read-only. Its ROM may lie or point elsewhere."""
    rom = rom_file(level)
    files = [file for file in sorted(level.folder.iterdir()) if file.stem != "rom"]
    for file in files if rom is None else [*files, rom]:
        another_state = file.suffix == ".state" and file.stem != level.state
        if file.is_file() and not another_state:
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


def agent_user(wanted: str, server_uid: int) -> str:
    """The user that an agent runs as.

    A name could mean any user in the image's own `/etc/passwd`, so only a number counts; and
    neither root nor the owner of the socket's directory. The group is always the same: a number
    alone would come with group 0, and an image could name the server's.
    """
    match = re.fullmatch(r"(\d{1,9})(:\d{1,9})?", wanted, re.ASCII)
    uid = int(match[1]) if match and int(match[1]) not in (0, server_uid) else AGENT
    return f"{uid}:{AGENT}"


def device_requests(gpus: str) -> list[DeviceRequest]:
    """GPUs as the engine wants them. Raises UsageError for a text that names none."""
    if not gpus:
        return []
    capabilities = [["gpu"]]
    if gpus.startswith("device="):
        ids = gpus.removeprefix("device=").split(",")
        return [DeviceRequest(device_ids=ids, capabilities=capabilities)]
    if gpus != "all" and not re.fullmatch(r"[1-9]\d*", gpus):
        raise UsageError(f"--gpus '{gpus}' is neither all, nor a number, nor device=0,1")
    return [DeviceRequest(count=-1 if gpus == "all" else int(gpus), capabilities=capabilities)]
