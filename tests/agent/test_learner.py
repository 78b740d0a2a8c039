"""The learner's process: it learns what an inline one would, and whatever happens to it, play goes
on with the last good weights."""

import copy
import dataclasses
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from agent import play
from agent.config import (
    AgentConfig,
    ControllerConfig,
    MemoryConfig,
    OnlineConfig,
    RoutesConfig,
    VisionConfig,
)
from agent.learner import handle as learners
from agent.learner.handle import InlineLearner, ProcessLearner
from agent.learner.shared import Exchange, in_order
from agent.learning.planner import Budget, Plan
from agent.learning.ppo import Rollout
from agent.models.actor import Models
from gym_remote.exceptions import TimestepTimeoutError

PLAN = Plan(rollout_length=64, progress=0.1, anchor=0.1, critic_only=False)


def build(online: OnlineConfig, features: tuple[str, ...] = ("z", "h")) -> Models:
    torch.manual_seed(0)
    return Models.build(
        AgentConfig(
            actions=("", "RIGHT", "LEFT"),
            vision=VisionConfig(
                latent=16, grid=4, player_units=0, channels=(8, 8), decoder_channels=(8, 8)
            ),
            memory=MemoryConfig(hidden=8, mixtures=2),
            controller=ControllerConfig(features=features, hidden=16),
            online=online,
        )
    )


