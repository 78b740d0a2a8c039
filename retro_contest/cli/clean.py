"""`retro-contest clean`"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Clean:
    """Remove the containers, volumes and temporary folders that killed evaluations left behind.

    Only those that evaluations of this user made: not those of running evaluations, and not
    containers that carry our labels because their image does.
    """

    def run(self) -> int:
        from retro_contest.runs.lease import remove_temporary_folders

        folders = remove_temporary_folders()
        if folders:
            print(f"removed {folders} temporary folders")

        # Not at the top: only this command, doctor and evaluate --image need the client of Docker.
        from retro_contest.containers.engine import clean, connect

        cleaned = clean(connect())
        print(f"removed {cleaned.containers} containers and {cleaned.volumes} volumes")
        if cleaned.in_use:
            print(f"left alone: {cleaned.in_use} of evaluations that are running")
        return 0
