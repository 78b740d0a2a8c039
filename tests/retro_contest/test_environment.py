"""The contest's environment against stable-retro's own API, frame by frame."""

import gzip
import json
import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import stable_retro
from gymnasium.utils import seeding
from gymnasium.utils.env_checker import check_env

from retro_common.errors import UsageError
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.make import make
from retro_contest.levels import Level

LEVEL = Level("Airstriker-Genesis-v0", "Level1")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Verdicts on undrawn frames go into a folder of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def buttons(count: int, seed: int = 0) -> np.ndarray:
    """Random buttons, each held for 4 timesteps."""
    return np.random.default_rng(seed).integers(0, 2, (count // 4 + 1, 12), np.int8).repeat(4, 0)


def play(env: gymnasium.Env, actions: np.ndarray, seed: int) -> list:
    """Everything an agent sees."""
    seen = [env.reset(seed=seed)[0]]
    for action in actions:
        frame, reward, terminated, truncated, _ = env.step(action)
        seen.append((frame, reward, terminated, truncated))
        if terminated or truncated:
            seen.append(env.reset()[0])
    return seen


def reference(actions: np.ndarray, seed: int, sticky: float, frame_skip: int, limit: int) -> list:
    """The same by the rules' text, through stable-retro's own `env.step`."""
    env = stable_retro.make(LEVEL.game, LEVEL.state, render_mode="rgb_array")
    random, _ = seeding.np_random(seed)
    seen = [env.reset()[0]]
    previous, timesteps = None, 0
    for action in actions:
        late = previous is not None and random.random() < sticky
        total = 0.0
        for frame_number in range(frame_skip):
            current = previous if late and frame_number == 0 else action
            frame, reward, terminated, _, _ = env.step(current)
            total += reward
            if terminated:
                break
        previous = current if frame_skip == 1 else action
        timesteps += 1
        truncated = not terminated and timesteps == limit
        seen.append((frame, total, terminated, truncated))
        if terminated or truncated:
            seen.append(env.reset()[0])
            previous, timesteps = None, 0
    env.close()
    return seen


def assert_same(ours: list, theirs: list) -> None:
    assert len(ours) == len(theirs)
    for timestep, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(a, tuple):
            assert a[1:] == b[1:], f"timestep {timestep}"
            a, b = a[0], b[0]
        np.testing.assert_array_equal(a, b, err_msg=f"timestep {timestep}")


@pytest.mark.parametrize("draw_all", [True, False])
@pytest.mark.parametrize(
    ("sticky", "frame_skip", "limit"), [(0.25, 4, 4500), (1, 4, 50), (0, 3, 70), (0.5, 1, 4500)]
)
def test_plays_by_the_rules(sticky, frame_skip, limit, draw_all):
    actions = buttons(400)
    env = make(LEVEL, sticky=sticky, frame_skip=frame_skip, time_limit=limit, draw_all=draw_all)
    assert (env.undrawn is None) == draw_all
    ours = play(env, actions, seed=5)
    env.close()
    assert_same(ours, reference(actions, 5, sticky, frame_skip, limit))
    if frame_skip == 4 and limit == 4500:
        assert any(entry[2] for entry in ours if isinstance(entry, tuple)), "no episode ended"


def test_is_a_gymnasium_environment():
    env = make(LEVEL, seed=0)
    with pytest.warns(UserWarning, match="render modes"):
        check_env(env)
    assert env.observation_space.shape == (224, 320, 3)
    assert env.action_space == gymnasium.spaces.MultiBinary(12)


def test_seed():
    actions = buttons(120)
    traces = []
    for seed in (1, 1, 2):
        env = make(LEVEL, seed=seed)
        traces.append(play(env, actions, seed=None))
        env.close()
    again = make(LEVEL, seed=9)
    traces.append(play(again, actions, seed=1))  # reset(seed=1) is make(seed=1)
    again.close()
    assert_same(traces[0], traces[1])
    assert_same(traces[0], traces[3])
    with pytest.raises(AssertionError):
        assert_same(traces[0], traces[2])


def test_observations_are_copies():
    env = make(LEVEL, seed=0)
    first, info = env.reset()
    kept = first.copy()
    assert info == {"gameover": 9, "lives": 3, "score": 0}
    second, *_ = env.step(buttons(1)[0])
    kept_second = second.copy()
    env.step(buttons(1)[0])
    assert (first == kept).all() and (second == kept_second).all()
    rendered = env.render()
    rendered[:] = 0
    assert env.render().any()
    env.close()


def test_filtered_actions():
    """START is no button of the contest: pressing it does nothing."""
    frames = []
    for start in (0, 1):
        env = make(LEVEL, sticky=0)
        env.reset()
        action = np.zeros(12, np.int8)
        action[3] = start
        frames.append([env.step(action)[0] for _ in range(30)])
        env.close()
    assert_same(*frames)


def test_reset_comes_first():
    env = make(LEVEL, time_limit=2)
    action = np.zeros(12, np.int8)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(action)
    env.reset()
    assert env.step(action)[3] is False
    assert env.step(action)[3] is True
    assert env.episode_length == 2
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(action)
    env.close()


@pytest.mark.parametrize("rule", [{"frame_skip": 0}, {"sticky": 1.5}, {"time_limit": 0}])
def test_impossible_rules(rule):
    with pytest.raises(ValueError, match="impossible rules"):
        make(LEVEL, draw_all=True, **rule)


@pytest.mark.parametrize("draw_all", [True, False])
def test_movies_play_back_in_plain_stable_retro(tmp_path, draw_all):
    env = make(LEVEL, seed=3, time_limit=450, record=tmp_path / "movies", draw_all=draw_all)
    episodes = []
    env.reset()
    for action in buttons(900, seed=1):
        frame, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            episodes.append((env.episode_reward, frame))
            if len(episodes) == 2:
                break
            env.reset()
    # Complete as soon as the episode ends: nothing waits for close().
    movies = sorted((tmp_path / "movies").glob("*.bk2"))
    assert [movie.name for movie in movies] == [
        f"Airstriker-Genesis-v0-Level1-00000{i}.bk2" for i in range(2)
    ]
    env.close()
    for path, (reward, frame) in zip(movies, episodes, strict=True):
        assert_movie(path, reward, frame)


def assert_movie(path: Path, reward: float, last: np.ndarray) -> None:
    """Play a movie as stable-retro's own script does."""
    movie = stable_retro.Movie(str(path))
    movie.step()
    env = stable_retro.make(
        movie.get_game(),
        state=stable_retro.State.NONE,
        use_restricted_actions=stable_retro.Actions.ALL,
        players=movie.players,
        render_mode="rgb_array",
    )
    env.initial_state = movie.get_state()
    env.reset()
    total, frame = 0.0, None
    while movie.step():
        frame, step_reward, *_ = env.step([movie.get_key(i, 0) for i in range(env.num_buttons)])
        total += step_reward
    env.close()
    assert total == reward
    np.testing.assert_array_equal(frame, last)


@pytest.fixture
def custom(tmp_path):
    """A custom integration folder: Airstriker with a contest scenario in Lua."""
    folder = tmp_path / "integration" / "Airstriker-Genesis-v0"
    shutil.copytree(LEVEL.folder, folder)
    (folder / "contest.json").write_text(
        json.dumps(
            {
                "reward": {"script": "lua:reward"},
                "done": {"script": "lua:done"},
                "scripts": ["contest.lua"],
            }
        )
    )
    (folder / "contest.lua").write_text(
        "data.last = 0\n"
        "function reward()\n"
        "  local gain = data.score - data.last\n"
        "  data.last = data.score\n"
        "  return gain + 0.25 * (scenario.frame % 3)\n"
        "end\n"
        "function done() return data.lives < 2 end\n"
    )
    return Level("Airstriker-Genesis-v0", "Level1", folder.parent)


def test_custom_integration_and_contest_scenario(custom):
    """The contest scenario wins over the default one, and Lua sees every frame, drawn or not."""
    traces = []
    for draw_all in (True, False):
        env = make(custom, seed=0, draw_all=draw_all)
        assert (env.undrawn is None) == draw_all
        traces.append(play(env, buttons(300), seed=0))
        env.close()
    assert_same(*traces)
    rewards = [entry[1] for entry in traces[0] if isinstance(entry, tuple)]
    assert {reward % 1 for reward in rewards} >= {0.0, 0.25, 0.75}
    assert any(entry[2] for entry in traces[0] if isinstance(entry, tuple))

    env = make(LEVEL)  # the game of the same name in stable-retro is unchanged
    assert env.retro.data.lookup_all().keys() == {"gameover", "lives", "score"}
    env.reset()
    assert env.step(np.zeros(12, np.int8))[1] == 0
    env.close()


def test_change_level(custom):
    """Another state of the same game needs no new emulator and plays like a new environment."""
    env = make(LEVEL, seed=0)
    env.reset()
    env.step(np.ones(12, np.int8))
    later = env.retro.em.get_state()
    env.close()

    state = custom.folder / "Later.state"
    state.write_bytes(gzip.compress(later))
    other = Level(custom.game, "Later", custom.integrations)
    env = make(other)
    expected = play(env, buttons(60), seed=2)
    env.close()

    env = make(custom)
    play(env, buttons(20), seed=0)
    assert env.can_play(other) and not env.can_play(LEVEL)
    env.change_level(other)
    assert env.level == other
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(12, np.int8))
    assert_same(play(env, buttons(60), seed=2), expected)
    with pytest.raises(ValueError, match="cannot go"):
        env.change_level(LEVEL)
    env.close()


def test_video_mode_changes():
    """A frame of another size is cut or padded: the observation's shape never changes."""
    env = ContestEnv(LEVEL)
    frame, _ = env.reset()
    env.observation_space = gymnasium.spaces.Box(0, 255, (240, 256, 3), np.uint8)
    fitted = env.render()
    assert fitted.shape == (240, 256, 3)
    assert (fitted[:224] == frame[:, :256]).all() and not fitted[224:].any()
    env.close()


def test_mistakes_are_explained(custom):
    with pytest.raises(UsageError, match="unknown game 'Nothing'"):
        make(Level("Nothing", "Level1"))
    with pytest.raises(UsageError, match="no state 'Level2'; did you mean 'Level1'"):
        make(Level(LEVEL.game, "Level2"))
    (custom.folder / "rom.md").unlink()
    with pytest.raises(UsageError, match="no ROM for Airstriker"):
        make(custom)
    with pytest.raises(UsageError, match="no ROM for SonicTheHedgehog-Genesis-v0"):
        make(Level("SonicTheHedgehog-Genesis-v0", "GreenHillZone.Act1"))


def test_a_level_may_be_given_by_its_name():
    for name in (LEVEL.name, "airstriker", LEVEL.state):
        env = make(name, seed=0)
        assert env.level == LEVEL
        env.close()
    with pytest.raises(UsageError, match="'pangolin-train' means 13 levels: name one"):
        make("pangolin-train")
    with pytest.raises(UsageError, match="did you mean 'airstriker'"):
        make("airstrike")
