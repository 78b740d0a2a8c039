"""``python -m agent`` over a real socket, when saving fails and when it is told to end."""

import contextlib
import multiprocessing
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agent import bundle
from agent.__main__ import Args, main
from agent.config import OnlineConfig, RoutesConfig
from gym_remote.server import serve
from retro_common.errors import UsageError
from tests.agent.test_learner import build

ONLINE = OnlineConfig(
    rollout_length=64, rollout_span=1, save_seconds=0, routes=RoutesConfig(replay=0.0)
)


class Noise(gymnasium.Env):
    """A level of coloured noise."""

    action_space = gymnasium.spaces.MultiBinary(12)
    observation_space = gymnasium.spaces.Box(0, 255, (80, 80, 3), np.uint8)

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def _see(self) -> np.ndarray:
        return self.rng.integers(256, size=(80, 80, 3), dtype=np.uint8)

    def reset(self, **_):
        self.t = 0
        return self._see(), {}

    def step(self, action):
        time.sleep(0.002)
        self.t += 1
        return self._see(), float(action[7]), self.t == 50, False, {}


def serve_noise(directory: str, timesteps: int) -> None:
    serve(Noise(), directory, timestep_limit=timesteps)


class Contest:
    """A server and an agent with an untrained bundle, as two processes."""

    def __init__(self, folder: Path, timesteps: int):
        bundle.save(build(ONLINE), folder / "bundle", {})
        context = multiprocessing.get_context("spawn")
        socket = folder / "sock"
        socket.mkdir()
        self.server = context.Process(target=serve_noise, args=(str(socket), timesteps))
        self.server.start()
        self.out = folder / "out"
        self.agent = subprocess.Popen(
            [
                *(sys.executable, "-m", "agent", "--bundle", str(folder / "bundle")),
                *("--socket", str(socket), "--out", str(self.out), "--timesteps", str(timesteps)),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = ""

    def read_until(self, words: str) -> None:
        for line in self.agent.stderr:
            self.log += line
            if words in line:
                return
        pytest.fail(f"no {words!r} in:\n{self.log}")

    def read_to_the_end(self) -> int:
        self.log += self.agent.stderr.read()
        return self.agent.wait(60)


@pytest.fixture
def contest(tmp_path: Path) -> Iterator:
    contests = []

    def start(timesteps: int) -> Contest:
        contests.append(Contest(tmp_path, timesteps))
        return contests[-1]

    yield start
    for each in contests:
        each.agent.kill()
        each.agent.wait()
        each.agent.stderr.close()
        each.server.terminate()
        each.server.join()


@pytest.mark.parametrize(
    ("options", "environment", "complaint"),
    [
        (["--threads", "0"], {}, "--threads must be between"),
        (["--threads", "-1"], {}, "--threads must be between"),
        (["--seed", "-1"], {}, "--seed must be between"),
        (["--seed", str(10**30)], {}, "--seed must be between"),
        (["--timesteps", "0"], {}, "--timesteps and --wallclock"),
        (["--wallclock", "nan"], {}, "--timesteps and --wallclock"),
        (["--timeout", "nan"], {}, "--timeout must be"),
        ([], {"RETRO_CONTEST_SEED": "x"}, "RETRO_CONTEST_SEED must be a whole number, not 'x'"),
        ([], {"RETRO_CONTEST_TIMESTEPS": "1e6"}, "RETRO_CONTEST_TIMESTEPS must be a whole number"),
        ([], {"RETRO_CONTEST_WALLCLOCK": ""}, "RETRO_CONTEST_WALLCLOCK must be a number, not ''"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, options: list, environment: dict, complaint: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["agent", "--bundle", "nowhere", *options])
    with pytest.raises(UsageError, match=re.escape(complaint)):
        main()


def test_the_environment_sets_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRO_CONTEST_SEED", "7")
    monkeypatch.setenv("RETRO_CONTEST_TIMESTEPS", "300")
    monkeypatch.setenv("RETRO_CONTEST_WALLCLOCK", "12.5")
    args = Args(bundle=Path("b"))
    assert (args.seed, args.timesteps, args.wallclock) == (7, 300, 12.5)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits another process")
def test_a_full_disk_loses_neither_the_run_nor_what_was_saved_before(contest) -> None:
    run = contest(1000)
    run.read_until("update 3")
    # No file may grow beyond 1000 bytes: every write of weights fails from here on.
    resource.prlimit(run.agent.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    run.read_until("could not be saved")
    run.read_until("update 5")
    _, manifest = bundle.load(run.out)  # while nothing can be saved: a save removes old files
    resource.prlimit(
        run.agent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    assert manifest.origin["fine_tuned"]["updates"] in (1, 2, 3)
    assert run.read_to_the_end() == 0, run.log
    assert "the contest is over" in run.log
    _, manifest = bundle.load(run.out)
    assert manifest.origin["fine_tuned"]["timesteps"] == 1000


@pytest.mark.slow
def test_a_folder_that_is_gone_does_not_end_the_run(contest) -> None:
    run = contest(500)
    run.read_until("update 2")
    while not run.out.is_file():  # the agent saves all the time, and may make the folder again
        shutil.rmtree(run.out, ignore_errors=True)
        with contextlib.suppress(IsADirectoryError):
            run.out.write_text("a file in the folder's place")
    assert run.read_to_the_end() == 0, run.log
    assert "could not be saved" in run.log and "the contest is over" in run.log


@pytest.mark.slow
def test_sigterm_saves_and_leaves_no_process_behind(contest) -> None:
    run = contest(1_000_000)
    run.read_until("the learner is process")
    learner = int(run.log.split()[-1])
    run.read_until("update 2")
    began = time.monotonic()
    for _ in range(3):  # a second one must not break off the saving
        run.agent.send_signal(signal.SIGTERM)
    assert run.read_to_the_end() == 0, run.log
    assert "stopped by SIGTERM" in run.log and time.monotonic() - began < 10
    _, manifest = bundle.load(run.out)
    assert manifest.origin["fine_tuned"]["updates"] >= 2
    assert not Path(f"/proc/{learner}").exists()


def test_the_timeout_limits_the_wait_for_a_contest(tmp_path):
    bundle.save(build(ONLINE), tmp_path / "bundle", {})
    (tmp_path / "sock").mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "agent", "--bundle", str(tmp_path / "bundle"), "--no-learn"),
            *("--socket", str(tmp_path / "sock"), "--out", str(tmp_path / "out")),
            *("--timeout", "0.5"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,  # of 300 s, which RemoteEnv waits by default
    )
    assert done.returncode == 1
    assert "no server at" in done.stderr and "within 0.5 s" in done.stderr


@pytest.mark.parametrize("timeout", ["0", "-1", "nan"])
def test_a_timeout_that_cannot_be(timeout, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "agent", "--bundle", str(tmp_path), "--timeout", timeout],
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and "--timeout must be above 0" in done.stderr
