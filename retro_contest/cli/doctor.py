"""`retro-contest doctor`"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

from retro_common.provenance import provenance
from retro_contest.doctor.emulator import check_emulator
from retro_contest.doctor.engine import check_engine
from retro_contest.doctor.findings import NEEDS, Line, Purpose, line
from retro_contest.doctor.games import check_levels, check_roms
from retro_contest.doctor.gpu import check_torch
from retro_contest.doctor.machine import check_machine


@dataclass(frozen=True)
class Doctor:
    """Check whether this machine can do what you want: a line for each thing, and what mends it.

    `FAIL` keeps the purpose from working, `note` does not. Looks at versions, memory, disk, cores,
    folders, levels and ROMs, GPUs, and the Docker engine; lets the emulator play; and tries in a
    container of the environment image what no agent may do. Nothing is changed. Exits with 0 if the
    purpose will work, else with 1.
    """

    purpose: Annotated[Purpose, arg(name="for")] = "evaluate"
    """What you want to do: make demo; pretrain an agent; evaluate one as a process; submit an
    image; host a contest."""
    levels: Annotated[str, arg(metavar="LEVELS")] = "pangolin-test"
    """The levels that should be playable, for example sonic-final-2018."""
    environment_image: Annotated[str, arg(metavar="IMAGE")] = "retro-contest-environment"
    """Image of the server."""
    agent_image: Annotated[str, arg(metavar="IMAGE")] = ""
    """Image of an agent that should be here."""
    json: FlagCreatePairsOff[bool] = False
    """Print one JSON object, for bug reports."""

    def run(self) -> int:
        lines = []
        for each in self._lines():
            lines.append(each)
            if not self.json:
                print(each, flush=True)
        failed = sum(not each.good for each in lines)
        if self.json:
            print(json.dumps(self._report(lines), indent=2))
        elif failed:
            print(f"not ready for {self.purpose}: {failed} of {len(lines)} need attention")
        else:
            print(f"ready for {self.purpose}")
        return 1 if failed else 0

    def _lines(self) -> Iterator[Line]:
        needs = NEEDS[self.purpose]
        yield from check_machine(needs, self.purpose)
        levels, playable = check_levels(self.levels)
        yield levels
        if playable:
            yield from check_emulator(playable[0])
        yield from check_roms()
        yield line("GPU", check_torch, needed="torch" in needs.libraries)
        yield from check_engine(self.environment_image, self.agent_image, needed=needs.docker)

    def _report(self, lines: list[Line]) -> dict[str, Any]:
        return {
            "purpose": self.purpose,
            "ready": all(each.good for each in lines),
            **provenance(),
            "lines": [each.as_json() for each in lines],
        }
