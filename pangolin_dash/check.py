"""The gate of a built game: movies reach the end of every act, on the real ROM in the emulator."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from pangolin_dash.movies import Movie
from pangolin_dash.replay import Outcome, open_act, replay

SCANLINES = 262
ALLOWED_LINES = int(0.7 * SCANLINES)  # of a frame's work


def problem(outcome: Outcome, movie: Movie) -> str | None:
    """What is wrong with a replay, in words; None when nothing is."""
    if not outcome.finished:
        return f"the movie ends at x = {outcome.info['x']} of {outcome.info['end_x']}"
    if abs(outcome.reward - movie.reward) > 1e-3:
        return f"reward {outcome.reward:.3f} is not the movie's {movie.reward:.3f}"
    if outcome.lag_frames or outcome.cpu_lines > ALLOWED_LINES:
        return f"a frame takes {outcome.cpu_lines} scanlines of work, {ALLOWED_LINES} are allowed"
    return None


def check(folder: Path, movies: dict[str, Movie]) -> list[str]:
    """Replay every movie in the integration ``folder``, print a table; returns the problems."""
    table = Table("act", "frames", "reward", "scanlines", "", title=folder.name)
    problems = []
    for act, movie in movies.items():
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
