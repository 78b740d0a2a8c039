"""Many worlds at once: the contest's environment in every timestep, and what learning needs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pangolin_dash import movies, routes
from pangolin_dash.acts import SHIPPED, Options, make_acts
from pangolin_dash.compile import host, ram
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import (
    DIED,
    FINISHED,
    LEFT,
    NO_NEW_GROUND,
    RIGHT,
    RUNNING,
    TIME_OVER,
    B,
    Worlds,
    buttons,
    pad_of,
)
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.make import make
from retro_contest.levels import find_one

PADS = np.array([RIGHT, RIGHT | B, RIGHT | B, RIGHT, B, LEFT, LEFT | B, 0], np.uint8)
LAST_FRAME = {"cpu_lines", "lag_frames", "playing"}  # of the machine, not of the game's logic


@pytest.fixture(scope="module")
def env() -> Iterator[ContestEnv]:
    env = make(f"{SHIPPED}/FernHollow.Act1", draw_all=True)
    yield env
    env.close()


def traced(acts: list[Act], number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    name = acts[number].name
    return routes.trace(Worlds(acts, 1), number, movies.load(movies.FOLDER, [name])[name])


@pytest.mark.parametrize("number", range(18))
def test_every_timestep_is_the_contests(number: int, acts: list[Act], env: ContestEnv) -> None:
    """A part of the act along its movie, then at random with sticky actions, perhaps to an end."""
    act = acts[number]
    worlds = Worlds([act], 1)
    route, _ = traced([act])
    rng = np.random.default_rng(number)
    pads = np.concatenate([route["pad"][: len(route) // 4], rng.choice(PADS, 90)])
    sticky = np.arange(len(pads)) >= len(route) // 4
    repeats = (rng.random(len(pads)) < 0.25) & sticky

    env.change_level(find_one(f"{SHIPPED}/{act.name}"))
    _, info = env.reset()
    names = set(ram.VARIABLES) - LAST_FRAME
    index = {name: i for i, name in enumerate(env.retro.buttons) if name}
    total = 0.0
    for pad, repeat in zip(pads, repeats, strict=True):
        variables = worlds.state["variables"][0]
        assert {name: info[name] for name in names} == {name: variables[name] for name in names}
        action = np.zeros(12, np.int8)
        action[[index[name] for name in buttons(pad)]] = 1
        env.sticky = float(repeat)
        _, reward, terminated, truncated, info = env.step(action)
        worlds.step(np.array([pad]), repeats=np.array([repeat]), restart=False)
        total += reward
        assert worlds.rewards[0] == pytest.approx(reward, abs=1e-3)
        assert worlds.scores[0] == pytest.approx(total, abs=1e-2)
        assert bool(worlds.over[0]) == (terminated or truncated)
        if worlds.over[0]:
            break
    variables = worlds.state["variables"][0]
    assert {name: info[name] for name in names} == {name: variables[name] for name in names}


def test_a_movie_finishes_its_act_and_its_route_is_worth_9000(acts: list[Act]) -> None:
    act = acts[6]
    route, _ = traced([act])
    worlds = Worlds([act], 1, routes=[route])
    ground, along = 0.0, 0.0
    for pad in [*route["pad"], 0, 0]:
        worlds.step(np.array([pad]), repeats=np.zeros(1), restart=False)
        ground += worlds.ground[0]
        along += worlds.along[0]
        if worlds.over[0]:
            break
    assert worlds.over[0] == FINISHED
    movie = movies.load(movies.FOLDER, [act.name])[act.name]
    assert worlds.scores[0] == pytest.approx(movie.reward, abs=1e-2)
    assert ground == pytest.approx(9000, abs=1e-2)
    assert along == pytest.approx(9000, rel=0.03)


def test_draws_have_the_contests_stickiness_and_are_each_worlds_own(acts: list[Act]) -> None:
    worlds, again, other = (Worlds(acts[:1], 64, seed=seed, patience=50) for seed in (1, 1, 2))
    rng = np.random.default_rng(0)
    repeated, differ = [], 0
    for _ in range(200):
        pads = rng.choice(PADS, 64)
        fresh = worlds.state["fresh"].copy()
        for each in (worlds, again, other):
            each.step(pads)
        assert not worlds.repeated[fresh > 0].any()
        repeated += worlds.repeated[fresh == 0].tolist()
        assert (worlds.slots == again.slots).all()
        differ += (worlds.repeated != other.repeated).any()
    assert np.mean(repeated) == pytest.approx(0.25, abs=0.015)
    assert differ > 150


def test_how_episodes_end_and_begin_again(acts: list[Act]) -> None:
    route, states = traced(acts[:2])
    worlds = Worlds(acts[:2], 4, sticky=0, time_limit=40, patience=25)
    worlds.load(1, 1)
    worlds.starts[2] = states[len(route) - 5]
    worlds.restore(2, worlds.starts[2])
    worlds.begin(2)
    first = worlds.slots.copy()
    ends: list[set[int]] = [set() for _ in range(4)]
    for t in range(120):
        right = route["pad"][min(t, len(route) - 1)]
        worlds.step(np.array([right, 0, RIGHT, LEFT], np.uint8))
        for world in np.flatnonzero(worlds.over):
            ends[world].add(int(worlds.over[world]))
            assert (worlds.slots[world] == worlds.starts[world]).all()
            assert worlds.lengths[world] > 0
    assert TIME_OVER in ends[0] and ends[1] == ends[3] == {NO_NEW_GROUND}
    assert ends[2] <= {FINISHED, DIED} and FINISHED in ends[2]
    assert (first[0] == worlds.starts[0]).all()

    ended = Worlds(acts[:1], 1, time_limit=3)
    for t in range(5):
        ended.step(np.array([RIGHT]), restart=False)
        assert ended.over[0] == (TIME_OVER if t >= 2 else RUNNING)
    assert ended.lengths[0] == 3 and ended.rewards[0] == 0 == ended.ground[0]


def test_a_restored_world_goes_on_exactly(acts: list[Act]) -> None:
    worlds = Worlds(acts[3:4], 3, seed=5)
    rng = np.random.default_rng(1)
    for _ in range(30):
        worlds.step(np.repeat(rng.choice(PADS, 1), 3), repeats=np.zeros(3))
    kept = worlds.slots[0].copy()
    pads = rng.choice(PADS, 40)
    for pad in pads:
        worlds.step(np.repeat(pad, 3), repeats=np.zeros(3), restart=False)
    end = worlds.slots[0].copy()
    assert not (end == kept).all()
    worlds.restore(1, kept)
    for pad in pads:
        worlds.step(np.repeat(pad, 3), repeats=np.zeros(3), restart=False)
    assert (worlds.slots[1] == end).all()


def test_more_than_256_acts() -> None:
    few = make_acts(Options(seed=3, zones=("FernHollow", "EmberWorks"), acts=2, name="Many"))
    worlds = Worlds([few[i % 4] for i in range(300)], 2)
    worlds.load(0, 299)
    worlds.load(1, 3)
    for _ in range(20):
        worlds.step(np.full(2, RIGHT), repeats=np.zeros(2))
    assert worlds.state["variables"][0] == worlds.state["variables"][1]
    assert worlds.state["variables"]["zone"][0] == 4


def test_observations_are_finite_and_small(acts: list[Act]) -> None:
    traces = [traced(acts, number) for number in range(18)]
    worlds = Worlds(acts, 18, routes=[route for route, _ in traces], patience=100)
    for number in range(18):
        worlds.load(number, number)
    first = worlds.observe()
    assert first.shape == (18, worlds.observation_size)
    rng = np.random.default_rng(2)
    seen = np.zeros(worlds.observation_size, bool)
    for t in range(600):
        along = np.array([route["pad"][min(t, len(route) - 1)] for route, _ in traces])
        worlds.step(np.where(rng.random(18) < 0.9, along, rng.choice(PADS, 18)))
        observation = worlds.observe()
        assert np.isfinite(observation).all() and abs(observation).max() <= 12
        seen |= (observation != first).any(axis=0)
    assert seen.mean() > 0.9


def test_on_screen_nothing_else_is_told(acts: list[Act]) -> None:
    """Blocks beyond the screen and the time change nothing, and rings beyond it are not told."""
    whole, limited = (Worlds(acts, 18, seed=3, on_screen=each) for each in (False, True))
    assert limited.observation_size != whole.observation_size
    rng = np.random.default_rng(4)
    map_at = host.library(False).slot_size(0)
    beyond = {whole: 0, limited: 0}
    for number in range(18):
        whole.load(number, number)
        limited.load(number, number)
    for t in range(300):
        pads = np.where(rng.random(18) < 0.8, RIGHT | B, rng.choice(PADS, 18)).astype(np.uint8)
        whole.step(pads)
        limited.step(pads)
        if t % 50:
            continue
        for worlds in (whole, limited):
            before, kept = worlds.observe(), worlds.slots.copy()
            variables = worlds.state["variables"]
            for present, dx, _ in before[:, -6:].reshape(18, 2, 3).transpose(1, 2, 0):
                shown_at = 64 * dx + variables["x"] - variables["screen_x"]
                beyond[worlds] += (present.astype(bool) & (shown_at > 320 + 8)).sum()
            for number, act in enumerate(acts):
                left, top = (
                    int(variables[name][number]) // 16 for name in ("screen_x", "screen_y")
                )
                blocks = worlds.slots[number, map_at:][: act.map.size].reshape(-1, 32)
                inside = blocks[left : left + 21, top : top + 15].copy()
                blocks[:] = rng.integers(0, 64, blocks.shape)
                blocks[left : left + 21, top : top + 15] = inside
            worlds.state["idle"] += 30
            worlds.state["length"] += 30
            changed = (worlds.observe() != before).any(axis=1)
            assert changed.all() if worlds is whole else not changed.any()
            worlds.slots[:] = kept
    assert beyond[limited] == 0 < beyond[whole]


def test_structures_are_those_of_the_c_code() -> None:
    library = host.library(False)
    empty = library.slot_size(0)
    assert library.slot_size(10) - empty == 320
    assert host.SLOT.itemsize < empty
    assert pad_of(("RIGHT", "B")) == RIGHT | B