def fill(rollout: Rollout, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for tensor in (rollout.z, rollout.h, rollout.values, rollout.rewards):
        tensor.normal_(generator=generator)
    rollout.actions.random_(3, generator=generator)
    rollout.log_probs.fill_(-1.1)
    rollout.ends[::10] = 1
    if rollout.frames is not None:
        rollout.frames[:] = np.random.default_rng(seed).integers(256, size=rollout.frames.shape)


def answer(learner: ProcessLearner, seconds: float = 30.0) -> learners.Report:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if report := learner.poll():
            return report
        time.sleep(0.01)
    pytest.fail("the learner does not answer")


@pytest.fixture
def process_learner():
    started = []

    def start(models: Models, capacity: int = 64) -> ProcessLearner:
        started.append(ProcessLearner(models, 0, capacity))
        assert started[-1].wait_until_ready(60)
        return started[-1]

    yield start
    for learner in started:
        learner.finish(0)
        assert learner.pid is None


def weights(models: Models) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in models.controller.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_a_process_learns_what_an_inline_learner_does(process_learner) -> None:
    config = OnlineConfig(rollout_length=64, rollout_span=1, learner_device="cpu")
    features = ("z", "h", "pixels")
    apart, inline = build(config, features), build(config, features)
    before = weights(apart)
    first, second = process_learner(apart), InlineLearner(inline, 0, 64)
    torch.set_num_threads(1)
    for update in range(2):
        for learner in (first, second):
            fill(learner.rollout, seed=update)
            learner.hand_over(10, 50, PLAN)  # goes across no end
        one, two = answer(first), second.poll()
        assert one.metrics == pytest.approx(two.metrics)
    assert not same(before, weights(apart)) and same(weights(apart), weights(inline))


def test_a_ring_is_put_in_order() -> None:
    rollout = Rollout(8, 1, latent=2, hidden=2, keep_frames=True)
    rollout.actions[:, 0] = torch.arange(8)
    rollout.frames[:, 0, 0, 0, 0] = np.arange(8)
    ordered = in_order(rollout, 5, 6)
    assert ordered.actions[:, 0].tolist() == [5, 6, 7, 0, 1, 2]
    assert ordered.frames[:, 0, 0, 0, 0].tolist() == [5, 6, 7, 0, 1, 2]
    assert in_order(rollout, 2, 3).actions[:, 0].tolist() == [2, 3, 4]


@pytest.mark.slow
def test_a_killed_learner_is_replaced_by_one_with_the_last_good_weights(process_learner) -> None:
    models = build(OnlineConfig(learner_restarts=1))
    learner = process_learner(models)
    fill(learner.rollout)
    learner.hand_over(0, 64, PLAN)
    assert answer(learner).metrics
    good, pid = weights(models), learner.pid
    os.kill(pid, signal.SIGKILL)
    report = answer(learner)
    assert report.metrics is None and "crashed (exit code -9)" in report.problem
    assert same(good, weights(models)) and learner.pid != pid
    assert learner.wait_until_ready(60)
    assert same(good, learner._exchange.weights()), "it goes on from there"
    fill(learner.rollout)
    learner.hand_over(0, 64, PLAN)
    assert answer(learner).metrics and not same(good, weights(models))
    # Its successors have as many chances again, but not for ever.
    for problem in ("another one starts", "playing on without learning"):
        os.kill(learner.pid, signal.SIGKILL)
        assert problem in answer(learner).problem
    assert learner.pid is None and not learner.idle() and learner.poll() is None


@pytest.mark.slow
def test_a_stuck_learner_is_replaced(process_learner) -> None:
    models = build(OnlineConfig(learner_patience=0.5))
    learner = process_learner(models)
    os.kill(learner.pid, signal.SIGSTOP)
    fill(learner.rollout)
    learner.hand_over(0, 64, PLAN)
    pid = learner.pid
    report = answer(learner, seconds=5)
    assert "stuck: no heartbeat for 0.5 s" in report.problem
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert learner.pid not in (pid, None)


def test_an_update_that_diverges_is_refused(process_learner) -> None:
    models = build(OnlineConfig(learning_rate=1e30, critic_warmup=0, target_kl=0))
    before = weights(models)
    learner = process_learner(models)
    pid = learner.pid
    for _ in range(2):
        fill(learner.rollout)
        learner.hand_over(0, 64, PLAN)
        assert re.search("nan|inf|finite", answer(learner).problem)
    assert same(before, weights(models)) and learner.pid == pid and learner.idle()
    # Nor does a rollout that is not finite do any harm.
    learner.rollout.rewards[3] = float("nan")
    learner.hand_over(0, 64, PLAN)
    assert "not finite" in answer(learner).problem


def test_weights_that_are_not_finite_are_refused(process_learner, monkeypatch) -> None:
    """The learner's memory is spoilt after it has looked at its weights itself."""
    models = build(OnlineConfig())
    before = weights(models)
    learner = process_learner(models)
    fill(learner.rollout)
    learner.hand_over(0, 64, PLAN)
    while learner._exchange.version() < 2:
        time.sleep(0.01)
    poisoned = {name: tensor * float("nan") for name, tensor in before.items()}
    learner._exchange.publish(poisoned)
    assert "refused" in answer(learner).problem
    assert same(before, weights(models)) and same(before, learner._exchange.weights())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits another process")
def test_a_batch_without_memory_is_halved(process_learner) -> None:
    rows = 2048
    config = OnlineConfig(rollout_length=rows, rollout_span=1, minibatches=1, epochs=1)
    models = build(config, ("z", "pixels"))
    learner = process_learner(models, capacity=rows)
    fill(learner.rollout)
    status = Path(f"/proc/{learner.pid}/status").read_text()
    used = int(status.split("VmSize:")[1].split()[0]) * 1024
    limit = used + (200 << 20)  # oneDNN needs about half of it for bfloat16, whatever the batch
    resource.prlimit(learner.pid, resource.RLIMIT_AS, (limit, limit))
    learner.hand_over(0, rows, PLAN)
    report = answer(learner, seconds=60)
    assert report.metrics and report.metrics["minibatches"] > 1


PUBLISH = """
import sys, torch
from agent.learner.shared import Exchange
from tests.agent.test_learner import build
from agent.config import OnlineConfig
models = build(OnlineConfig())
exchange = Exchange(models, 16, int(sys.argv[1]))
weights = models.controller.state_dict()
value = 0
while True:
    value += 1
    exchange.publish({name: torch.full_like(tensor, value) for name, tensor in weights.items()})
"""


def test_half_written_weights_are_never_seen() -> None:
    models = build(OnlineConfig())
    exchange = Exchange(models, 16)
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(exchange.fd)], pass_fds=[exchange.fd], cwd=root
    )
    while exchange.version() == 0:
        time.sleep(0.01)
    seen = set()
    for _ in range(300):
        try:
            found = exchange.weights()
        except ValueError:
            continue
        values = {value for tensor in found.values() for value in tensor.unique().tolist()}
        assert len(values) == 1
        seen |= values
    assert len(seen) > 5
    process.kill()
    process.wait()
    found = exchange.weights()  # killed at any moment, what it had published is whole
    assert len({value for tensor in found.values() for value in tensor.unique().tolist()}) == 1


