"""`retro-contest serve` as a process, with real agents, on the real emulator."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import stable_retro

from gym_remote.client import RemoteEnv
from gym_remote.exceptions import TimestepTimeoutError, WallClockTimeoutError

ROOT = Path(__file__).parents[2]
GAME = "Airstriker-Genesis-v0"


class Serving:
    """A server process with its folders."""

    def __init__(self, folder: Path, *level: str, **options) -> None:
        self.socket, self.results = folder / "a/sock", folder / "results"
        words = [sys.executable, "-m", "retro_contest", "serve", *(level or (GAME, "Level1"))]
        words += ["--socket", str(self.socket), "--results", str(self.results)]
        for key, value in options.items():
            words.append(f"--{key.replace('_', '-')}")
            words += [] if value is True else [str(value)]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.communicate()

    def connect(self) -> RemoteEnv:
        return RemoteEnv(self.wait_for_socket(), connect_timeout=30)

    def wait_for_socket(self) -> Path:
        deadline = time.monotonic() + 30
        while not (self.results / "server.json").exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.socket

    def end(self) -> tuple[int, str, str]:
        out, error = self.process.communicate(timeout=30)
        return self.process.returncode, out, error

    def episodes(self) -> list[tuple[float, int]]:
        with (self.results / "monitor.csv").open() as file:
            return [(float(row["r"]), int(row["l"])) for row in csv.DictReader(file)]

    def status(self) -> dict:
        return json.loads((self.results / "server.json").read_text())


def play(env: RemoteEnv, error: type[Exception]) -> list[tuple[float, int]]:
    """Play at random until the contest ends; the episodes as the agent saw them."""
    rng = np.random.default_rng(0)
    episodes = []
    with pytest.raises(error):
        while True:
            env.reset()
            episodes.append((0.0, 0))
            done = False
            while not done:
                _, reward, done, _, _ = env.step(rng.integers(0, 2, 12, dtype=np.int8))
                episodes[-1] = episodes[-1][0] + reward, episodes[-1][1] + 1
    env.close()
    return [episode for episode in episodes if episode[1]]


def test_the_budget_in_timesteps_ends_the_contest(tmp_path):
    with Serving(tmp_path, timesteps=900, seed=3) as serving:
        played = play(serving.connect(), TimestepTimeoutError)
        code, out, error = serving.end()
    assert (code, error) == (0, "")
    first, last = out.splitlines()
    assert first == (
        f"serving {GAME}/Level1 in {serving.socket}: waiting for an agent, 300 s at most"
    )
    assert "timestep limit; 900 timesteps" in last
    assert serving.episodes() == played and len(played) >= 2
    status = serving.status()
    assert (status["timesteps"], status["ended"]) == (900, "timestep limit")
    assert status["score"] == pytest.approx(np.mean([reward for reward, _ in played]))
    assert sum(length for _, length in played) + len(played) == 900
    assert list(serving.socket.iterdir()) == [], "nothing is left of the socket"


def test_the_budget_in_seconds_ends_the_contest(tmp_path):
    with Serving(tmp_path, f"{GAME}/Level1", wallclock=1.5) as serving:
        played = play(serving.connect(), WallClockTimeoutError)
        code, out, _ = serving.end()
    assert code == 0 and "wallclock limit" in out
    assert serving.episodes() == played
    assert 1.5 <= serving.status()["seconds"] < 4


def test_an_agent_that_leaves_ends_the_contest(tmp_path):
    with Serving(tmp_path) as serving:
        env = serving.connect()
        env.reset()
        for _ in range(10):
            env.step(np.zeros(12, np.int8))
        env.close()
        code, out, _ = serving.end()
    assert code == 0 and "client closed" in out
    assert serving.episodes() == [(0.0, 10)]


def test_no_agent_comes(tmp_path):
    with Serving(tmp_path, connect_timeout=0.3) as serving:
        code, out, _ = serving.end()
    assert code == 1 and "no client" in out
    assert serving.status()["ended"] == "no client connected"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("connected", [True, False])
def test_a_signal_stops_it_in_good_order(tmp_path, number, connected):
    with Serving(tmp_path) as serving:
        if connected:
            env = serving.connect()
            env.reset()
            env.step(np.zeros(12, np.int8))
        else:
            serving.wait_for_socket()
        serving.process.send_signal(number)
        start = time.monotonic()
        code, out, error = serving.end()
        if connected:
            env.close()
    assert time.monotonic() - start < 5
    assert code == 1 and "stopped" in out and "Traceback" not in error
    assert serving.status()["ended"] == "stopped"
    assert serving.episodes() == ([(0.0, 1)] if connected else [])
    assert list(serving.socket.iterdir()) == []


def test_a_kill_loses_no_finished_episode(tmp_path):
    with Serving(tmp_path, seed=0) as serving:
        env = serving.connect()
        rng = np.random.default_rng(0)
        done, total = False, 0.0
        env.reset()
        while not done:
            _, reward, done, _, _ = env.step(rng.integers(0, 2, 12, dtype=np.int8))
            total += reward
        serving.process.kill()
        serving.process.wait()
        env.close()
    ((reward, _),) = serving.episodes()
    assert reward == total


def test_movies_are_recorded_and_play_back(tmp_path):
    with Serving(tmp_path, timesteps=500, seed=0, record=True) as serving:
        play(serving.connect(), TimestepTimeoutError)
        serving.end()
    movies = sorted(serving.results.glob("*.bk2"))
    assert len(movies) == len(serving.episodes())
    movie = stable_retro.Movie(str(movies[0]))
    frames = 0
    while movie.step():
        frames += 1
    _, length = serving.episodes()[0]
    assert 4 * (length - 1) < frames <= 4 * length
    assert movie.get_game() == GAME


@pytest.mark.parametrize(
    ("level", "says"),
    [
        (("Airstriker-Genesis-v0", "Level7"), "no state 'Level7'"),
        (("Airstriker-Genesis", "Level1"), "did you mean"),
        (("sonic-train",), "means 47 levels"),
        (("SonicTheHedgehog-Genesis-v0/GreenHillZone.Act1",), "no ROM for SonicTheHedgehog"),
    ],
)
def test_a_level_that_cannot_be_played(tmp_path, level, says):
    with Serving(tmp_path, *level) as serving:
        code, out, error = serving.end()
    assert (code, out) == (2, "")
    assert says in error and len(error.splitlines()) == 1


def test_a_socket_in_use(tmp_path):
    with Serving(tmp_path) as first:
        first.wait_for_socket()
        with Serving(tmp_path) as second:
            code, _, error = second.end()
            assert code == 2 and "another run" in error, "it has the same results folder"
        (tmp_path / "b").mkdir()
        os.symlink(tmp_path / "a", tmp_path / "b/a")
        with Serving(tmp_path / "b") as third:
            code, _, error = third.end()
        assert code == 2 and "in use" in error and len(error.splitlines()) == 1
        assert list((tmp_path / "b/results").iterdir()) == [], "so that it can be tried again"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("monitor.csv", "another run"),
        ("server.json", "another run"),
        ("summary.json", "an evaluation"),
        (".lock", "an evaluation"),
    ],
)
def test_a_results_folder_that_is_taken(tmp_path, name, says):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / name).write_text("{}")
    with Serving(tmp_path) as serving:
        code, _, error = serving.end()
    assert code == 2 and "holds" in error and says in error
    assert (tmp_path / "results" / name).read_text() == "{}" and len(error.splitlines()) == 1


def test_it_says_when_an_agent_has_connected(tmp_path):
    with Serving(tmp_path) as serving:
        serving.wait_for_socket()
        assert not serving.status()["connected"]
        env = serving.connect()
        deadline = time.monotonic() + 10
        while not serving.status()["connected"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert serving.status()["timesteps"] == 0
        env.close()


@pytest.mark.parametrize("name", ["a", "results"])
def test_a_folder_that_cannot_be_made(tmp_path, name):
    (tmp_path / name).write_text("a file is in the way")
    with Serving(tmp_path) as serving:
        code, _, error = serving.end()
    assert code == 2 and f"{tmp_path / name} is a file" in error and len(error.splitlines()) == 1


def test_garbage_ends_the_contest(tmp_path):
    with Serving(tmp_path) as serving, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(serving.wait_for_socket() / "sock"))
        client.sendall(b"hello\x0c")
        code, out, error = serving.end()
    assert code == 1 and "protocol error" in out and error == ""


@pytest.mark.parametrize(
    ("option", "value"), [("timesteps", 0), ("wallclock", -1), ("idle_timeout", 0)]
)
def test_impossible_limits(tmp_path, option, value):
    with Serving(tmp_path, **{option: value}) as serving:
        code, _, error = serving.end()
    assert code == 2 and f"--{option.replace('_', '-')} must be" in error
    assert len(error.splitlines()) == 1
