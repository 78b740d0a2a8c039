"""A contest's settings: `contest.yaml` in the host's data folder, and the places of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from retro_common.config import FORBID_UNKNOWN, load
from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_contest.rules import Rules
from retro_contest.runs.results import make_folder

Few = Annotated[int, pydantic.Field(ge=1, le=1000)]
ADDRESS = r"^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?)?$"
AGENT_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")

OPEN, FINAL = "open", "final"
PhaseName = Literal["open", "final"]

DEFAULT = """\
# The settings of this contest. The server reads them when it starts.
# All keys: docs/host.md of the kit.
name: Retro contest
address: ""                 # HOST or HOST:PORT of the server for entrants; empty: where it listens
open:                       # everybody sees these levels, scores and ranks
  levels: pangolin-test
  seeds: 2                  # runs per level: a rank needs two
  rules:
    timesteps: 1000000
    wallclock: 43200
final:                      # hidden until retro-contest admin reveal
  levels: ""                # empty: the acts that retro-contest admin secret-levels builds
  seeds: 3
  rules:
    timesteps: 1000000
    wallclock: 43200
limits:
  jobs_per_day: 5           # of one entrant
  active_jobs: 1            # of one entrant, waiting or being played
registration: closed        # or invitation: who has one makes an account
"""


@dataclass(frozen=True)
class Phase:
    """Which levels are played in a phase, how often, and by which rules."""

    levels: str = ""
    """level set, GAME/STATE, DIR/GAME, FILE.yaml, or several with commas, as for `evaluate`"""
    seeds: Few = 2
    """runs per level"""
    rules: Rules = field(default_factory=Rules)
    """budget and time-outs of a run; `record` writes movies, from which films are made"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclass(frozen=True)
class Limits:
    """What one entrant may use."""

    jobs_per_day: Few = 5
    """jobs that are submitted or restarted within 24 hours"""
    active_jobs: Few = 1
    """jobs that wait or are played at the same time"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclass(frozen=True)
class Settings:
    """The keys of `contest.yaml`."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=200)] = "Retro contest"
    """of the contest, on its pages"""
    address: Annotated[str, pydantic.Field(pattern=ADDRESS)] = ""
    """`HOST` or `HOST:PORT` under which entrants reach the server, also to push images; empty for
    the address that it listens at"""
    open: Phase = Phase("pangolin-test")
    """the phase whose scores everybody sees at once"""
    final: Phase = Phase(seeds=3)
    """the phase that is hidden until it is revealed; without levels there is none"""
    limits: Limits = Limits()
    """what one entrant may use"""
    registration: Literal["closed", "invitation"] = "closed"
    """whether somebody with an invitation may make an account"""
    jobs: Few = 1
    """jobs that are played side by side"""
    runs: Few = 1
    """runs of one job that are played side by side"""
    cpus: float | None = None
    """processors of each agent's container; None for an equal share of the machine's"""
    memory: str = "4g"
    """memory of each agent's container"""
    gpus: str = ""
    """GPUs of each agent's container, as for `evaluate`"""
    cluster: str = ""
    """`HOST:PORT` of a Ray cluster whose nodes play the runs, or `local`; empty for this machine.
    Each run reserves `cpus` (1 where they are None) and a whole number of `gpus`, and nodes pull
    images from `address`"""
    agents: dict[str, str] = field(default_factory=dict)
    """for trials on one's own machine, without Docker: name -> agent command or built-in agent. If
    there are any, a tag names one of them, it is played as a process without containment, and no
    image can be submitted"""

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        for name in self.agents:
            if not AGENT_NAME.fullmatch(name):
                raise UsageError(f"agents: {name!r} is no name: lower-case letters and digits")

    def phase(self, name: str) -> Phase:
        """The settings of a phase."""
        return self.final if name == FINAL else self.open


@dataclass(frozen=True)
class Places:
    """The files of a contest in its data folder."""

    data: Path
    """the folder"""

    @property
    def settings(self) -> Path:
        """The settings; the host edits them."""
        return self.data / "contest.yaml"

    @property
    def database(self) -> Path:
        """Accounts, jobs, phases."""
        return self.data / "contest.sqlite"

    @property
    def server_lock(self) -> Path:
        """Locked by the web server."""
        return self.data / "server.lock"

    @property
    def executor_lock(self) -> Path:
        """Locked by the executor; holds its process number."""
        return self.data / "executor.lock"

    @property
    def executor_log(self) -> Path:
        """What the executor prints."""
        return self.data / "executor.log"

    @property
    def secret_levels(self) -> Path:
        """The game of unseen acts that `retro-contest admin secret-levels` builds."""
        return self.data / "secret"

    @property
    def registry(self) -> Path:
        """The registry: images, key, log."""
        return self.data / "registry"

    @property
    def sites(self) -> Path:
        """The board's pages as they were last written."""
        return self.data / "sites"

    def results(self, phase: str, job: int) -> Path:
        """Results folder of a job."""
        return self.data / "results" / phase / str(job)


def prepare(data: Path) -> Places:
    """Make a data folder where there is none, only for its owner, with default settings.

    Raises:
        UsageError: it cannot be made.
    """
    make_folder(data)
    places = Places(data.resolve())
    try:
        data.chmod(0o700)
        if not places.settings.exists():
            write_atomically(places.settings, DEFAULT)
    except OSError as error:
        raise UsageError(f"cannot write to {data}: {error.strerror}") from error
    return places


def read_settings(places: Places) -> Settings:
    """The settings in a data folder.

    Raises:
        UsageError: names the key that is wrong, or says that this is no data folder.
    """
    if not places.settings.is_file():
        raise UsageError(
            f"{places.data} is no contest's data folder: retro-contest host --data DIR makes one"
        )
    return load(Settings, places.settings)
