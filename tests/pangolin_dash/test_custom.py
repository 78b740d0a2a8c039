"""Own games: fresh seeds give whole integrations whose acts can be finished."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pangolin_dash import movies
from pangolin_dash.levels.blocks import NUMBER
from pangolin_dash.levels.generator import LENGTHS, PROGRESS, generate
from pangolin_dash.levels.themes import THEMES
from pangolin_dash.replay import open_act, replay
from pangolin_dash.simulator import Simulator
from pangolin_dash.solve import solve
from retro_contest import levels
from tests.pangolin_dash.test_rom import needs_compiler


@pytest.mark.slow
@needs_compiler
def test_an_own_game_is_a_complete_level_set(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pangolin_dash.build", "--seed", "4711", "--acts", "1"]
    command += ["--zones", "AmberDunes", "StarlitRuins", "--name", "Custom", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "Custom"
    assert done.stdout.splitlines()[-1] == str(folder)
    found = levels.find(str(folder))
    assert [level.state for level in found] == ["AmberDunes.Act1", "StarlitRuins.Act1"]
    stored = movies.load(movies.folder_of(folder), [level.state for level in found])
    for level in found:
        movie = stored[level.state]
        env = open_act(level.game, level.state, tmp_path)
        try:
            outcome = replay(env, movie)
        finally:
            env.close()
        assert outcome.finished
        assert outcome.reward == pytest.approx(movie.reward, abs=1e-3)


def test_acts_are_new_for_every_seed_and_same_for_the_same() -> None:
    one, again, other = (generate("FrostPeak", 2, seed, 0.5) for seed in (1, 1, 2))
    assert np.array_equal(one.map, again.map) and one.things == again.things
    assert [name for _, name in one.sections] != [name for _, name in other.sections]


@pytest.mark.parametrize("zone", list(THEMES))
def test_shape_of_generated_acts(zone: str) -> None:
    for seed in range(12):
        act = generate(zone, 1 + seed % 3, seed, seed / 11)
        length = act.end_x - act.start[0]
        assert length in LENGTHS and PROGRESS % length == 0
        assert 4000 <= length <= 10_000
        assert len(act.map) * 16 > act.end_x + 320
        assert len(act.things) <= 200 and len(act.rings) <= 256
        assert list(act.things) == sorted(act.things, key=lambda t: t.x)
        assert len(act.sections) >= 8
        assert {NUMBER["goal_tl"], NUMBER["goal_br"]} <= set(act.map.ravel().tolist())


def test_an_act_without_a_route_has_no_movie() -> None:
    """The gate can fail: a wall to the sky across the act."""
    act = generate("FernHollow", 1, 5, 0.0)
    act.map[60:62, :] = NUMBER["wall"]
    assert solve(Simulator([act]), 0, effort=30_000) is None
