"""VectorEnv with real emulators in real processes, some of which die."""

import contextlib
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import psutil
import pytest

from retro_common.errors import UsageError
from retro_contest.emulator import proof
from retro_contest.emulator.make import make
from retro_contest.emulator.vector import VectorEnv, WorkerError
from retro_contest.levels import Level, find

LEVEL = Level("Airstriker-Genesis-v0", "Level1")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Workers find the verdict on undrawn frames in a folder of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        proof.may_skip(LEVEL)
        yield


def buttons(steps: int, num_envs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (steps, num_envs, 12), np.int8)


# Wrappers for the workers. They import this module, so it must stay light.


class Small(gymnasium.ObservationWrapper):
    """Every fourth pixel, and two buttons."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (56, 80, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)

    def observation(self, observation):
        return observation[::4, ::4]

    def step(self, action):
        chosen = np.zeros(12, np.int8)
        chosen[7 if action else 6] = 1
        frame, reward, terminated, truncated, info = self.env.step(chosen)
        return self.observation(frame), reward + 1000, terminated, truncated, info


class ShortByState(gymnasium.Wrapper):
    """Episodes of 5 timesteps on Level1 and of 15 on any other state."""

    def step(self, action):
        *result, truncated, info = self.env.step(action)
        inner = self.env.unwrapped
        limit = 5 if inner.level.state == "Level1" else 15
        return *result, truncated or inner.episode_length >= limit, info


def short(env):
    return gymnasium.wrappers.TimeLimit(env, 7)


class FailsAt(gymnasium.Wrapper):
    """Does something bad at the fifth timestep of each episode."""

    def __init__(self, env, how):
        super().__init__(env)
        self.how = how

    def step(self, action):
        if self.env.unwrapped.episode_length == 4:
            if self.how == "raise":
                raise ZeroDivisionError("as asked")
            if self.how == "hang":
                time.sleep(60)
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return self.env.step(action)


def raises(env):
    return FailsAt(env, "raise")


def hangs(env):
    return FailsAt(env, "hang")


def dies(env):
    return FailsAt(env, "die")


def test_plays_like_single_environments():
    """Frames, rewards, ends, variables and new episodes are those of `make` in this process."""
    actions = buttons(40, 2)
    names = ("score", "lives", "no such")
    with VectorEnv([LEVEL], 2, seed=4, variables=names, wrap=short) as envs:
        assert envs.single_observation_space.shape == (224, 320, 3)
        assert envs.observation_space.shape == (2, 224, 320, 3)
        assert envs.single_action_space == gymnasium.spaces.MultiBinary(12)
        observations, infos = envs.reset()
        steps = [envs.step(action) for action in actions]
        np.testing.assert_array_equal(envs.timesteps_per_level, [80])

    for i in range(2):
        seeds = iter(
            int(np.random.SeedSequence([4, i, episode]).generate_state(1)[0])
            for episode in range(100)
        )
        env = short(make(LEVEL))
        frame, variables = env.reset(seed=next(seeds))
        np.testing.assert_array_equal(observations[i], frame)
        assert infos["variables"][i, 1] == variables["lives"]
        total = 0.0
        for step, action in enumerate(actions):
            obs, rewards, terminations, truncations, infos_ = steps[step]
            frame, reward, terminated, truncated, variables = env.step(action[i])
            total += reward
            assert (rewards[i], terminations[i], truncations[i]) == (
                reward,
                terminated,
                truncated,
            )
            if terminated or truncated:
                np.testing.assert_array_equal(infos_["final_obs"][i], frame)
                assert infos_["_final_obs"][i] and infos_["_episodes"][i]
                episode = infos_["episodes"][i]
                assert episode.env == i
                assert (episode.level, episode.reward, episode.length) == (0, total, 7)
                assert episode.variables == variables
                frame, variables = env.reset(seed=next(seeds))
                total = 0.0
            else:
                assert "episodes" not in infos_ or infos_["episodes"][i] is None
            np.testing.assert_array_equal(obs[i], frame)
            assert infos_["variables"].dtype == np.float32
            assert infos_["variables"][i, 0] == variables["score"]
            assert np.isnan(infos_["variables"][i, 2])
        env.close()


def test_returned_arrays_are_copies():
    with VectorEnv([LEVEL], 1, seed=0, variables=("score",)) as envs:
        observations, _ = envs.reset()
        kept = observations.copy()
        first = envs.step(buttons(1, 1)[0])
        copies = [np.copy(array) for array in first[:4]]
        for _ in range(10):
            envs.step(buttons(1, 1)[0])
        np.testing.assert_array_equal(observations, kept)
        for array, copy in zip(first[:4], copies, strict=True):
            np.testing.assert_array_equal(array, copy)
        assert [array.dtype for array in first[:4]] == [np.uint8, np.float32, np.bool_, np.bool_]


def test_seed_and_wrap():
    """Wrappers work in the worker; records keep the contest's own reward."""
    runs = []
    for seed in (1, 1, 2):
        with VectorEnv([LEVEL], 1, seed=seed, wrap=Small) as envs:
            assert envs.single_action_space == gymnasium.spaces.Discrete(2)
            envs.reset()
            random = np.random.default_rng(0)
            steps = [envs.step(random.integers(0, 2, 1)) for _ in range(60)]
            assert steps[0][0].shape == (1, 56, 80, 3)
            assert steps[0][1][0] >= 1000
            runs.append(np.stack([step[0] for step in steps]))
            # A later reset begins new episodes; with the seed it begins the run anew.
            envs.reset(seed=seed)
            random = np.random.default_rng(0)
            again = np.stack([envs.step(random.integers(0, 2, 1))[0] for _ in range(60)])
            np.testing.assert_array_equal(again, runs[-1])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_async_steps_overlap():
    """Two halves: one steps while the other waits."""
    with (
        VectorEnv([LEVEL], 1, seed=0) as left,
        VectorEnv([LEVEL], 1, seed=1) as right,
    ):
        left.reset()
        right.reset()
        with pytest.raises(RuntimeError, match="without step_async"):
            left.step_wait()
        left.step_async(buttons(1, 1)[0])
        with pytest.raises(RuntimeError, match="again before step_wait"):
            left.step_async(buttons(1, 1)[0])
        right.step(buttons(1, 1)[0])
        assert left.step_wait()[0].shape == (1, 224, 320, 3)
        left.step_async(buttons(1, 1)[0])
        left.reset()  # waits for the step under way


