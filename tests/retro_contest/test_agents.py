"""The built-in agents: against a small environment here, over the real wire in test_evaluate."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import MultiBinary

from gym_remote.exceptions import TimestepTimeoutError
from gym_remote.spaces import BUTTONS
from retro_contest import agents
from retro_contest.agents import hold_right, jerk, random_agent
from retro_contest.agents.client import Jumps, press

RIGHT, LEFT, B = BUTTONS.index("RIGHT"), BUTTONS.index("LEFT"), BUTTONS.index("B")


class Corridor:
    """A walk of some length: right is +1, left is -1, a wall can stop it, the end ends it."""

    action_space = MultiBinary(12)

    def __init__(self, budget: int, length: int = 400, wall: int | None = None) -> None:
        self._budget, self._length, self._wall = budget, length, wall
        self.episodes: list[list[int]] = []  # positions
        self.actions: list[np.ndarray] = []
        self.timesteps = 0

    def _use_budget(self) -> None:
        if self.timesteps == self._budget:
            raise TimestepTimeoutError
        self.timesteps += 1

    def reset(self):
        self._use_budget()
        self.episodes.append([0])
        return None, {}

    def step(self, action):
        self._use_budget()
        assert self.action_space.contains(action.astype(np.int8))
        self.actions.append(action)
        positions = self.episodes[-1]
        position = positions[-1] + int(action[RIGHT]) - int(action[LEFT])
        if self._wall is not None and position > self._wall:
            position = self._wall
        positions.append(position)
        done = position >= self._length or len(positions) > 600
        return None, float(position - positions[-2]), done, False, {}


def play(loop, budget: int, seed: int = 0, **corridor) -> Corridor:
    env = Corridor(budget, **corridor)
    with pytest.raises(TimestepTimeoutError):
        loop(env, np.random.default_rng(seed), budget)
    assert env.timesteps == budget
    return env


@pytest.mark.parametrize("loop", [random_agent.play, hold_right.play, jerk.play])
def test_the_whole_budget_is_played_and_the_seed_decides(loop):
    first, second, third = (play(loop, 3000, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.actions, second.actions)
    assert not np.array_equal(first.actions[:200], third.actions[:200])


def test_random_presses_every_button_half_of_the_time():
    actions = np.array(play(random_agent.play, 3000).actions)
    assert np.abs(actions.mean(axis=0) - 0.5).max() < 0.05


def test_hold_right_holds_right_and_jumps():
    actions = np.array(play(hold_right.play, 3000).actions)
    assert actions[:, RIGHT].all()
    assert 0.1 < actions[:, B].mean() < 0.5
    others = [i for i in range(12) if i not in (RIGHT, B)]
    assert not actions[:, others].any()


def test_jumps_last_their_length():
    jumps = Jumps(np.random.default_rng(0), chance=0.05, length=4)
    held = np.array([jumps.next() for _ in range(5000)])
    edges = np.flatnonzero(np.diff(np.r_[0, held.astype(int), 0]))
    lengths = edges[1::2] - edges[::2]
    assert lengths.min() == 4
    # Without a jump in the air one starts with probability 0.05.
    starts, ground = len(lengths), (~held).sum()
    assert starts / (starts + ground) == pytest.approx(0.05, abs=0.015)


def test_press_uses_the_genesis_order():
    assert np.flatnonzero(press("RIGHT", "B")).tolist() == [0, 7]
    assert press().sum() == 0


def test_jerk_goes_back_when_it_gets_nowhere():
    positions = play(jerk.play, 300, wall=30).episodes[0]
    assert max(positions[:101]) == 30
    # The first 100 timesteps brought reward, so the second 100 follow; they brought none.
    assert positions[200] == 30
    assert positions[270] == 30 - 70
    assert positions[271] == 30 - 70 + 1


def test_jerk_goes_on_right_while_it_pays():
    positions = play(jerk.play, 402).episodes[0]
    assert positions == list(range(401))


def test_jerk_retains_the_actions_up_to_the_best_moment():
    episode = jerk.Episode(Corridor(1000))
    for action in [press("RIGHT")] * 5 + [press("LEFT")] * 3:
        episode.step(action)
    best = episode.best()
    assert len(best.actions) == 5 and best.results == [5.0]
    assert episode.total == 2.0 and episode.timesteps == 9


def test_jerk_replays_then_stands_still_and_averages():
    env = Corridor(2000)
    solution = jerk.Solution([press("RIGHT")] * 50, [80.0])
    jerk.exploit(jerk.Episode(env), solution)
    assert env.episodes[0][50] == env.episodes[0][-1] == 50
    assert solution.results == [80.0, 50.0] and solution.mean == 65.0


def test_jerk_exploits_more_towards_the_end(monkeypatch):
    """Chance to exploit: 0.25 plus the used share of the budget."""
    exploited = []
    explore, exploit = jerk.explore, jerk.exploit

    def note(kind, function):
        def noted(episode, *rest):
            exploited.append(kind)
            function(episode, *rest)

        return noted

    monkeypatch.setattr(jerk, "explore", note(0, explore))
    monkeypatch.setattr(jerk, "exploit", note(1, exploit))
    play(jerk.play, 60_000, length=50)
    quarter = len(exploited) // 4
    shares = [np.mean(exploited[i * quarter : (i + 1) * quarter]) for i in range(4)]
    expected = [0.375, 0.625, 0.875, 1.0]
    assert shares == pytest.approx(expected, abs=0.1)


def test_agents_import_nothing_but_gym_remote_and_numpy():
    allowed = {"gym_remote", "numpy", "retro_contest", *sys.stdlib_module_names}
    for file in Path(agents.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                assert name.split(".")[0] in allowed, f"{file.name}: {name}"
                ours = name.startswith("retro_contest")
                assert not ours or name.startswith("retro_contest.agents"), name


@pytest.mark.parametrize("name", ["random_agent", "hold_right", "jerk"])
def test_no_server_is_one_line_and_an_error(name, tmp_path):
    (tmp_path / "sock").write_text("no folder")
    command = [
        sys.executable,
        "-m",
        f"retro_contest.agents.{name}",
        "--socket",
        str(tmp_path / "sock"),
    ]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "NotADirectoryError" in done.stderr
