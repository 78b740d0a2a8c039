"""The levels as Gymnasium environments: ids, checkers, and lockstep with the contest's server."""

import gzip
import json
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.passive_env_checker import env_render_passive_checker
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from gym_remote import BUTTONS, RemoteEnv
from retro_common.errors import UsageError
from retro_contest.emulator.vector import VectorEnv
from retro_contest.levels import find_one, load_sets
from retro_contest.registration import ANY_LEVEL, env_id
from retro_contest.runs.randomness import environment_seed

ACT = "PangolinDash/FernHollow.Act3-v1"
LEVEL = find_one("PangolinDash-Genesis-v0/FernHollow.Act3")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Verdicts on undrawn frames go into a folder of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def buttons(steps: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Random buttons, each held for 4 timesteps."""
    drawn = np.random.default_rng(seed).integers(0, 2, (steps // 4 + 1, *shape, 12), np.int8)
    return drawn.repeat(4, axis=0)[:steps]


def test_the_import_registers_every_level_and_loads_no_emulator():
    code = (
        "import sys, json, retro_contest, gymnasium\n"
        "print(json.dumps([list(gymnasium.registry), list(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    registered, modules = json.loads(done.stdout)
    heavy = {"stable_retro", "torch", "docker", "matplotlib", "cv2", "retro_contest.emulator.make"}
    assert not heavy & set(modules)
    levels = {level for one in load_sets().values() for level in one.levels}
    ids = {env_id(level) for level in levels}
    assert len(ids) == len(levels), "two levels have the same id"
    assert ids | {ANY_LEVEL, ACT, "Airstriker/Level1-v1"} <= set(registered)
    assert "SonicTheHedgehog/GreenHillZone.Act1-v1" in ids


def test_gymnasium_s_checkers_pass():
    env = gymnasium.make(ACT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The two checks that are left out here make a second emulator in this process.
        check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)
    spec = env.spec
    env.close()
    again = gymnasium.make(spec, render_mode="rgb_array")
    again.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env_render_passive_checker(again)
    again.close()
    again.close()


@pytest.mark.parametrize(("name", "budget"), [(ACT, 100), ("Airstriker/Level1-v1", 400)])
def test_plays_in_lockstep_with_the_contest_s_server(name, budget, tmp_path):
    """The same frames, rewards and ends under the same secret, over two episodes of Airstriker."""
    level = gymnasium.spec(name).kwargs["levels"]
    seed = environment_seed("0123456789abcdef" * 2, f"{level}/seed-0")
    command = [sys.executable, "-m", "retro_contest", "serve", level, "--seed", str(seed)]
    command += ["--socket", str(tmp_path / "sock"), "--results", str(tmp_path / "served")]
    server = subprocess.Popen([*command, "--timesteps", str(budget)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert b"serving" in server.stdout.readline()
    remote, env = RemoteEnv(str(tmp_path / "sock")), gymnasium.make(name)
    assert (env.observation_space, env.action_space) == (
        remote.observation_space,
        remote.action_space,
    )
    try:
        np.testing.assert_array_equal(env.reset(seed=seed)[0], remote.reset()[0])
        played, episodes = 1, 0
        for action in buttons(budget):
            if played == budget:
                break
            frame, reward, terminated, truncated, info = env.step(action)
            theirs = remote.step(action)
            np.testing.assert_array_equal(frame, theirs[0])
            assert (reward, terminated or truncated, info) == (theirs[1], theirs[2], {})
            played += 1
            if (terminated or truncated) and played < budget:
                np.testing.assert_array_equal(env.reset()[0], remote.reset()[0])
                played += 1
                episodes += 1
        assert episodes >= (name != ACT)
    finally:
        env.close()
        remote.close()
        server.communicate(timeout=60)


def test_make_vec_gives_the_undrawn_environment_in_shared_memory():
    names = ("x", "rings")
    view = {"size": 42, "grey": True, "stack": 3, "actions": ("RIGHT", "RIGHT B", "LEFT")}
    envs = gymnasium.make_vec(ACT, num_envs=2, seed=5, variables=names, **view)
    assert isinstance(envs, VectorEnv) and isinstance(envs, gymnasium.vector.VectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.spec is not None and envs.spec.id == ACT
    assert envs.observation_space.shape == (2, 3, 42, 42)
    assert envs.single_action_space == gymnasium.spaces.Discrete(3)
    actions = np.random.default_rng(0).integers(0, 3, (30, 2))
    seen = [envs.reset()[0]]
    steps = [envs.step(action) for action in actions]
    seen += [step[0] for step in steps]
    envs.close()

    env = gymnasium.make(ACT, variables=names, **view)
    assert env.unwrapped.undrawn is not None
    for i in range(2):
        seed = int(np.random.SeedSequence([5, i, 0]).generate_state(1)[0])
        frame, info = env.reset(seed=seed)
        np.testing.assert_array_equal(seen[0][i], frame)
        for t, action in enumerate(actions):
            frame, reward, *_, info = env.step(action[i])
            np.testing.assert_array_equal(seen[t + 1][i], frame)
            assert steps[t][1][i] == np.float32(reward)
            assert list(info) == ["x", "rings"]
            np.testing.assert_array_equal(steps[t][4]["variables"][i], [*info.values()])
    env.close()


def test_gymnasium_s_vector_wrappers_fit():
    """The infos of a step that ends an episode have Gymnasium's form."""
    envs = gymnasium.make_vec(ANY_LEVEL, num_envs=2, levels=[LEVEL], seed=0, wrap=_short)
    wrapped = RecordEpisodeStatistics(envs)
    wrapped.reset()
    for action in buttons(5, 2):
        *_, truncated, infos = wrapped.step(action)
    assert truncated.all() and list(infos["episode"]["l"]) == [5, 5]
    np.testing.assert_allclose(infos["episode"]["r"], [each.reward for each in infos["episodes"]])
    assert infos["_final_obs"].all()
    assert [each.shape for each in infos["final_obs"]] == [(224, 320, 3)] * 2
    listed = DictInfoToList(wrapped)
    assert [info["level"] for info in listed.reset()[1]] == [0, 0]
    for action in buttons(5, 2):
        infos = listed.step(action)[4]
    assert [info["episodes"].env for info in infos] == [0, 1]
    wrapped.close()


def _short(env: gymnasium.Env) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(env, 5)


def test_a_level_set_is_one_vector_environment():
    with gymnasium.make_vec(ANY_LEVEL, num_envs=2, levels="pangolin-test") as envs:
        assert [level.state for level in envs.levels][:2] == ["FernHollow.Act3", "AmberDunes.Act2"]
        assert sorted(envs.reset()[1]["level"]) == [0, 1]


def test_a_spec_makes_the_same_environment_again():
    env = gymnasium.make(ACT, actions=("RIGHT", "B"), size=30, stack=2)
    spaces, spec = (env.observation_space, env.action_space), env.spec
    env.close()
    again = gymnasium.make(spec)
    assert (again.observation_space, again.action_space) == spaces
    assert spaces[0].shape == (2, 30, 30, 3)
    again.close()


def test_variables_only_where_asked():
    env = gymnasium.make(ACT)
    assert env.reset()[1] == {} and env.step(buttons(1)[0])[4] == {}
    assert "x" in env.unwrapped.variables()
    env.close()
    with pytest.raises(UsageError, match=r"variables: no 'xs'; there are .*x"):
        gymnasium.make(ACT, variables=["xs"])


def test_episodes_may_begin_at_other_states(tmp_path):
    env = gymnasium.make(ACT)
    env.reset(seed=0)
    for _ in range(60):
        env.step(np.eye(12, dtype=np.int8)[BUTTONS.index("RIGHT")])
    later, place = env.unwrapped.retro.em.get_state(), env.unwrapped.variables()["x"]
    env.close()
    file = tmp_path / "Later.state"
    file.write_bytes(gzip.compress(later))
    for states in ([later], [file], [str(file)]):
        env = gymnasium.make(ACT, start_states=states, variables=["x"])
        assert env.reset()[1]["x"] == place
        assert env.unwrapped.from_start is False
        env.close()
    with gymnasium.make_vec(ACT, num_envs=1, start_states=[later], variables=["x"]) as envs:
        assert envs.reset()[1]["variables"][0, 0] == place
    file.write_bytes(b"nothing")
    for states, message in (([], "there is no state"), ([file], "not a save-state")):
        with pytest.raises(UsageError, match=message):
            gymnasium.make(ACT, start_states=states)
    with pytest.raises(UsageError, match="belong to one level"):
        gymnasium.make_vec(ANY_LEVEL, 2, levels="pangolin-test", start_states=[later])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"actions": ["RIGHT", "FIRE"]}, "actions: no button 'FIRE'; there are B A MODE"),
        ({"stack": 0}, "stack must be at least 1, not 0"),
        ({"size": 0}, "size must be one or two numbers"),
        ({"render_mode": "human"}, "only 'rgb_array'"),
    ],
)
def test_impossible_options_are_explained(options, message):
    with pytest.raises(UsageError, match=message):
        gymnasium.make(ACT, **options)
    gymnasium.make(ACT).close()  # the emulator of the failed attempt is gone


def test_a_missing_library_rom_or_level_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"size needs OpenCV: pip install .*\[train\]"):
        gymnasium.make(ACT, size=84)
    with pytest.raises(UsageError, match="no ROM for SonicTheHedgehog-Genesis-v0"):
        gymnasium.make("SonicTheHedgehog/GreenHillZone.Act1-v1")
    with pytest.raises(UsageError, match="no level is named"):
        gymnasium.make(ANY_LEVEL)
    with pytest.raises(gymnasium.error.NameNotFound, match=r"Did you mean: `FernHollow\.Act"):
        gymnasium.make("PangolinDash/FernHollow.Act9-v1")
