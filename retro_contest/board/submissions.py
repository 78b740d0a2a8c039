"""The record of a submission, `submission.json` beside the `summary.json` of its check.

`submit.sh` writes it with `python -m retro_contest.board.submissions`; the leaderboard reads it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import tyro

from retro_common.config import YAML_BYTES, parse_yaml
from retro_common.errors import UsageError
from retro_common.files import read_json_object, read_plain, write_json
from retro_common.text import clean
from retro_contest.runs.results import SUMMARY_FILE

RECORD_FILE = "submission.json"
CHECKED = ("score", "level_set", "timesteps", "runs", "complete")
"""what a record repeats from the summary of the check"""


@dataclass(frozen=True)
class Args:
    """Write the record of a submission whose check is in a results folder."""

    results: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Results folder of the check."""
    image: str
    """The image's name and tag."""
    commit: str
    """The commit that the image was built from."""
    bundle: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The bundle that the image holds."""
    digest: str = ""
    """The image's digest in the registry; nothing for an image that was not pushed."""


def write_record(args: Args) -> dict[str, Any]:
    """Write `submission.json`; returns its content.

    Raises:
        UsageError: the check's summary or the bundle's configuration cannot be read.
    """
    path = args.results / SUMMARY_FILE
    summary = read_json_object(path)
    if missing := [key for key in CHECKED if key not in summary]:
        raise UsageError(f"{path} is not the summary of an evaluation: it has no {missing[0]!r}")
    path = args.bundle / "config.yaml"
    content = read_plain(path, YAML_BYTES)
    try:
        config = parse_yaml(content.decode())
    except ValueError as error:
        raise UsageError(f"cannot read {path}: {clean(error)}") from None
    record = {
        "image": args.image,
        "digest": args.digest or None,
        "commit": args.commit,
        "bundle_sha256": hashlib.sha256(content).hexdigest(),
        "config": config.get("agent") if isinstance(config, dict) else None,
        "check": {key: summary[key] for key in CHECKED},
        "submitted": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(args.results / RECORD_FILE, record)
    return record


def read_record(results: Path) -> dict[str, Any] | None:
    """The record in a results folder; None if its agent was not submitted.

    Raises:
        UsageError: it is damaged, or not a plain file.
    """
    path = results / RECORD_FILE
    return read_json_object(path) if os.path.lexists(path) else None


def main() -> int:
    try:
        args = tyro.cli(Args, prog="python -m retro_contest.board.submissions")
        write_record(args)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.results / RECORD_FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
