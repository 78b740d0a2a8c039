"""Writes the board's site whenever it would look otherwise: another job has finished, the final was
revealed, an entrant was banned.

A process of its own writes it, so that the server goes on answering: thousands of runs take a
minute. It writes into a new folder, which is shown once it is complete.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from retro_common.files import remove_tree
from retro_contest.board.boards import Boards, load_boards
from retro_contest.board.site import write_site
from retro_contest.board.snapshots import snapshot
from retro_contest.runs.results import SUMMARY_FILE, make_folder
from retro_contest.server.contest import Contest, open_contest
from retro_contest.server.jobs import Job
from retro_contest.server.settings import FINAL, OPEN, Places

PAUSE = 1.0  # seconds between two looks at the jobs
AFTER_FAILURE = 30.0  # seconds until a site that could not be written is tried again
SECONDS = 600.0  # that writing may take
NICE = 3  # between the web server and the runs, which have 5
NOW = "now"  # link in the folder of sites to the one that is shown


def site_folder(places: Places) -> Path | None:
    """The site as it was last written; None before."""
    folder = places.sites / NOW
    return folder.resolve() if folder.is_dir() else None


class Publisher:
    """A thread that keeps the site up to date."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, even if a site is being written."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = PAUSE
            site = site_folder(self._contest.places)
            wanted = _name(self._contest, _shown(self._contest))
            if (site is None or site.name != wanted) and not self._write():
                pause = AFTER_FAILURE
        self._contest.store.close()

    def _write(self) -> bool:
        """Write the site in a process of its own; whether it could."""
        program = [sys.executable, "-m", "retro_contest.server.pages.publisher"]
        process = subprocess.Popen(
            [*program, str(self._contest.places.data)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal goes to the server alone
        )
        end = time.monotonic() + SECONDS
        while process.poll() is None:
            if self._stopping.wait(0.1) or time.monotonic() > end:
                process.kill()
        return process.wait() == 0


def publish(data: Path) -> None:
    """Write the site of the contest in a data folder.

    Raises:
        UsageError: there is no contest, or the site cannot be written.
    """
    contest = open_contest(data)
    sites = contest.places.sites
    make_folder(sites)
    jobs = _shown(contest)
    name = _name(contest, jobs)
    fresh = sites / f"new-{secrets.token_hex(8)}"
    write_site(_boards(contest, jobs), fresh, _pictures(contest), contest.settings.name)
    before = site_folder(contest.places)
    if (sites / name).exists():
        remove_tree(sites / name)
    fresh.rename(sites / name)
    link = sites / f"link-{secrets.token_hex(8)}"
    link.symlink_to(name)
    link.replace(sites / NOW)
    kept = {name, NOW, PICTURES, before.name if before else ""}
    for other in sites.iterdir():
        if other.name not in kept and other.is_dir() and not other.is_symlink():
            remove_tree(other)


PICTURES = "pictures"  # folder of the starts of levels, which are drawn once


def _shown(contest: Contest) -> list[Job]:
    """The jobs that everybody may see on the board."""
    jobs = contest.jobs.finished(OPEN)
    return jobs + (contest.jobs.finished(FINAL) if contest.phases.revealed else [])


def _name(contest: Contest, jobs: list[Job]) -> str:
    """Name of a site's folder: another one wherever the site is another."""
    content = repr((contest.settings.name, [job.id for job in jobs]))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _boards(contest: Contest, jobs: list[Job]) -> Boards:
    folders = [contest.places.results(job.phase, job.id) for job in jobs]
    there = [folder for folder in folders if (folder / SUMMARY_FILE).is_file()]
    return load_boards(there) if there else Boards(())


def _pictures(contest: Contest) -> Callable[[str, Path], bool]:
    """Draws the start of a level, once for all sites."""
    folder = contest.places.sites / PICTURES
    make_folder(folder)
    names: dict[str, str] = {}
    for phase in (OPEN, FINAL) if contest.phases.revealed else (OPEN,):
        _, levels = contest.phases.levels(phase)
        # Levels of a folder of their own are found by it.
        names |= {
            level.name: f"{level.integrations}/{level.name}"
            for level in levels
            if level.integrations is not None
        }

    def draw(level: str, path: Path) -> bool:
        kept = folder / path.name
        if not kept.exists() and not snapshot(names.get(level, level), kept):
            return False
        shutil.copyfile(kept, path)
        return True

    return draw


if __name__ == "__main__":
    os.nice(NICE)
    publish(Path(sys.argv[1]))
