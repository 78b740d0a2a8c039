"""`retro-contest serve`"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gym_remote.server import Reason
from retro_common.errors import UsageError
from retro_contest.levels import Level, find_one
from retro_contest.rules import Rules


@dataclass(frozen=True)
class Serve:
    """Serve one level, once, to one agent.

    The agent connects with gym_remote.client.RemoteEnv("DIR"). Exits with 0 when the budget is used
    up or when the agent closes the connection, with 1 when it ended in another way.
    """

    game: Annotated[Positional[str], arg(metavar="GAME")]
    """Name of the game; or the level alone, as GAME/STATE, STATE or DIR/GAME/STATE."""
    socket: Annotated[Path, arg(metavar="DIR")]
    """Directory of the socket, shared with the agent. It is made."""
    results: Annotated[Path, arg(metavar="DIR")]
    """Folder for monitor.csv, log.csv and server.json. It is made, and must hold no other run."""
    rules: FlagCreatePairsOff[Rules]
    state: Annotated[Positional[str], arg(metavar="STATE", help_behavior_hint="(optional)")] = ""
    """Name of the save-state that the level starts from."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Seed of the sticky actions, for tests: it can be read off the command line. Without it the
    environment variable RETRO_CONTEST_ENVIRONMENT_SEED counts, as evaluate sets it; without both
    they differ from run to run."""
    integrations: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder with the integration folder of a game that stable-retro does not have."""

    def run(self) -> int:
        from retro_contest.runs.randomness import take_seed
        from retro_contest.runs.serve import serve_level

        level = self._level()
        seed = take_seed(os.environ)
        if self.seed is not None:
            seed = self.seed
        if seed is not None and not 0 <= seed < 1 << 63:
            raise UsageError("--seed must be at least 0 and less than 2^63")

        def announce() -> None:
            print(
                f"serving {level.name} in {self.socket}: waiting for an agent, "
                f"{self.rules.connect_timeout:g} s at most",
                flush=True,
            )

        status = serve_level(
            level, self.socket, self.results, self.rules, seed=seed, on_ready=announce
        )
        score = "none" if status.score is None else f"{status.score:.1f}"
        why = f"{status.ended}: {status.detail}" if status.detail else status.ended
        print(f"{why}; {status.timesteps:,} timesteps, {status.episodes} episodes, score {score}")
        clean = (Reason.TIMESTEP_LIMIT, Reason.WALLCLOCK_LIMIT, Reason.CLIENT_CLOSED)
        return 0 if status.ended in clean else 1

    def _level(self) -> Level:
        if not self.state:
            return find_one(self.game)
        if self.integrations is None:
            return find_one(f"{self.game}/{self.state}")
        return Level(self.game, self.state, self.integrations)
