"""The acts that a teacher learns in, of a level set and generated ones, and routes through them.

Generated acts come from seeds of their own, 18 a seed, as hard as the shipped game's. They share
the generator, and so the library of sections, with the held-out acts; never the seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pangolin_dash import movies, routes
from pangolin_dash.acts import SHIPPED, SHIPPED_SEED, Options, make_acts
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import Simulator, Worlds
from pangolin_dash.solve import solve
from retro_common.errors import UsageError
from retro_common.movies import Movie
from retro_contest import levels

TRAINING_SEED = 1001
"""first seed of the generated acts to train in; the seeds follow one another"""
FRESH_SEED = 2001
"""first seed of generated acts to evaluate in, which nothing is trained in"""
MOVIES = "movies"
"""folder beside a teacher's file with the movies of generated acts"""
ALONG = 64
"""save-states that are kept of a route"""
STATES = 1 << 16
"""save-states that are kept of all routes; one is about 17 KB"""
EFFORT = 200_000
"""button presses to try in the search for a route through a generated act"""


@dataclass(frozen=True)
class Known:
    """An act, and a movie that finishes it, where one is known."""

    act: Act
    name: str
    """`GAME/STATE` of a level of a set, `seed/STATE` of a generated act"""
    movie: Movie | None


def acts_of_levels(text: str) -> list[Known]:
    """The acts of a level set of Pangolin Dash, with their stored movies.

    Raises:
        UsageError: the set holds a level of another game.
    """
    shipped = {act.name: act for act in make_acts(Options())}
    found = levels.find(text)
    for level in found:
        if level.game != SHIPPED or level.state not in shipped:
            raise UsageError(
                f"levels: {level.name} is no act of {SHIPPED}: the teacher reads that game's memory"
            )
    stored = movies.load(movies.FOLDER, [level.state for level in found])
    return [Known(shipped[level.state], level.name, stored[level.state]) for level in found]


def generated_acts(first: int, seeds: int, folder: Path | None) -> Iterator[Known]:
    """The acts of some seeds, with a movie where the search finds one.

    Args:
        first: the first seed.
        seeds: how many seeds.
        folder: keeps the movies that were found; None to search for none.

    Raises:
        UsageError: a stored movie is damaged.
        OSError: a movie cannot be written.
    """
    assert SHIPPED_SEED not in range(first, first + seeds)
    for seed in range(first, first + seeds):
        for act in make_acts(Options(seed=seed)):
            movie = None
            if folder is not None:
                movie = _movie(act, folder / str(seed) / f"{act.name}.json")
            yield Known(act, f"{seed}/{act.name}", movie)


def training_seeds(count: int) -> list[int]:
    """The first seeds of generated acts to train in."""
    return list(range(TRAINING_SEED, TRAINING_SEED + count))


def known_acts(text: str, seeds: int, folder: Path) -> list[Known]:
    """The acts of a track: those of a level set, then generated ones of so many training seeds.

    Args:
        folder: keeps the movies of the generated acts.

    Raises:
        UsageError: the set holds a level of another game; a stored movie is damaged.
    """
    return [*acts_of_levels(text), *generated_acts(TRAINING_SEED, seeds, folder)]


def _movie(act: Act, path: Path) -> Movie | None:
    """The movie of an act from its file, or from a search, which writes the file."""
    if path.exists():
        return Movie.load(path)
    movie = solve(Simulator([act]), 0, effort=EFFORT)
    if movie is not None:
        movie.save(path)
    return movie


class Trace(NamedTuple):
    """A route through an act, and places along it."""

    route: np.ndarray
    """`pangolin_dash.compile.host.POINT` (T,), see `pangolin_dash.routes.trace`"""
    states: np.ndarray
    """save-states evenly along it, uint8 (P, bytes)"""
    pads: np.ndarray
    """what the movie presses there, pad bits uint8 (P,)"""


def traces(known: Iterable[Known]) -> list[Trace | None]:
    """For each act its route, where a movie of it is known.

    The save-states fit any `Worlds` of these acts, in this order. There are at most `ALONG` of an
    act, and at most about `STATES` of all.
    """
    known = list(known)
    worlds = Worlds([each.act for each in known], 1)
    along = min(ALONG, max(1, STATES // max(1, len(known))))
    found: list[Trace | None] = []
    for number, each in enumerate(known):
        if each.movie is None:
            found.append(None)
            continue
        route, states = routes.trace(worlds, number, each.movie)
        # Not the last second: an episode of a few timesteps teaches little.
        kept = np.linspace(0, max(0, len(states) - 16), along, dtype=np.int64)
        found.append(Trace(route, states[kept], route["pad"][kept]))
    return found
