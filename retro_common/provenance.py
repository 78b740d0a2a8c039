"""Where an artefact comes from: commit, time and versions."""

from __future__ import annotations

import datetime
import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""the folder that holds these packages: a checkout, an image's folder, or site-packages"""
INSTALLED = ROOT.name in ("site-packages", "dist-packages")
"""whether the packages were installed, so that the same Python imports them from anywhere"""
LIBRARIES = ("gymnasium", "numpy", "stable-retro", "torch")


@functools.cache
def git_commit() -> str:
    """The commit of the work tree, with `+changes` if files differ from it.

    `unknown` outside a checkout of this repository. A container has no git: there the image's
    build sets the environment variable `RETRO_COMMIT`.
    """
    if "RETRO_COMMIT" in os.environ:
        return os.environ["RETRO_COMMIT"]
    # Installed packages may lie inside another repository: its commit is not theirs.
    if not (ROOT / ".git").exists():
        return "unknown"
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of those of `LIBRARIES` that are installed, by name."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance() -> dict[str, Any]:
    """`commit`, `created` (UTC, ISO 8601) and `versions`."""
    return {
        "commit": git_commit(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": dict(versions()),
    }
