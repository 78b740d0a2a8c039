"""`retro-contest environment`"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Suppress


@dataclass(frozen=True)
class Environment:
    """Build the image of the contest's side, in which evaluations in containers run their server.

    It holds this very kit. Build it again after an upgrade. Options of `docker build` follow after
    `--`, for example -- --build-arg BASE=IMAGE. Exits with 1 if the build fails.
    """

    build: Suppress[tuple[str, ...]] = ()

    def run(self) -> int:
        # Not at the top: only commands that build need the client of Docker.
        from retro_contest.containers.engine import connect
        from retro_contest.entry.build import Options, StepFailed, environment_build

        try:
            with environment_build(Options(self.build)) as build:
                print(f"building {build.image}", flush=True)
                build.run(connect())
        except StepFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(f"built {build.image}")
        return 0
