"""The record of a submission, `submission.json` beside the `summary.json` of its check.

`retro-contest submit` writes it; the board reads it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retro_common.config import YAML_BYTES, parse_yaml
from retro_common.errors import UsageError
from retro_common.files import read_json_object, read_plain, write_json
from retro_common.text import clean
from retro_contest.runs.results import SUMMARY_FILE

RECORD_FILE = "submission.json"
CHECKED = ("score", "level_set", "timesteps", "runs", "complete")
"""what a record repeats from the summary of the check"""


@dataclass(frozen=True)
class Bundle:
    """What a record says about the bundle in an image; nothing if there is none."""

    sha256: str | None = None
    """SHA-256 of its config.yaml, which holds those of all its weights"""
    config: Any = None
    """the agent's configuration in it"""

    @classmethod
    def read(cls, folder: Path) -> Bundle:
        """The bundle in a folder.

        Raises:
            UsageError: its configuration cannot be read.
        """
        path = folder / "config.yaml"
        content = read_plain(path, YAML_BYTES)
        try:
            config = parse_yaml(content.decode())
        except ValueError as error:
            raise UsageError(f"cannot read {path}: {clean(error)}") from None
        agent = config.get("agent") if isinstance(config, dict) else None
        return cls(hashlib.sha256(content).hexdigest(), agent)


NO_BUNDLE = Bundle()


def write_record(
    results: Path, *, image: str, commit: str, bundle: Bundle = NO_BUNDLE, digest: str = ""
) -> dict[str, Any]:
    """Write `submission.json`; returns its content.

    Args:
        results: results folder of the check.
        image: the image's name and tag.
        commit: the commit that it was built from.
        bundle: the bundle that it holds.
        digest: its digest in the registry; nothing for an image that was not pushed.

    Raises:
        UsageError: the check's summary cannot be read.
    """
    path = results / SUMMARY_FILE
    summary = read_json_object(path)
    if missing := [key for key in CHECKED if key not in summary]:
        raise UsageError(f"{path} is not the summary of an evaluation: it has no {missing[0]!r}")
    record = {
        "image": image,
        "digest": digest or None,
        "commit": commit,
        "bundle_sha256": bundle.sha256,
        "config": bundle.config,
        "check": {key: summary[key] for key in CHECKED},
        "submitted": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(results / RECORD_FILE, record)
    return record


def read_record(results: Path) -> dict[str, Any] | None:
    """The record in a results folder; None if its agent was not submitted.

    Raises:
        UsageError: it is damaged, or not a plain file.
    """
    path = results / RECORD_FILE
    return read_json_object(path) if os.path.lexists(path) else None
