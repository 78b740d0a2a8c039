"""The gates of every act, on the real ROM in the emulator."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from pangolin_dash.acts import SHIPPED, Options, make_acts
from pangolin_dash.movies import FOLDER as MOVIES
from pangolin_dash.replay import open_act, replay
from pangolin_dash.solve import FRAME_LIMIT
from retro_common.movies import Movie
from tests.pangolin_dash.conftest import INTEGRATIONS

ACTS = [act.name for act in make_acts(Options())]
SCANLINES = 262
ALLOWED = 0.7


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name.endswith("Act1") else pytest.mark.slow) for name in ACTS],
)
def test_movie_finishes_the_act(name: str) -> None:
    """The search's inputs reach the end, with the same reward, and no frame's work is too long."""
    movie = Movie.load(MOVIES / f"{name}.json")
    env = open_act(SHIPPED, name, INTEGRATIONS)
    try:
        outcome = replay(env, movie)
    finally:
        env.close()
    assert outcome.finished
    assert outcome.frames <= FRAME_LIMIT
    assert outcome.reward == pytest.approx(movie.reward, abs=1e-3)
    assert outcome.reward == pytest.approx(
        9000 + 1000 * (1 - outcome.info["frame"] / 18000), abs=0.1
    )
    assert outcome.lag_frames == 0
    assert outcome.cpu_lines <= ALLOWED * SCANLINES, f"{outcome.cpu_lines} of {SCANLINES} lines"


def _hash(name: str, frames: int) -> str:
    digest = hashlib.sha256()
    env = open_act(SHIPPED, name, INTEGRATIONS)
    movie = Movie.load(MOVIES / f"{name}.json")

    def watch(picture: np.ndarray, info: dict[str, int]) -> None:
        if info["frame"] < frames:
            digest.update(picture.tobytes())
            digest.update(env.get_ram().tobytes())

    try:
        replay(env, Movie(movie.inputs[:60], 0.0), watch)
    finally:
        env.close()
    return digest.hexdigest()


@pytest.mark.parametrize(
    "name", ["FernHollow.Act1", pytest.param("StarlitRuins.Act2", marks=pytest.mark.slow)]
)
def test_same_inputs_give_the_same_frames_and_ram(name: str) -> None:
    assert _hash(name, 400) == _hash(name, 400)
    assert _hash(name, 400) != _hash(name, 399)
