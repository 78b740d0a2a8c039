"""A Ray cluster (https://docs.ray.io): the connection to it, and what each node must have.

Ray is imported only where somebody asks for a cluster.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gym_remote import __version__
from retro_common.errors import UsageError
from retro_common.provenance import ROOT, git_commit, versions
from retro_common.text import clean
from retro_contest.levels import Level
from retro_contest.runs.agent_files import digest

if TYPE_CHECKING:
    from ray import ObjectRef

LOCAL = "local"
"""the address of a cluster that is started on this machine alone, and ends with the evaluation"""
STORE_BYTES = 256 << 20
"""size of a local cluster's object store; what passes through it are files of runs, and rollouts"""

PROBE = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"
PROBE_SECONDS = 60.0

_connecting = threading.Lock()


def connect(address: str) -> None:
    """Connect this process to a cluster, unless it is connected already.

    Args:
        address: `HOST:PORT` of a cluster that this machine belongs to, or `local`.

    Raises:
        UsageError: Ray is not installed, nothing answers there, this machine does not belong to the
            cluster, or the cluster has other versions of Ray or Python.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("--cluster needs Ray: pip install 'retro-contest-kit[cluster]'") from None
    options: dict[str, Any] = {}
    if address == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options = {"num_cpus": os.cpu_count(), "object_store_memory": STORE_BYTES}
        options["include_dashboard"] = False
    with _connecting:
        if ray.is_initialized():
            return
        if address != LOCAL:
            _check_answers(address)
        from ray.exceptions import AuthenticationError

        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (RuntimeError, ConnectionError, ValueError, AuthenticationError) as error:
            raise UsageError(f"--cluster {address}: {clean(error, 400)}") from None


def disconnect() -> None:
    """Leave the cluster; a local one ends."""
    import ray

    ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise a UsageError where no cluster answers.

    Ray itself would try for many minutes, and print a warning each time. So another process tries.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise UsageError(f"--cluster '{clean(address)}' is neither HOST:PORT nor '{LOCAL}'")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UsageError(
            f"--cluster {address}: nothing answers there ({error}): "
            "is the head started (ray start --head), and its port open?"
        ) from None
    command = [sys.executable, "-c", PROBE, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        raise UsageError(f"--cluster {address}: what answers there is no Ray cluster") from None
    if "Unauthenticated" in done.stderr:
        raise UsageError(
            f"--cluster {address}: it asks for a token: RAY_AUTH_MODE=token, and in "
            "~/.ray/auth_token that of the head (ray get-auth-token)"
        )
    if done.returncode:
        why = clean(done.stderr.rpartition("Error: ")[2], 400)
        raise UsageError(f"--cluster {address}: {why}")


def processors() -> list[float]:
    """The processors of each node that lives."""
    import ray

    return [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]


def fetch(reference: ObjectRef) -> Any:
    """The result of a task; waits for it.

    Raises:
        UsageError: an object store or its disk is full, or a node cannot import the kit.
        Exception: whatever the task raised, as the task raised it.
        ray.exceptions.RayError: the task or its result was lost.
    """
    import ray
    from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RaySystemError, RayTaskError

    try:
        return ray.get(reference)
    except RaySystemError as error:  # what was sent could not be unpickled, for example
        why = clean(str(error).rpartition("System error: ")[2])
        raise UsageError(f"a node failed (can its Python import the kit?): {why}") from None
    except (RayTaskError, ObjectStoreFullError, OutOfDiskError) as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, ObjectStoreFullError | OutOfDiskError):
            raise UsageError(
                "an object store of the cluster is full: give its nodes more "
                f"(ray start --object-store-memory BYTES): {clean(cause)}"
            ) from None
        raise cause from None


def whole_gpus(text: str) -> int:
    """The number of GPUs that a run reserves on its node, from `gpus` as `evaluate` takes it.

    Raises:
        UsageError: it is no number: `all` and devices belong to one machine.
    """
    if text and not (text.isascii() and text.isdecimal()):
        raise UsageError(f"gpus: on a cluster a number, not '{clean(text)}'")
    return int(text or 0)


# --- what a node must have ---


def portable(path: Path) -> Path:
    """A path as a node is told it: relative to the kit's folder, if it lies in that."""
    path = path.resolve()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def portable_level(level: Level) -> Level:
    """A level with the path of its game as a node is told it."""
    if level.integrations is None:
        return level
    return replace(level, integrations=portable(level.integrations))


def local_level(level: Level) -> Level:
    """A level of `portable_level` with the path on this node."""
    if level.integrations is None:
        return level
    return replace(level, integrations=ROOT / level.integrations)


@dataclass(frozen=True)
class Needs:
    """What a node must have as the head has it, so that both would play in the same way."""

    kit: dict[str, str]
    """version and commit of the kit, and versions of Python and the libraries"""
    levels: tuple[tuple[Level, str], ...]
    """portable levels, and the hash of each one's game"""
    paths: tuple[tuple[Path, str], ...]
    """further portable files and folders, and their hashes"""

    @classmethod
    def of(cls, levels: Iterable[Level], paths: Iterable[Path] = ()) -> Needs:
        """What the head itself has."""
        return cls(
            _kit(),
            tuple((portable_level(level), digest(level.folder)) for level in levels),
            tuple((portable(path), digest(path)) for path in paths),
        )

    def check(self) -> None:
        """Compare with this node.

        Raises:
            UsageError: something is missing or differs; the message names it and the node.
        """
        where = f"node {platform.node()}"
        for name, wanted in self.kit.items():
            here = _kit().get(name, "missing")
            if here != wanted:
                raise UsageError(f"{where}: {name} is {here} there, but {wanted} on the head")
        folders = [(local_level(level).folder, wanted) for level, wanted in self.levels]
        for path, wanted in [*folders, *((ROOT / path, wanted) for path, wanted in self.paths)]:
            if not path.exists():
                raise UsageError(f"{where}: {path} is missing there")
            if digest(path) != wanted:
                raise UsageError(f"{where}: the content of {path} is not the head's")


def _kit() -> dict[str, str]:
    return {"the kit's version": __version__, "the kit's commit": git_commit(), **versions()}
