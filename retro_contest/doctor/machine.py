"""The machine: versions, cores, memory, disk, and the folders that are written to."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from retro_common.files import anonymous_memory
from retro_common.provenance import INSTALLED, ROOT, git_commit, versions
from retro_contest.doctor.findings import Line, Needs, Problem, line
from retro_contest.rom_files import own_roms

CGROUP = Path("/sys/fs/cgroup")
"""the control group of this process, as a container sees it"""
SHARED_BYTES = 8 << 20
"""what a vector environment shares with its processes, and more"""


def check_machine(needs: Needs, purpose: str) -> Iterator[Line]:
    """Lines about everything that is not of the contest."""
    yield line("versions", _versions)
    yield line("stable-retro", _stable_retro)
    yield line("libraries", lambda: _libraries(needs.libraries))
    if purpose in ("demo", "pretrain") and INSTALLED:
        text = f"{purpose} is run from a checkout, and this kit was installed without one"
        yield Line("FAIL", "checkout", text, "clone the repository, then make demo")
    yield line("cores", lambda: _cores(needs.cores), needed=False)
    yield line("memory", lambda: _memory(needs.memory))
    yield line("shared memory", _shared_memory)
    yield line("disk", lambda: _disk(needs.disk))
    yield line("current folder", _current_folder)
    yield line("folder of ROMs", lambda: _folder(own_roms(), "XDG_DATA_HOME"), needed=False)
    cache = _home("XDG_CACHE_HOME", ".cache")
    yield line("cache", lambda: _folder(cache, "XDG_CACHE_HOME"), needed=False)
    state = _home("XDG_STATE_HOME", ".local/state")
    yield line("state", lambda: _folder(state, "XDG_STATE_HOME"), needed=needs.docker)
    yield line("temporary folder", lambda: _folder(Path(tempfile.gettempdir()), "TMPDIR"))


def _versions() -> str:
    known = {"kit": _kit(), **versions()}
    text = ", ".join(f"{name} {version}" for name, version in known.items())
    return f"{text}, {platform.system()} {platform.release()} {platform.machine()}"


def _kit() -> str:
    try:
        version = metadata.version("retro-contest-kit")
    except metadata.PackageNotFoundError:
        version = "not installed"
    commit = git_commit()
    return version if commit == "unknown" else f"{version} ({commit})"


def _stable_retro() -> str:
    try:
        import stable_retro
    except Exception as error:
        raise Problem(
            f"it cannot be imported ({error})", "pip install -r retro_contest/requirements.txt"
        ) from error
    return f"version {stable_retro.__version__.strip()}"


def _libraries(names: tuple[str, ...]) -> str:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise Problem(
            f"{sys.executable} lacks {', '.join(missing)}",
            f"pip install -r {ROOT / 'requirements.txt'}",
        )
    return f"{', '.join(names)} can be found" if names else "those of the contest"


def usable_cores() -> float:
    """Cores that this process may use, by its affinity and its control group."""
    if hasattr(os, "sched_getaffinity"):
        cores = float(len(os.sched_getaffinity(0)))
    else:
        cores = float(os.cpu_count() or 1)
    quota = _cgroup("cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def _cores(wanted: int) -> str:
    cores = usable_cores()
    text = f"{cores:g} that this process may use"
    if cores < wanted:
        raise Problem(
            f"{text}: agent and contest share one, so expect half of the timesteps per second",
            "use --jobs 1",
        )
    return text


def free_memory() -> float | None:
    """GB of memory that can still be used, within the control group's limit; None if unknown."""
    try:
        fields = dict(row.split(":", 1) for row in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit.isdigit() and used.isdigit():
        free = min(free, max(0, int(limit) - int(used)))
    return free / 1e9


def _cgroup(name: str) -> str:
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""


def _memory(wanted: float) -> str:
    free = free_memory()
    if free is None:
        return f"unknown on this system; {wanted:g} GB are needed"
    text = f"{free:.1f} GB free, {wanted:g} needed"
    if free < wanted:
        raise Problem(text, "end other programs, or raise the container's limit")
    return text


def _shared_memory() -> str:
    """Frames lie in anonymous memory; only locks between processes are in /dev/shm."""
    try:
        os.close(anonymous_memory("doctor", SHARED_BYTES))
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        raise Problem(
            f"none can be had ({error.strerror})", "let this container have a /dev/shm"
        ) from None
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        return "can be had"
    return f"can be had; {free / 1e9:.1f} GB free in /dev/shm, of which little is used"


def _disk(wanted: float) -> str:
    free = shutil.disk_usage(Path()).free / 1e9
    text = f"{free:.1f} GB free in {Path().resolve()}, {wanted:g} needed"
    if free < wanted:
        raise Problem(text, "make room, or work in another folder")
    return text


def _current_folder() -> str:
    here = Path().resolve()
    if not _is_writable(here):
        raise Problem(f"{here} cannot be written to", "cd to a folder of yours")
    return f"{here} can be written to"


def _folder(folder: Path, variable: str) -> str:
    if not _is_writable(folder):
        raise Problem(
            f"{folder} cannot be written to", f"export {variable}=FOLDER, which you may write to"
        )
    return f"{folder} can be written to"


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made there, or in the nearest folder above it that there is."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _home(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default)
