"""The boards of a contest, read from the results folders of its finished jobs.

Reading takes a while, so a board is kept until another job has finished, or an entrant was banned.
"""

from __future__ import annotations

import threading
from pathlib import Path

from retro_contest.board.boards import Boards, load_boards
from retro_contest.server.jobs import Job, Jobs
from retro_contest.server.settings import OPEN, Places


class Standings:
    """The boards. All threads may ask for them."""

    def __init__(self, jobs: Jobs, places: Places) -> None:
        self._jobs = jobs
        self._places = places
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[tuple[int, ...], Boards]] = {}

    def boards(self, phase: str = OPEN) -> Boards:
        """The boards of a phase; none before a job has finished."""
        jobs = self._jobs.finished(phase)
        key = tuple(job.id for job in jobs)
        known = self._kept.get(phase)
        if known is not None and known[0] == key:
            return known[1]
        # One reads; the others get the boards before, and wait only where there are none yet.
        if not self._lock.acquire(blocking=known is None):
            assert known is not None
            return known[1]
        try:
            known = self._kept.get(phase)
            if known is None or known[0] != key:
                known = self._kept[phase] = key, self._read(jobs)
            return known[1]
        finally:
            self._lock.release()

    def leaderboard(self, phase: str = OPEN) -> list[tuple[str, float]]:
        """Name and score of each entrant's last finished job, the best first."""
        last = {job.username: job.score for job in self._jobs.finished(phase)}
        scored = [(name, score) for name, score in last.items() if score is not None]
        return sorted(scored, key=lambda entry: (-entry[1], entry[0]))

    def _read(self, jobs: list[Job]) -> Boards:
        folders: list[Path] = [self._places.results(job.phase, job.id) for job in jobs]
        there = [folder for folder in folders if (folder / "summary.json").is_file()]
        return load_boards(there) if there else Boards(())
