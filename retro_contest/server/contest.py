"""A contest as it lies in its data folder: what the web server, the executor and the host share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from retro_contest.server.accounts import Accounts
from retro_contest.server.images import LocalAgents, Registry
from retro_contest.server.jobs import Jobs
from retro_contest.server.phases import Phases
from retro_contest.server.registry.images import DockerRegistry
from retro_contest.server.settings import Places, Settings, read_settings
from retro_contest.server.standings import Standings
from retro_contest.server.store import Store

BEAT = "executor.beat"


@dataclass(frozen=True)
class Contest:
    """A contest, open for use by all threads."""

    places: Places
    """its files"""
    settings: Settings
    """its settings as they were when it was opened"""
    store: Store
    """its database"""
    accounts: Accounts
    """its entrants"""
    jobs: Jobs
    """its queue"""
    phases: Phases
    """its final: secrets, beginning, revelation"""
    standings: Standings
    """its boards"""
    registry: Registry
    """where its entrants push images"""

    def executor_is_alive(self, seconds: float = 30.0) -> bool:
        """Whether an executor has shown a sign of life within some seconds."""
        beat = self.store.fact(BEAT)
        return beat is not None and abs(time.time() - float(beat)) < seconds

    def beat(self) -> None:
        """A sign of life of the executor."""
        with self.store.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (BEAT, repr(time.time()))
            )


def open_contest(data: Path, registry: Registry | None = None) -> Contest:
    """Open the contest in a data folder.

    Args:
        data: the folder.
        registry: where images are pushed; None for the one that the settings name.

    Raises:
        UsageError: there is no contest, its settings are wrong, or its database cannot be used.
    """
    places = Places(data.resolve())
    settings = read_settings(places)
    store = Store(places.database)
    jobs = Jobs(store, settings.limits)
    phases = Phases(store, places, settings, jobs)
    return Contest(
        places=places,
        settings=settings,
        store=store,
        accounts=Accounts(store),
        jobs=jobs,
        phases=phases,
        standings=Standings(jobs, places),
        registry=registry or _registry(settings, store, places),
    )


def _registry(settings: Settings, store: Store, places: Places) -> Registry:
    if settings.agents:
        return LocalAgents(settings.agents)
    return DockerRegistry(store, places.registry, settings.address)
