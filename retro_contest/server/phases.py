"""The final: a secret set of levels, played by everybody's latest submission, revealed at the end.

When it is made, a contest draws a *secret of the final*, 128 bits, and publishes its SHA-256. From
it follow the randomness of every evaluation of the final, the first 128 bits of
`HMAC-SHA256(secret, "job N")`, and the seed of the secret acts, the first 31 bits of
`HMAC-SHA256(secret, "levels")`. When the final is revealed, the secret is published, so that
everybody can build the acts and check the randomness.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time

from retro_common.errors import UsageError
from retro_contest.levels import Level, find
from retro_contest.runs.randomness import fingerprint, new_secret
from retro_contest.server.jobs import Job, Jobs
from retro_contest.server.settings import FINAL, OPEN, Phase, Places, Settings
from retro_contest.server.store import Store

SECRET, REVEALED, ACTS = "final.secret", "final.revealed", "final.acts"
LEVEL_SEED_BITS = 31


class Phases:
    """The phases of a contest."""

    def __init__(self, store: Store, places: Places, settings: Settings, jobs: Jobs) -> None:
        self._store = store
        self._places = places
        self._settings = settings
        self._jobs = jobs
        with store.write() as connection:
            connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (SECRET, new_secret()))

    @property
    def commitment(self) -> str:
        """SHA-256 of the secret of the final, which discloses nothing of it."""
        return fingerprint(self._secret)

    @property
    def revealed(self) -> float | None:
        """When the final was revealed, in seconds since 1970; None before."""
        at = self._store.fact(REVEALED)
        return None if at is None else float(at)

    @property
    def level_seed(self) -> int:
        """The seed that the secret acts are built from."""
        digest = hmac.digest(bytes.fromhex(self._secret), b"levels", "sha256")
        return int.from_bytes(digest[:8]) >> (64 - LEVEL_SEED_BITS)

    def disclosed(self) -> dict[str, object] | None:
        """The secret and what follows from it, for everybody; None before the final is revealed."""
        if self.revealed is None:
            return None
        acts = self._store.fact(ACTS)
        return {
            "secret": self._secret,
            "level_seed": self.level_seed,
            "acts": None if acts is None else json.loads(acts),
        }

    def built(self, acts: dict[str, object]) -> None:
        """Note with which options the secret acts were built."""
        with self._store.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (ACTS, json.dumps(acts))
            )

    def is_hidden(self, job: Job) -> bool:
        """Whether nobody may see yet what is played in a job, and what comes of it."""
        return job.phase == FINAL and self.revealed is None

    def settings(self, name: str) -> Phase:
        """The settings of a phase."""
        return self._settings.phase(name)

    def levels(self, name: str) -> tuple[str, list[Level]]:
        """The levels of a phase, in the words of the settings, and each.

        Raises:
            UsageError: they do not exist.
        """
        words = self.settings(name).levels
        if name == FINAL and not words:
            games = sorted(self._places.secret_levels.glob("*/data.json"))
            if not games:
                raise UsageError(
                    "the final has no levels: name them in contest.yaml, or build secret ones "
                    "with retro-contest admin secret-levels"
                )
            words = ",".join(str(game.parent) for game in games)
            return "secret levels", find(words)
        return words, find(words)

    def randomness(self, job: Job) -> str:
        """The secret of a job's evaluation, in hexadecimal; empty if it is to draw its own."""
        if job.phase == OPEN:
            return ""
        digest = hmac.digest(bytes.fromhex(self._secret), f"job {job.id}".encode(), hashlib.sha256)
        return digest[:16].hex()

    def start_final(self) -> list[Job]:
        """Queue the final of each entrant's latest submission; those that are queued are kept.

        Raises:
            UsageError: there are no levels, it is revealed already, or nobody has submitted.
        """
        self.levels(FINAL)
        if self.revealed is not None:
            raise UsageError("the final is revealed: what is played now would be no final")
        latest = {job.account: job for job in self._jobs.finished(OPEN)}
        if not latest:
            raise UsageError("nobody has a finished job yet")
        there = {job.account for job in self._jobs.all() if _counts(job)}
        return [
            self._jobs.add_final(account, job.tag, job.digest, job.id)
            for account, job in latest.items()
            if account not in there
        ]

    def reveal(self) -> None:
        """Publish the final's levels, scores and secret.

        Raises:
            UsageError: there is nothing to reveal yet.
        """
        if self._jobs.active(FINAL):
            raise UsageError("jobs of the final still wait or are played")
        if not self._jobs.finished(FINAL):
            raise UsageError("no job of the final has finished: retro-contest admin final")
        with self._store.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO facts VALUES (?, ?)", (REVEALED, repr(time.time()))
            )

    @property
    def _secret(self) -> str:
        secret = self._store.fact(SECRET)
        assert secret is not None
        return secret


def _counts(job: Job) -> bool:
    """Whether a job is its entrant's final: one that failed or was cancelled can be repeated."""
    return job.phase == FINAL and (job.is_active or job.state == "finished")
