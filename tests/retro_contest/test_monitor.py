import csv
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retro_contest.runs.monitor import Monitor
from retro_contest.runs.results import Episode, read_monitor, run_score, unplayed_episodes


class Scripted(gymnasium.Env):
    """Plays given rewards; an episode ends after its last one."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, episodes: list[list[float]], truncate: bool = False) -> None:
        self._episodes = iter(episodes)
        self._truncate = truncate
        self.closed = 0

    def reset(self, **kwargs):
        self._rewards = list(next(self._episodes))
        return 0, {}

    def step(self, action):
        reward = self._rewards.pop(0)
        done = not self._rewards
        return 0, reward, done and not self._truncate, done and self._truncate, {}

    def close(self):
        self.closed += 1


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def play(monitor: Monitor, episodes: list[list[float]]) -> None:
    for rewards in episodes:
        monitor.reset()
        for _ in rewards:
            monitor.step(0)


@pytest.mark.parametrize("truncate", [False, True])
def test_an_episode_is_in_the_file_when_it_ends(tmp_path, truncate):
    monitor = Monitor(Scripted([[1.0, 2.5], [4.0]], truncate), tmp_path)
    assert (tmp_path / "monitor.csv").read_text() == "r,l,t\n"
    monitor.reset()
    monitor.step(0)
    assert rows(tmp_path, "monitor.csv") == []
    monitor.step(0)
    (row,) = rows(tmp_path, "monitor.csv")
    assert (row["r"], row["l"]) == ("3.5", "2") and float(row["t"]) >= 0


def test_the_last_episode_is_written_too(tmp_path):
    env = Scripted([[1.0], [2.0, 4.0, 8.0]])
    monitor = Monitor(env, tmp_path)
    monitor.reset()
    monitor.step(0)
    monitor.reset()
    monitor.step(0)
    monitor.step(0)
    assert (monitor.timesteps, monitor.steps, monitor.episodes) == (5, 3, 2)
    assert monitor.score == pytest.approx(3.5)
    monitor.close()
    monitor.close()
    assert [(row["r"], row["l"]) for row in rows(tmp_path, "monitor.csv")] == [
        ("1.0", "1"),
        ("6.0", "2"),
    ]
    assert env.closed >= 1


def test_a_reset_without_a_step_is_no_episode(tmp_path):
    monitor = Monitor(Scripted([[1.0], [1.0]]), tmp_path)
    monitor.reset()
    monitor.reset()
    monitor.finish()
    assert rows(tmp_path, "monitor.csv") == []
    assert monitor.timesteps == 2 and monitor.score is None


def test_log_has_a_row_every_thousand_steps(tmp_path):
    monitor = Monitor(Scripted([[0.0] * 2100]), tmp_path)
    monitor.reset()
    for _ in range(1999):
        monitor.step(0)
    assert [row["l"] for row in rows(tmp_path, "log.csv")] == ["1000"]
    monitor.step(0)
    log = rows(tmp_path, "log.csv")
    assert [row["l"] for row in log] == ["1000", "2000"]
    assert float(log[0]["t"]) < float(log[1]["t"])


def test_results_are_never_overwritten(tmp_path):
    Monitor(Scripted([]), tmp_path).close()
    with pytest.raises(FileExistsError):
        Monitor(Scripted([]), tmp_path)


def test_discard_leaves_nothing(tmp_path):
    Monitor(Scripted([]), tmp_path).discard()
    assert list(tmp_path.iterdir()) == []


def test_report_comes_at_once_and_then_not_with_every_step(tmp_path):
    calls = []
    monitor = Monitor(Scripted([[0.0] * 500]), tmp_path)
    monitor.report = lambda: calls.append(monitor.timesteps)
    play(monitor, [[0.0] * 500])
    assert calls[0] == 1 and len(calls) < 10


finite = st.floats(-1e6, 1e6, allow_nan=False).map(float)


@given(
    st.lists(st.lists(finite, min_size=1, max_size=5), min_size=1, max_size=5),
    st.integers(0, 4),
    st.integers(0, 200),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_read_is_what_was_played(tmp_path_factory, episodes, cut, torn):
    """Whatever is played, and wherever a killed writer tore its last line."""
    folder = tmp_path_factory.mktemp("run")
    monitor = Monitor(Scripted(episodes), folder)
    played = [*episodes[:-1], episodes[-1][: max(1, len(episodes[-1]) - cut)]]
    play(monitor, played)
    monitor.close()
    file = folder / "monitor.csv"
    read = read_monitor(file)
    assert [episode.l for episode in read] == [len(rewards) for rewards in played]
    sums = [float(np.cumsum([0.0, *rewards])[-1]) for rewards in played]
    assert [episode.r for episode in read] == pytest.approx(sums)
    assert run_score(read) == pytest.approx(np.mean(sums), abs=1e-6)

    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - torn] if torn < len(whole) else b"")
    assert read_monitor(file) == read[: len(read_monitor(file))], "a torn line is left out"


@pytest.mark.parametrize(
    ("verdict", "timesteps", "unplayed"),
    [
        ("completed", 20_000, 0),
        ("completed", 20_001, 0),
        ("ended early", 400, 5),
        ("ended early", 19_999, 1),
        ("wall-clock", 15_500, 1),
        ("hung", 15_499, 2),
        ("never connected", 0, 5),
        ("interrupted", 400, 0),
        ("server failed", 400, 0),
    ],
)
def test_timesteps_that_were_not_played_are_episodes_of_0(verdict, timesteps, unplayed):
    assert unplayed_episodes(verdict, timesteps, 20_000) == unplayed


def test_leaving_while_ahead_gains_no_more_than_standing_still():
    """The attack: one good episode of 400 timesteps, then exit."""
    good = Episode(9900.0, 399, 10.0)
    unplayed = unplayed_episodes("ended early", 400, 20_000)
    still = [Episode(0.0, 4500, 0.0)] * 4 + [Episode(0.0, 1595, 0.0)]
    assert sum(episode.l + 1 for episode in [good, *still]) == 20_000
    assert run_score([good], unplayed) == run_score([good, *still]) == 1650.0
    assert run_score([], unplayed_episodes("never connected", 0, 20_000)) == 0.0
    assert run_score([]) is None
