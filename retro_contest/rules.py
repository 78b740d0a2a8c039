"""The rules that a run is played by: its budget, its time-outs, and how it is emulated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retro_common.errors import UsageError

TIME_LIMIT = 4500
"""timesteps after which an episode is truncated"""
MOST_TIMESTEPS = 10**12
MOST_SECONDS = 365 * 86400.0


@dataclass(frozen=True)
class Rules:
    """The rules of a run. They go unchanged from the command line to the server.

    Raises:
        UsageError: a budget or a time-out is not a number above 0, or beyond all use; the message
            names the option.
    """

    timesteps: int = 1_000_000
    """Budget of a run in timesteps of 4 frames; resets count, too."""
    wallclock: float = 12 * 3600.0
    """Budget of a run in seconds, from the moment an agent can connect."""
    connect_timeout: float = 300.0
    """Seconds that an agent gets to connect."""
    idle_timeout: float = 600.0
    """Seconds without a request after which an agent counts as hung."""
    exit_timeout: float = 60.0
    """Seconds that an agent gets to save its work and exit after the budget (evaluate only)."""
    record: bool = False
    """Write one bk2 movie per episode."""
    draw_all: bool = False
    """Draw skipped frames, too: slower, with the same results."""

    def __post_init__(self) -> None:
        if self.timesteps < 1:
            raise UsageError(f"--timesteps must be at least 1, not {self.timesteps}")
        if self.timesteps > MOST_TIMESTEPS:
            raise UsageError(f"--timesteps must be at most {MOST_TIMESTEPS:,}")
        for name in ("wallclock", "connect_timeout", "idle_timeout", "exit_timeout"):
            seconds = getattr(self, name)
            option = name.replace("_", "-")
            if not (seconds > 0 and math.isfinite(seconds)):
                raise UsageError(f"--{option} must be more than 0 seconds, not {seconds:g}")
            if seconds > MOST_SECONDS:
                raise UsageError(f"--{option} must be at most {MOST_SECONDS:,.0f} seconds (a year)")

    def words(self) -> list[str]:
        """The options with which `retro-contest serve` plays by these rules."""
        words = ["--timesteps", str(self.timesteps), "--wallclock", str(self.wallclock)]
        words += ["--connect-timeout", str(self.connect_timeout)]
        words += ["--idle-timeout", str(self.idle_timeout)]
        words += ["--exit-timeout", str(self.exit_timeout)]
        words += ["--record"] if self.record else []
        words += ["--draw-all"] if self.draw_all else []
        return words
