"""`python -m pangolin_dash.check`: the gate of a built game.

The stored movie of each act must reach the act's end, on the real ROM in the emulator, with the
movie's reward and without a frame whose work is too long.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from pangolin_dash import movies
from pangolin_dash.acts import INTEGRATIONS, SHIPPED
from pangolin_dash.cli import exit_code
from pangolin_dash.replay import Outcome, open_act, replay
from retro_common.errors import UsageError
from retro_common.movies import Movie

SCANLINES = 262
ALLOWED_LINES = int(0.7 * SCANLINES)
"""scanlines that a frame's work may take"""


def problem(outcome: Outcome, movie: Movie) -> str | None:
    """The fault of a replay, in words; None where there is none."""
    if not outcome.finished:
        return f"the movie ends at x = {outcome.info['x']} of {outcome.info['end_x']}"
    if movie.reward is not None and abs(outcome.reward - movie.reward) > 1e-3:
        return f"reward {outcome.reward:.3f} is not the movie's {movie.reward:.3f}"
    if outcome.lag_frames or outcome.cpu_lines > ALLOWED_LINES:
        return f"a frame takes {outcome.cpu_lines} scanlines of work, {ALLOWED_LINES} are allowed"
    return None


def check(folder: Path, by_act: dict[str, Movie]) -> list[str]:
    """Replay every movie in the integration `folder` and print a table; returns the faults."""
    table = Table("act", "frames", "reward", "scanlines", "", title=folder.name)
    problems = []
    for act, movie in by_act.items():
        env = open_act(folder.name, act, folder.parent)
        try:
            outcome = replay(env, movie)
        finally:
            env.close()
        wrong = problem(outcome, movie)
        if wrong:
            problems.append(f"{act}: {wrong}")
        table.add_row(
            act,
            str(outcome.frames),
            f"{outcome.reward:.1f}",
            f"{outcome.cpu_lines} of {SCANLINES}",
            wrong or "finished",
        )
    Console().print(table)
    return problems


@dataclass
class Arguments:
    """Finish every act of a built game in the emulator, by its stored movies.

    Exit code 0 when all acts are finished, 1 when one is not.
    """

    folder: Path = INTEGRATIONS / SHIPPED
    """the game's integration folder"""
    movies: Path | None = None
    """folder of the movies, `ZoneName.ActN.json`; by default the game's own"""


def main() -> int:
    """The command line; returns its exit code."""
    arguments = tyro.cli(Arguments, prog="python -m pangolin_dash.check")
    acts = sorted(path.stem for path in arguments.folder.glob("*.state"))
    if not acts:
        raise UsageError(f"{arguments.folder} is not a game's folder: it has no save-states")
    found = movies.load(arguments.movies or movies.folder_of(arguments.folder), acts)
    problems = check(arguments.folder, found)
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
