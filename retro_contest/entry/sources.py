"""What a `docker build` of a folder sees, and the commit that it is of.

An image names the commit it was built from. That is true only if everything that the build could
put into it is in that commit: files that git does not know, ignored ones too, are not.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from docker.utils.build import exclude_paths

from retro_common.errors import UsageError
from retro_common.files import read_text

TEXT_BYTES = 1 << 20  # of a Dockerfile or a .dockerignore
UNKNOWN = "unknown"
CHANGES = "+changes"


@dataclass(frozen=True)
class Revision:
    """The commit of a folder."""

    commit: str
    """12 digits of it, with `+changes` if the folder differs from it; `unknown` outside of git"""
    changes: tuple[str, ...] = ()
    """files that a build would see and that differ from the commit, or are in none"""


def arguments(dockerfile: Path) -> dict[str, str]:
    """The build arguments that a Dockerfile declares before its first stage or in one, by name.

    The value is the first default, which is empty where there is none.

    Raises:
        UsageError: the file cannot be read.
    """
    text = read_text(dockerfile, TEXT_BYTES, follow=True)
    found: dict[str, str] = {}
    for name, default in re.findall(r"(?mi)^\s*ARG\s+(\w+)(?:=(\S*))?", text):
        found[name] = found.get(name) or default.strip("\"'")
    return found


def build_files(folder: Path) -> set[str]:
    """The files that a build of a folder sees, relative to it: all but those of `.dockerignore`."""
    ignored = folder / ".dockerignore"
    lines = read_text(ignored, TEXT_BYTES, follow=True).splitlines() if ignored.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    paths = exclude_paths(str(folder.resolve()), patterns)
    return {path for path in paths if not (folder / path).is_dir() or (folder / path).is_symlink()}


def revision(folder: Path, exempt: Iterable[str] = ()) -> Revision:
    """The commit of a folder, and what in it is in no commit.

    Args:
        exempt: folders in it whose files do not count, because the image has hashes of them.
    """
    commit = _git(folder, "rev-parse", "--short=12", "HEAD").strip()
    if not commit:
        return Revision(UNKNOWN)
    changed = _git(folder, "diff", "--name-only", "--relative", "-z", "HEAD", "--", ".")
    tracked = set(_git(folder, "ls-files", "-z").split("\0"))
    beginnings = tuple(f"{name}/" for name in exempt)
    untracked = {
        name
        for name in build_files(folder) - tracked
        if not name.startswith((*beginnings, ".git/"))
    }
    changes = (*(name for name in changed.split("\0") if name), *sorted(untracked))
    return Revision(commit + CHANGES if changes else commit, changes)


def _git(folder: Path, *words: str) -> str:
    """Output of git in a folder; empty where it fails: no git, no repository, no commit."""
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def check_dockerfile(dockerfile: Path) -> None:
    """Raise UsageError if there is no such Dockerfile."""
    if not dockerfile.is_file():
        raise UsageError(
            f"no {dockerfile.name} in {dockerfile.parent}: retro-contest new NAME writes a folder "
            "with one, and --image takes an image that is built"
        )
