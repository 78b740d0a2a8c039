"""A check in a Python process of its own: it may crash, or import what the contest must not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from retro_common.text import clean

TIMEOUT = 120.0
"""seconds; a check takes a few, more where its libraries are read for the first time"""


class ChildFailed(Exception):
    """The process ended badly, or did not end; the message is its last line of errors.

    Attributes:
        ended: how it ended: `code 1`, `signal 11`, or `no end within 120 s`.
    """

    def __init__(self, why: str, ended: str):
        super().__init__(why)
        self.ended = ended


def ask(arguments: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that `python ARGUMENTS` prints as its last line.

    Raises:
        ChildFailed: the process did not end well within `TIMEOUT`.
    """
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed("without a word", f"no end within {TIMEOUT:g} s") from None
    if done.returncode:
        lines = [words for words in done.stderr.splitlines() if words.strip()]
        why = clean(lines[-1], 300) if lines else "without a word"
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        raise ChildFailed(why, ended)
    return json.loads(done.stdout.splitlines()[-1])
