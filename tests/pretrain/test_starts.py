"""Training episodes that begin along a movie, and end where nothing happens any more."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import retro_contest.levels
from pretrain import starts
from pretrain.data.movies import find_movie
from retro_contest.emulator import make
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.vector import VectorEnv

MOVIES = Path(__file__).parents[2] / "pangolin_dash/movies"
LEVELS = retro_contest.levels.find("pangolin-train")
RIGHT = np.eye(12, dtype=np.int8)[7]
NOTHING = np.zeros(12, np.int8)


@pytest.fixture
def env():
    with make.make(LEVELS[0]) as env:
        yield env


def positions(env: ContestEnv, chance: float, episodes: int, movies: Path = MOVIES) -> list[int]:
    """The player's x at the beginnings of episodes."""
    wrapped = starts.wrapper(movies, chance, patience=0)(env)
    found = []
    for seed in range(episodes):
        frame, info = wrapped.reset(seed=seed)
        assert frame.shape == (64, 64, 3)
        found.append(info["x"])
    return found


def test_episodes_begin_all_along_the_movie(env: ContestEnv) -> None:
    begin = positions(env, 0.0, 3)
    assert len(set(begin)) == 1
    along = positions(env, 1.0, 30)
    assert min(along) < 0.3 * max(along) and len(set(along)) > 15
    assert max(along) > 0.5 * env.reset()[1]["x"] + 2000, "also near the level's end"
    some = positions(env, 0.5, 30)
    assert 8 <= sum(x == begin[0] for x in some) <= 22


def test_what_follows_is_as_if_one_had_walked_there(env: ContestEnv) -> None:
    movie = find_movie(MOVIES, env.level.state)
    states = starts.states_along(env, movie)
    assert len(states) == (len(movie) - 1) // starts.SPACING
    env.sticky = 0.0
    env.reset()
    for row in movie[: 10 * starts.SPACING]:
        env.step(row)
    there = env.variables()
    walked = [env.step(row) for row in movie[10 * starts.SPACING :][:40]]
    decompress = starts.zstandard.ZstdDecompressor().decompress
    _, info = env.reset(options={"state": decompress(states[9])})
    assert not env.from_start
    assert abs(info["x"] - there["x"]) <= 16, "a reset lets one frame pass"
    jumped = [env.step(row) for row in movie[10 * starts.SPACING :][:40]]
    earned = [sum(step[1] for step in steps) for steps in (walked, jumped)]
    assert earned[0] > 100 and earned[1] == pytest.approx(earned[0], rel=0.2)
    env.reset()
    assert env.from_start, "the level's own save-state is there again"


def test_an_episode_depends_on_its_seed_alone(env: ContestEnv) -> None:
    wrapped = starts.wrapper(MOVIES, 0.8, patience=0)(env)

    def play() -> list[np.ndarray]:
        frames = [wrapped.reset(seed=5)[0]]
        actions = np.random.default_rng(0).integers(0, 2, (20, 12), np.int8)
        return frames + [wrapped.step(action)[0] for action in actions]

    first = play()  # makes the states on the way
    wrapped.reset(seed=1)
    np.testing.assert_array_equal(first, play())


def test_patience_ends_an_episode_that_gets_nowhere(env: ContestEnv) -> None:
    wrapped = starts.wrapper(None, 0.0, patience=30)(env)
    wrapped.reset(seed=0)
    ends = []
    for t in range(60):
        _, _, terminated, truncated, _ = wrapped.step(RIGHT if t < 20 else NOTHING)
        ends.append(truncated)
        assert not terminated
        if truncated:
            break
    assert 49 <= len(ends) < 60, "30 timesteps after the last new ground"
    wrapped.reset(seed=0)
    assert not wrapped.step(NOTHING)[3]


def test_a_level_without_a_movie_begins_at_its_start(env: ContestEnv, tmp_path: Path) -> None:
    assert len(set(positions(env, 1.0, 4, movies=tmp_path))) == 1


def test_a_movie_that_ends_too_early_gives_the_states_before(
    env: ContestEnv, tmp_path: Path
) -> None:
    shutil.copy(MOVIES / f"{LEVELS[0].state}.json", tmp_path)
    movie = find_movie(tmp_path, LEVELS[0].state)
    twice = np.concatenate([movie, movie])
    assert 0 < len(starts.states_along(env, twice)) <= len(movie) // starts.SPACING + 2


def test_the_record_tells_which_episodes_began_at_the_start() -> None:
    """Through the processes of a VectorEnv: the mean reward is of whole episodes."""
    wrap = starts.wrapper(MOVIES, 0.5, patience=12)
    with VectorEnv(LEVELS[:1], 2, seed=1, wrap=wrap) as envs:
        envs.reset()
        episodes = []
        for _ in range(200):
            episodes += envs.step(np.tile(NOTHING, (2, 1)))[4]["episodes"]
    whole = [episode.from_start for episode in episodes]
    assert any(whole) and not all(whole)
