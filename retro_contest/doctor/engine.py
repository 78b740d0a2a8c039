"""The Docker engine: reached, usable, its images, and what it really enforces."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.doctor.findings import Line, Problem, line

if TYPE_CHECKING:
    from docker import DockerClient

LEAST_DISK = 5 << 30
"""bytes: two images and an evaluation's results fit"""
SOCKET = "/var/run/docker.sock"
"""where the engine of this machine listens"""
BUILD = {
    "retro-contest-environment": "retro-contest environment",
    "retro-contest-agent": "docker build -t {} .",
}


def check_engine(environment_image: str, agent_image: str, *, needed: bool) -> Iterator[Line]:
    """Lines about the engine, its images and its containers. Changes nothing.

    Args:
        environment_image: image of the server.
        agent_image: image of an agent that should be here; nothing for none.
        needed: whether the purpose fails without the engine.
    """
    for each in _lines(environment_image, agent_image):
        yield each if needed or each.good else replace(each, state="note")


def _lines(environment_image: str, agent_image: str) -> Iterator[Line]:
    from retro_contest.containers.engine import connect

    try:
        client = connect()
    except UsageError as error:
        yield Line("FAIL", "engine", str(error), _start())
        return
    yield line("engine", lambda: _engine(client))
    yield line("program docker", _program)
    yield line("engine's GPU", lambda: _gpu(client), needed=False)
    if agent_image:
        yield line("agent image", lambda: _image(client, agent_image))
    image = line("environment image", lambda: _image(client, environment_image))
    yield image
    if image.good:
        yield from examine(client, environment_image)


def _start() -> str:
    """What makes an engine answer, as far as that can be known from here."""
    if os.environ.get("DOCKER_HOST"):
        return "correct DOCKER_HOST, or unset it for the engine of this machine"
    if shutil.which("dockerd") is None and not os.path.exists(SOCKET):
        return "install Docker (apt install docker.io)"
    if os.path.exists(SOCKET) and not os.access(SOCKET, os.W_OK):
        return "sudo usermod -aG docker $USER, then log in again"
    return "sudo systemctl start docker"


def _engine(client: DockerClient) -> str:
    info = client.info()
    text = f"version {info['ServerVersion']}, cgroup v{info.get('CgroupVersion', '1')}"
    if not any(option.startswith("name=seccomp") for option in info.get("SecurityOptions") or []):
        raise Problem(f"{text}, without seccomp", "use an engine and a kernel that have it")
    if info.get("DockerRootDir"):
        with suppress(OSError):  # of another user, or of another machine
            free = shutil.disk_usage(info["DockerRootDir"]).free
            if free < LEAST_DISK:
                raise Problem(f"{text}, only {free / 1e9:.1f} GB free", "docker system prune")
    return text


def _program() -> str:
    found = shutil.which("docker")
    if found is None:
        raise Problem(
            "not found, and it builds images", "install your distribution's docker-cli or docker.io"
        )
    return found


def _gpu(client: DockerClient) -> str:
    info = client.info()
    runtimes = "nvidia" in (info.get("Runtimes") or {})
    devices = [device.get("ID", "") for device in info.get("DiscoveredDevices") or []]
    if runtimes or any("gpu" in device for device in devices):
        return "containers can have GPUs (evaluate --gpus)"
    if shutil.which("nvidia-smi"):
        raise Problem(
            "this machine has NVIDIA's driver, but containers get no GPU",
            "install the NVIDIA Container Toolkit, then restart the engine",
        )
    return "none to give to containers"


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
        return [Line("FAIL", "containers", f"none can be started: {clean(error, 300)}")]
    open_ways = [name for name, refused in found["refused"].items() if not refused]
    if open_ways:
        seccomp = Line(
            "FAIL",
            "seccomp profile",
            f"the engine ignores it, {', '.join(open_ways)} can be used by agents",
            "evaluate no agents of strangers with this engine (Docker itself applies profiles)",
        )
    else:
        seccomp = Line("ok", "seccomp profile", f"refuses {', '.join(found['refused'])}")
    alone = found["interfaces"] == ["lo"]
    network = "no network" if alone else f"agents see {', '.join(found['interfaces'])}"
    wanted = {
        "memory": str(PROBE_MEMORY),
        "processes": str(PROBE_PROCESSES),
        "processors": "50000",
    }
    loose = [name for name, value in wanted.items() if found[name][:1] != [value]]
    if loose:
        limits = Line(
            "FAIL",
            "limits",
            f"no limit of {', '.join(loose)}",
            "let the kernel have these cgroup controllers (rootless engines need systemd to "
            "delegate them)",
        )
    else:
        limits = Line("ok", "limits", f"{', '.join(wanted)} are bounded by cgroups")
    return [seccomp, Line("ok" if alone else "FAIL", "network", network), limits]