class Corridor(gymnasium.Env):
    """Going right pays. Each timestep takes a millisecond; `at` is called at some of them."""

    def __init__(self, timesteps: int, at: dict[int, Callable[[], None]] | None = None):
        self.left, self.at = timesteps, dict(at or {})
        self.rng = np.random.default_rng(0)
        self.played, self.rewards = 0, []

    def _use(self) -> np.ndarray:
        if self.left == 0:
            raise TimestepTimeoutError
        self.left -= 1
        self.played += 1
        if self.played in self.at:
            self.at[self.played]()
        return self.rng.integers(256, size=(80, 80, 3), dtype=np.uint8)

    def reset(self, **_):
        self.t = 0
        return self._use(), {}

    def step(self, action):
        time.sleep(0.001)
        self.t += 1
        self.rewards.append(float(action[7]))
        return self._use(), self.rewards[-1] * 100, self.t == 50, False, {}


def play_contest(models: Models, env: gymnasium.Env, learner, timesteps: int, saved: list):
    budget = Budget(timesteps, 3600.0)
    return play.run(env, models, budget, learner=learner, seed=0, save=saved.append)


FAST = OnlineConfig(
    rollout_length=128,
    rollout_span=1,
    learning_rate=1e-2,
    critic_warmup=0,
    anchor=0.0,
    target_kl=0,
    save_seconds=0,
    least_spread=0.0,
    routes=RoutesConfig(replay=0.0),
)


@pytest.mark.slow
def test_it_plays_through_all_misfortunes_and_learns(process_learner, caplog) -> None:
    caplog.set_level(logging.INFO)
    models = build(FAST)
    learner = process_learner(models, capacity=128)
    env = Corridor(
        3000,
        at={
            700: lambda: os.kill(learner.pid, signal.SIGKILL),
            710: lambda: learner.rollout.rewards.fill_(float("nan")),
            1000: lambda: learner.wait_until_ready(60),  # the machine may be busy
        },
    )
    saved = []
    progress = play_contest(models, env, learner, 3000, saved)
    assert progress.timesteps == 3000 and len(progress.rewards) > 50
    assert progress.updates > 5 and len(saved) > 2
    assert "crashed" in caplog.text and "playing on" not in caplog.text
    assert np.mean(env.rewards[-500:]) > np.mean(env.rewards[:500]) + 0.2
    assert progress.learnt_from + progress.overwritten <= progress.timesteps
    assert learner.pid is None, "the learner ends with the contest"


@pytest.mark.slow
def test_what_a_busy_learner_cannot_take_is_overwritten_and_counted(process_learner) -> None:
    models = build(FAST)
    learner = process_learner(models, capacity=128)
    env = Corridor(
        1500,
        at={
            100: lambda: os.kill(learner.pid, signal.SIGSTOP),
            1200: lambda: os.kill(learner.pid, signal.SIGCONT),
        },
    )
    began = time.monotonic()
    progress = play_contest(models, env, learner, 1500, [])
    assert time.monotonic() - began < 60
    assert progress.overwritten > 500 and progress.updates >= 2


def test_inline_runs_are_reproducible() -> None:
    results = []
    for _ in range(2):
        models = build(copy.deepcopy(FAST))
        env = Corridor(600)
        progress = play_contest(models, env, InlineLearner(models, 0, 128), 600, [])
        results.append((progress.rewards, weights(models)))
    assert results[0][0] == results[1][0] and same(results[0][1], results[1][1])
    assert progress.updates == 4


def test_replayed_timesteps_are_not_learnt_from() -> None:
    """PPO learns from actions that the policy chose, and from no others."""

    class Watched(InlineLearner):
        def hand_over(self, first: int, length: int, plan: Plan) -> None:
            handed.append(in_order(self.rollout, first, length).log_probs.clone())
            super().hand_over(first, length, plan)

    handed: list[torch.Tensor] = []
    routes = RoutesConfig(replay=1.0, ramp=0.1, window=1)
    models = build(dataclasses.replace(FAST, routes=routes))
    progress = play_contest(models, Corridor(1500), Watched(models, 0, 256), 1500, [])
    assert progress.learnt_from == sum(len(rows) for rows in handed)
    assert progress.learnt_from < 1500 - 500, "much of the run was replayed"


def test_without_a_learner_nothing_is_learnt_or_saved() -> None:
    models = build(FAST)
    before, saved = weights(models), []
    progress = play_contest(models, Corridor(300), None, 300, saved)
    assert progress.timesteps == 300 and not saved and same(before, weights(models))
