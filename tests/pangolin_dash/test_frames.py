"""Frames without the emulator: those of the contest's environment, in every pixel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from agent.models.frames import shrink
from pangolin_dash import movies, routes
from pangolin_dash.acts import SHIPPED, START_CLOCKS, Options, make_acts
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import DIED, DOWN, LEFT, RIGHT, RUNNING, B, Worlds, buttons
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.make import make
from retro_contest.emulator.undrawn import Undrawn
from retro_contest.levels import find_one

PADS = np.array([RIGHT, RIGHT | B, RIGHT | B, RIGHT, B, LEFT, LEFT | B, DOWN], np.uint8)


@pytest.fixture(scope="module")
def env() -> Iterator[ContestEnv]:
    env = make(f"{SHIPPED}/FernHollow.Act1", draw_all=True)
    env.undrawn = (
        Undrawn()
    )  # only the last frame of a timestep is drawn, whatever a proof would say
    yield env
    env.close()


@pytest.fixture(scope="module")
def movie_pads(acts: list[Act]) -> list[np.ndarray]:
    """What each act's movie presses in every timestep."""
    stored = movies.load(movies.FOLDER, [act.name for act in acts])
    worlds = Worlds(acts, 1)
    return [routes.trace(worlds, i, stored[act.name])[0]["pad"] for i, act in enumerate(acts)]


def begin(env: ContestEnv, act: Act) -> np.ndarray:
    """Reset the environment in an act; returns the first frame."""
    env.change_level(find_one(f"{SHIPPED}/{act.name}"))
    return env.reset()[0]


def step(env: ContestEnv, pad: int, repeat: bool) -> tuple[np.ndarray, bool]:
    """One timestep of the environment; returns the frame, and whether the episode ended."""
    names = {name: i for i, name in enumerate(env.retro.buttons) if name}
    action = np.zeros(12, np.int8)
    action[[names[name] for name in buttons(pad)]] = 1
    env.sticky = float(repeat)
    frame, _, terminated, truncated, _ = env.step(action)
    return frame, terminated or truncated


def check(worlds: Worlds, frame: np.ndarray, place: str) -> None:
    """World 0 shows this frame, large and small."""
    mine = worlds.draw()[0]
    wrong = int((mine != frame).any(axis=-1).sum())
    assert wrong == 0, f"{place}: {wrong} pixels differ"
    assert (worlds.draw_small()[0] == shrink(frame)).all(), place


def check_act(env: ContestEnv, act: Act, pads: np.ndarray, random: int, seed: int) -> None:
    """Every frame along some pads and then at random, with sticky actions, perhaps to an end."""
    rng = np.random.default_rng(seed)
    worlds = Worlds([act], 1, frames=True)
    check(worlds, begin(env, act), f"{act.name} at its start")
    for t, pad in enumerate(np.concatenate([pads, rng.choice(PADS, random)])):
        repeat = t >= len(pads) and bool(rng.random() < 0.25)
        frame, over = step(env, int(pad), repeat)
        worlds.step(np.array([pad]), repeats=np.array([repeat]), restart=False)
        assert bool(worlds.over[0]) == over
        check(worlds, frame, f"{act.name}, timestep {t}")
        if over:
            break


