"""`retro-contest doctor`"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from retro_common.errors import UsageError
from retro_common.text import clean

if TYPE_CHECKING:
    from docker import DockerClient

LEAST_DISK = 5 << 30  # bytes: two images and an evaluation's results fit
BUILD = {
    "retro-contest-environment": "retro-contest environment",
    "retro-contest-agent": "docker build -t {} .",
}


@dataclass(frozen=True)
class Line:
    """One thing that was checked."""

    good: bool
    """whether it is as it should be"""
    subject: str
    """the thing, in a word or two"""
    text: str
    """its state, and how to mend it"""


@dataclass(frozen=True)
class Doctor:
    """Check that this machine can hold a contest: one line for each thing, and how to mend it.

    Looks at the emulator, the free game, the disk, the Docker engine, its images, and at what the
    engine really enforces: a container of the environment image tries what no agent may do. Exits
    with 0 when all is well, else with 1. Nothing is changed.
    """

    environment_image: Annotated[str, arg(metavar="IMAGE")] = "retro-contest-environment"
    """Image of the server."""
    agent_image: Annotated[str, arg(metavar="IMAGE")] = ""
    """Image of an agent that should be here."""

    def run(self) -> int:
        lines = []
        for line in self._lines():
            print(f"{'ok  ' if line.good else 'FAIL'}  {line.subject}: {line.text}", flush=True)
            lines.append(line)
        failed = sum(not line.good for line in lines)
        print(f"{failed} of {len(lines)} need attention" if failed else "all is well")
        return 1 if failed else 0

    def _lines(self) -> Iterator[Line]:
        yield _line("stable-retro", _stable_retro)
        yield _line("Pangolin Dash", _pangolin)
        yield _line("disk", _disk)
        from retro_contest.containers.engine import connect

        try:
            client = connect()
        except UsageError as error:
            yield Line(False, "engine", str(error))
            return
        yield _line("engine", lambda: _engine(client))
        if self.agent_image:
            yield _line("agent image", lambda: _image(client, self.agent_image))
        image = _line("environment image", lambda: _image(client, self.environment_image))
        yield image
        if image.good:
            yield from examine(client, self.environment_image)


class _Failure(Exception):
    """A check failed; the message says what to do."""


def _line(subject: str, check: Callable[[], str]) -> Line:
    try:
        return Line(True, subject, check())
    except (_Failure, UsageError) as error:
        return Line(False, subject, str(error))
    except Exception as error:  # whatever is broken here is what this command is for
        return Line(False, subject, clean(f"{type(error).__name__}: {error}", 300))


def _stable_retro() -> str:
    try:
        import stable_retro
    except Exception as error:
        raise _Failure(
            f"it cannot be imported ({clean(error, 200)}): "
            "pip install -r retro_contest/requirements.txt"
        ) from error
    return f"version {stable_retro.__version__.strip()}"


def _pangolin() -> str:
    from retro_contest.levels import check_playable, load_sets

    sets = [of for name, of in load_sets().items() if name.startswith("pangolin")]
    levels = {level for of in sets for level in of.levels}
    if not levels:
        raise _Failure("levels.yaml has no pangolin set: install the kit again")
    check_playable(levels)
    return f"ROM and {len(levels)} levels in {len(sets)} sets"


def _disk() -> str:
    free = shutil.disk_usage(Path()).free
    text = f"{free / 1e9:.1f} GB free in {Path().resolve()}"
    if free < LEAST_DISK:
        raise _Failure(f"{text}: make room, an evaluation wants {LEAST_DISK / 1e9:.0f} GB")
    return text


def _engine(client: DockerClient) -> str:
    info = client.info()
    text = f"version {info['ServerVersion']}, cgroup v{info.get('CgroupVersion', '1')}"
    if not any(option.startswith("name=seccomp") for option in info.get("SecurityOptions") or []):
        raise _Failure(f"{text}, without seccomp: use an engine and a kernel that have it")
    if info.get("DockerRootDir"):
        with suppress(OSError):  # of another user, or of another machine
            free = shutil.disk_usage(info["DockerRootDir"]).free
            if free < LEAST_DISK:
                raise _Failure(f"{text}, only {free / 1e9:.1f} GB free: docker system prune")
    return text


def _image(client: DockerClient, name: str) -> str:
    from retro_contest.containers.engine import find_image

    build = BUILD.get(name, "docker build -t {} ...").format(name)
    return find_image(client, name, build).short_id.removeprefix("sha256:")


# --- what the engine enforces ---

PROBE_MEMORY = 64 << 20
PROBE_PROCESSES = 32
# Runs in a container of the environment image. Prints one JSON object.
PROBE = r"""
import ctypes, json, os, pathlib, socket