@pytest.fixture
def three_levels(tmp_path):
    """Two states of one game, and a game of another folder."""
    folders = [tmp_path / name / LEVEL.game for name in ("one", "two")]
    for folder in folders:
        shutil.copytree(LEVEL.folder, folder)
    env = make(LEVEL)
    env.reset()
    for _ in range(30):
        env.step(np.ones(12, np.int8))
    later = gzip.compress(env.retro.em.get_state())
    env.close()
    (folders[0] / "Later.state").write_bytes(later)
    (folders[1] / "Later.state").write_bytes(later)
    return [
        Level(LEVEL.game, "Level1", folders[0].parent),
        Level(LEVEL.game, "Later", folders[0].parent),
        Level(LEVEL.game, "Later", folders[1].parent),
    ]


def test_levels_share_the_timesteps(three_levels):
    """Levels get the same number of timesteps, however long their episodes are."""
    starts = []
    for level in three_levels:
        env = make(level)
        starts.append(env.reset()[0])
        env.close()
    with VectorEnv(three_levels, 2, seed=0, wrap=ShortByState) as envs:
        observations, infos = envs.reset()
        played = np.zeros(3, int)
        before, lengths = infos["level"], []
        for action in buttons(120, 2):
            played += np.bincount(before, minlength=3)
            observations, _, _, truncations, infos = envs.step(action)
            for i in np.flatnonzero(truncations):
                np.testing.assert_array_equal(observations[i], starts[infos["level"][i]])
            for episode in filter(None, infos.get("episodes", ())):
                assert episode.level == before[episode.env]
                lengths.append((episode.level, episode.length))
            before = infos["level"]
        np.testing.assert_array_equal(envs.timesteps_per_level, played)
    assert set(lengths) == {(0, 5), (1, 15), (2, 15)}
    assert played.sum() == 240 and np.abs(played - 80).max() <= 15, played


def test_many_that_end_at_once_spread_over_the_levels(three_levels):
    with VectorEnv(three_levels, 3, seed=0, wrap=short, draw_all=True) as envs:
        _, infos = envs.reset()
        for action in buttons(15, 3):
            assert sorted(infos["level"]) == [0, 1, 2]
            infos = envs.step(action)[4]


def test_a_killed_worker_is_replaced(caplog):
    with VectorEnv([LEVEL], 2, seed=0) as envs:
        envs.reset()
        last = envs.step(buttons(1, 2)[0])[0]
        victim = envs.pids[1]
        os.kill(victim, signal.SIGKILL)
        observations, rewards, terminations, truncations, infos = envs.step(buttons(1, 2)[0])
        assert list(truncations) == [False, True] and not terminations.any()
        assert rewards[1] == 0 and "episodes" not in infos
        np.testing.assert_array_equal(infos["final_obs"][1], last[1])
        assert observations[1].any()
        assert "killed by signal 9; starting it again" in caplog.text
        assert victim not in envs.pids
        for _ in range(3):
            assert not envs.step(buttons(1, 2)[0])[3].any()
        os.kill(envs.pids[0], signal.SIGKILL)
        envs.reset()
        assert not envs.step(buttons(1, 2)[0])[3].any()


def test_a_worker_that_always_dies_ends_the_run():
    with VectorEnv([LEVEL], 1, seed=0, wrap=dies, max_restarts=1) as envs:
        envs.reset()
        with pytest.raises(WorkerError, match=r"Level1\): killed by signal 9, after 1 restarts"):
            for action in buttons(20, 1):
                envs.step(action)


