"""Writes the board's site whenever it would look otherwise: another job has ended, a final was
revealed, an entrant was banned.

A process of its own writes it, so that the server goes on answering: thousands of runs take a
minute. It is written into a new folder, and shown when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from retro_common.files import remove_tree
from retro_contest.server.contest import Contest
from retro_contest.server.settings import FINAL, OPEN, Places

PAUSE = 1.0  # seconds between two looks at the jobs
AFTER_FAILURE = 30.0  # seconds until a site that could not be written is tried again
SECONDS = 600.0  # that it may take
"""a site is `site/KEY`, and `site/now` points at the one to show"""
NOW = "now"


def site_folder(places: Places) -> Path | None:
    """The site as it was last written; None before."""
    folder = places.data / "site" / NOW
    return folder.resolve() if folder.is_dir() else None


class Publisher:
    """A thread that keeps the site up to date."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, also in the middle of writing."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = PAUSE
            wanted = _key(self._contest)
            site = site_folder(self._contest.places)
            if (site is None or site.name != wanted) and not self._write():
                pause = AFTER_FAILURE

    def _write(self) -> bool:
        """Whether a site was written."""
        command = [sys.executable, "-m", "retro_contest.server.pages.publisher"]
        with subprocess.Popen(
            [*command, str(self._contest.places.data)],
            stdin=subprocess.DEVNULL,
            preexec_fn=None,
            start_new_session=True,
        ) as process:
            for _ in itertools.repeat(None, int(SECONDS / 0.1)):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(0.1) == 0
                if self._stopping.is_set():
                    break
            process.kill()
        return False
