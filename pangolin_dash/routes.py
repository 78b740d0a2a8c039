"""A route through an act, as states along the way: from an input movie that finishes the act."""

from __future__ import annotations

import numpy as np

from pangolin_dash.compile import host
from pangolin_dash.simulator import Worlds, pad_of
from retro_common.errors import UsageError
from retro_common.movies import Movie

FRAMES = 4
"""frames between two points of a route: a timestep"""


def trace(worlds: Worlds, act: int, movie: Movie) -> tuple[np.ndarray, np.ndarray]:
    """Play a movie in the first world.

    Returns:
        The route, `pangolin_dash.compile.host.POINT` (T,): the state at the beginning of every
        timestep and what the movie presses then; and the save-states there, uint8 (T, bytes).

    Raises:
        UsageError: the movie does not finish the act.
    """
    pads = [pad_of(buttons) for buttons, frames in movie.inputs for _ in range(frames)]
    worlds.load(0, act)
    worlds.hold(0, 0, 0)
    variables = worlds.state["variables"][0]
    points, states = [], []
    for first in range(0, len(pads), FRAMES):
        points.append(
            (
                *(variables[name] for name in ("x", "y", "speed_x", "speed_y", "on_ground")),
                worlds.levers(0),
                pads[first],
                0,
            )
        )
        states.append(worlds.slots[0].copy())
        for pad in pads[first : first + FRAMES]:
            worlds.hold(0, pad, 1)
    if not variables["level_end"]:
        raise UsageError(f"{worlds.acts[act].name}: the movie does not finish the act")
    return np.array(points, host.POINT), np.stack(states)