@pytest.mark.slow
def test_a_hanging_worker_is_replaced_then_ends_the_run(caplog):
    with VectorEnv([LEVEL], 1, seed=0, wrap=hangs, timeout=4, max_restarts=1) as envs:
        envs.reset()
        start = time.monotonic()
        truncated = [envs.step(action)[3][0] for action in buttons(5, 1)]
        assert truncated == [False] * 4 + [True]
        assert "silent for 4 s; starting it again" in caplog.text
        with pytest.raises(WorkerError, match="silent for 4 s, after 1 restarts"):
            for action in buttons(5, 1):
                envs.step(action)
        assert time.monotonic() - start < 30


def test_an_exception_arrives_with_its_traceback():
    with VectorEnv([LEVEL], 2, seed=0, wrap=raises) as envs:
        envs.reset()
        children = envs.pids
        with pytest.raises(WorkerError) as caught:
            for action in buttons(5, 2):
                envs.step(action)
    assert "environment 0 failed on Airstriker-Genesis-v0/Level1" in str(caught.value)
    assert 'raise ZeroDivisionError("as asked")' in str(caught.value)
    assert not any(psutil.pid_exists(pid) for pid in children)


def test_mistakes_are_explained(three_levels):
    with pytest.raises(UsageError, match="no state 'Level2'"):
        VectorEnv([LEVEL, Level(LEVEL.game, "Level2")], 2, seed=0)
    with pytest.raises(ValueError, match="nothing to play"):
        VectorEnv([], 2, seed=0)
    with pytest.raises(ValueError, match="nothing to play"):
        VectorEnv([LEVEL], 0, seed=0)


def small_on_level1(env):
    return Small(env) if env.unwrapped.level.state == "Level1" else env


def test_a_fallback_is_said_once(monkeypatch, tmp_path, capfd):
    """Levels that must be drawn are: one worker of all says so."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    proof.store(proof.key_of(LEVEL), LEVEL, "it is a test")
    proof.forget()
    with VectorEnv([LEVEL], 3, seed=0) as envs:
        envs.reset()
    assert capfd.readouterr().err.count("every frame is drawn") == 1


def test_levels_may_be_given_by_their_names():
    with VectorEnv("pangolin-test", num_envs=1) as envs:
        assert envs.levels == find("pangolin-test")
        assert envs.reset()[0].shape == (1, 224, 320, 3)
    for levels in (LEVEL.name, LEVEL, [LEVEL.name], [LEVEL]):
        with VectorEnv(levels, num_envs=1) as envs:
            assert envs.levels == [LEVEL]
    with pytest.raises(UsageError, match="did you mean 'pangolin-test'"):
        VectorEnv("pangolin-tests", num_envs=1)


def test_without_a_seed_runs_differ():
    seen = []
    for _ in range(2):
        with VectorEnv(LEVEL, num_envs=1) as envs:
            envs.reset()
            seen.append(np.stack([envs.step(action)[0] for action in buttons(150, 1)]))
    assert (seen[0] != seen[1]).any()


def test_spaces_must_agree(three_levels):
    levels = [three_levels[0], three_levels[2]]
    with pytest.raises(ValueError, match="has other spaces than"):
        VectorEnv(levels, 2, seed=0, wrap=small_on_level1)


def test_workers_are_tidy():
    """One thread, deaf to Ctrl-C, and nothing stays behind."""
    before = set(os.listdir("/proc/self/fd"))
    with VectorEnv([LEVEL], 2, seed=0) as envs:
        envs.reset()
        for pid in envs.pids:
            process = psutil.Process(pid)
            assert process.num_threads() == 1
            assert process.environ()["OMP_NUM_THREADS"] == "1"
            os.kill(pid, signal.SIGINT)
        envs.step(buttons(1, 2)[0])
        children = envs.pids
    assert not any(psutil.pid_exists(pid) for pid in children)
    assert set(os.listdir("/proc/self/fd")) == before
    envs.close()  # once more does no harm
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        envs.reset()


def test_workers_die_with_their_parent():
    script = (
        "import os, sys, time\n"
        "from retro_contest.levels import Level\n"
        "from retro_contest.emulator.vector import VectorEnv\n"
        "envs = VectorEnv([Level('Airstriker-Genesis-v0', 'Level1')], 2, seed=0)\n"
        "envs.reset()\n"
        "print(*envs.pids, flush=True)\n"
        "while True:\n"
        "    envs.step(envs.action_space.sample())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(children, timeout=10)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    assert len(gone) == 2


def test_workers_do_not_load_the_learner():
    """A worker's memory is the emulator's: it imports neither torch nor the main module."""
    with VectorEnv([LEVEL], 1, seed=0) as envs:
        envs.reset()
        maps = Path(f"/proc/{envs.pids[0]}/maps").read_text()
    assert "genesis_plus_gx" in maps and "torch" not in maps
