"""`retro-contest clean`"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Clean:
    """Remove the containers and volumes that killed evaluations left behind.

    Those of evaluations that are still running are left alone.
    """

    def run(self) -> int:
        # Not at the top: only this command and evaluate --image need the client of Docker.
        from retro_contest.runs.engine import clean, connect

        cleaned = clean(connect())
        print(f"removed {cleaned.containers} containers and {cleaned.volumes} volumes")
        if cleaned.in_use:
            print(f"left alone: {cleaned.in_use} of evaluations that are running")
        return 0