libc = ctypes.CDLL(None, use_errno=True)

def refused(call):
    try:
        call()
    except OSError as error:
        return error.errno == 1
    return False

def io_uring():
    if libc.syscall(ctypes.c_long(425), 1, ctypes.create_string_buffer(256)) < 0:
        raise OSError(ctypes.get_errno(), "")

def limit(*names):
    for name in names:
        path = pathlib.Path("/sys/fs/cgroup", name)
        if path.exists():
            return path.read_text().split()
    return []

found = {"AF_VSOCK": refused(lambda: socket.socket(40, socket.SOCK_STREAM).close()),
         "AF_NETLINK": refused(lambda: socket.socket(16, socket.SOCK_RAW).close()),
         "AF_PACKET": refused(lambda: socket.socket(17, socket.SOCK_RAW).close()),
         "io_uring": refused(io_uring)}
print(json.dumps({
    "refused": found,
    "memory": limit("memory.max", "memory/memory.limit_in_bytes"),
    "processes": limit("pids.max", "pids/pids.max"),
    "processors": limit("cpu.max", "cpu/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_quota_us"),
    "interfaces": sorted(os.listdir("/sys/class/net")),
}))
"""


def examine(client: DockerClient, image: str, security: list[str] | None = None) -> list[Line]:
    """What the engine really enforces, tried in a container.

    Args:
        image: an image with Python.
        security: `security_opt` of the container; None for that of an evaluation's containers.
    """
    from docker.errors import DockerException

    from retro_contest.containers.options import security_options

    try:
        output = client.containers.run(
            image,
            ["python3", "-c", PROBE],
            entrypoint=[],
            remove=True,
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=security_options() if security is None else security,
            user=f"{os.getuid() or 10000}:10001",
            mem_limit=PROBE_MEMORY,
            memswap_limit=PROBE_MEMORY,
            nano_cpus=500_000_000,
            pids_limit=PROBE_PROCESSES,
        )
        found = json.loads(output)
    except (DockerException, OSError, ValueError) as error:
        return [Line(False, "containers", f"none can be started: {clean(error, 300)}")]
    open_ways = [name for name, refused in found["refused"].items() if not refused]
    if open_ways:
        text = (
            f"the engine ignores it: {', '.join(open_ways)} can be used by agents; "
            "evaluate no agents of strangers with this engine (Docker itself applies profiles)"
        )
        seccomp = Line(False, "seccomp profile", text)
    else:
        seccomp = Line(True, "seccomp profile", f"refuses {', '.join(found['refused'])}")
    alone = found["interfaces"] == ["lo"]
    network = "no network" if alone else f"agents see {', '.join(found['interfaces'])}"
    wanted = {
        "memory": str(PROBE_MEMORY),
        "processes": str(PROBE_PROCESSES),
        "processors": "50000",
    }
    loose = [name for name, value in wanted.items() if found[name][:1] != [value]]
    if loose:
        text = (
            f"no limit of {', '.join(loose)}: let the kernel have these cgroup controllers "
            "(rootless engines need systemd to delegate them)"
        )
        limits = Line(False, "limits", text)
    else:
        limits = Line(True, "limits", f"{', '.join(wanted)} are bounded by cgroups")
    return [seccomp, Line(alone, "network", network), limits]