@pytest.mark.parametrize("number", range(18))
def test_every_frame_is_the_environments(
    number: int, acts: list[Act], movie_pads: list[np.ndarray], env: ContestEnv
) -> None:
    """A part of each act: the first third of its movie, then random pads."""
    pads = movie_pads[number]
    check_act(env, acts[number], pads[: len(pads) // 3], 60, seed=number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(18))
def test_every_frame_of_a_movie_is_the_environments(
    number: int, acts: list[Act], movie_pads: list[np.ndarray], env: ContestEnv
) -> None:
    """Whole acts, their ends included, and long random play from their starts."""
    check_act(env, acts[number], np.append(movie_pads[number], [0, 0]), 0, seed=number)
    check_act(env, acts[number], movie_pads[number][:5], 600, seed=100 + number)


def test_the_next_episodes_first_frame_follows_a_restart(acts: list[Act], env: ContestEnv) -> None:
    act = acts[13]  # lava
    worlds = Worlds([act], 2, frames=True)
    first = begin(env, act)
    check(worlds, first, "start")
    deaths, moved = 0, 0
    for t in range(400):
        pad = RIGHT if t % 9 else RIGHT | B
        frame, over = step(env, pad, False)
        worlds.step(np.full(2, pad), repeats=np.zeros(2))
        assert over == (worlds.over[0] == DIED)
        if over:
            deaths += 1
            frame = env.reset()[0]
            assert (frame == first).all()
        moved += int((frame != first).any())
        check(worlds, frame, f"timestep {t}, {deaths} deaths")
        if deaths == 2:
            break
    assert deaths == 2 and moved > 20


def test_a_restored_world_shows_its_frame_again(
    acts: list[Act], movie_pads: list[np.ndarray]
) -> None:
    number = 16
    pads = movie_pads[number]
    worlds, plain = Worlds(acts, 3, frames=True), Worlds(acts, 1)
    for world in range(3):
        worlds.load(world, number)
    plain.load(0, number)
    frames, rows, plain_rows = [], [], []
    for pad in pads:
        worlds.step(np.full(3, pad), repeats=np.zeros(3), restart=False)
        plain.step(np.full(1, pad), repeats=np.zeros(1), restart=False)
        frames.append(worlds.draw()[0])
        rows.append(worlds.slots[0].copy())
        plain_rows.append(plain.slots[0].copy())
    assert worlds.over[0] == RUNNING
    for t in range(5, len(pads) - 20, 45):
        worlds.restore(0, rows[t])
        assert (worlds.draw()[0] == frames[t]).all()
        worlds.restore(1, plain_rows[t])  # it has no picture
        for later in range(t + 1, t + 12):
            worlds.step(np.full(3, pads[later]), repeats=np.zeros(3), restart=False)
            mine = worlds.draw()
            assert (mine[0] == frames[later]).all()
            if later > t + 4:  # a teleport's terrain may be there earlier
                assert (mine[1] == frames[later]).all()


def test_frames_change_nothing_in_the_game(acts: list[Act]) -> None:
    with_frames, without = (Worlds(acts, 18, seed=3, frames=f, patience=60) for f in (True, False))
    for world in range(18):
        with_frames.load(world, world)
        without.load(world, world)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(400):
        pads = rng.choice(PADS, 18)
        for worlds in (with_frames, without):
            worlds.step(pads)
        ends += (without.over > 0).sum()
        assert (with_frames.state == without.state).all()
        assert (with_frames.observe() == without.observe()).all()
    assert ends > 20


def test_worlds_of_many_acts_show_what_each_would_alone(acts: list[Act]) -> None:
    worlds = Worlds(acts, 18, frames=True)
    alone = [Worlds([act], 1, frames=True) for act in acts]
    for world in range(18):
        worlds.load(world, world)
    rng = np.random.default_rng(1)
    small = np.zeros((18, 64, 64, 3), np.uint8)
    for _ in range(40):
        pads = rng.choice(PADS, 18)
        worlds.step(pads, repeats=np.zeros(18))
        for one, pad in zip(alone, pads, strict=True):
            one.step(np.array([pad]), repeats=np.zeros(1))
    assert worlds.draw_small(small) is small
    assert (small == np.concatenate([one.draw_small() for one in alone])).all()
    assert (worlds.draw() == np.concatenate([one.draw() for one in alone])).all()
    assert len({frame.tobytes() for frame in small}) == 18


def test_acts_that_are_not_shipped_have_frames_too() -> None:
    made = make_acts(Options(seed=9, zones=("CoralGrotto",), acts=4, name="Own"))
    assert "CoralGrotto.Act4" not in START_CLOCKS
    worlds = Worlds(made, 4, frames=True)
    for world in range(4):
        worlds.load(world, world)
    seen = set()
    for _ in range(50):
        worlds.step(np.full(4, RIGHT))
        seen |= {frame.tobytes() for frame in worlds.draw_small()}
    assert len(seen) > 100


def test_what_is_no_array_for_frames_is_refused(acts: list[Act]) -> None:
    with pytest.raises(ValueError, match="frames=True"):
        Worlds(acts[:1], 1).draw_small()
    worlds = Worlds(acts[:1], 2, frames=True)
    with pytest.raises(ValueError, match="no array for frames"):
        worlds.draw(np.zeros((2, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="contiguous"):
        worlds.draw_small(np.zeros((2, 64, 64, 6), np.uint8)[..., :3])
