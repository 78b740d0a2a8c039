"""The main job: a bundle plays and learns over the socket, and its score comes back."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from agent import bundle
from agent.config import (
    AgentConfig,
    ControllerConfig,
    MemoryConfig,
    OnlineConfig,
    RoutesConfig,
    VisionConfig,
)
from agent.models.actor import Models

LEVEL = "Airstriker-Genesis-v0/Level1"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = AgentConfig(
        actions=("", "LEFT", "RIGHT", "B"),
        vision=VisionConfig(
            latent=20, grid=4, player_units=4, channels=(4, 8), decoder_channels=(4, 8)
        ),
        memory=MemoryConfig(hidden=16, mixtures=2),
        controller=ControllerConfig(hidden=16),
        online=OnlineConfig(
            rollout_length=128,
            rollout_span=1,
            epochs=2,
            minibatches=2,
            critic_warmup=1,
            routes=RoutesConfig(replay=0.0),
        ),
    )
    folder = tmp_path_factory.mktemp("bundle")
    bundle.save(Models.build(config), folder, {})
    return folder


def evaluate(results: Path, agent: str) -> dict:
    result = subprocess.run(
        [
            *(sys.executable, "-m", "retro_contest", "evaluate", "--levels", "airstriker"),
            *("--agent", agent, "--timesteps", "700", "--results", str(results)),
        ],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads((results / "summary.json").read_text())


def test_the_agent_learns_over_the_socket_and_gets_a_score(untrained: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    summary = evaluate(results, f"python -m agent --bundle {untrained}")
    (level,) = summary["levels"]
    assert level["verdict"] == "completed" and level["timesteps"] == 700
    with next(results.rglob("monitor.csv")).open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    rewards = [float(row["r"]) for row in rows]
    assert level["episodes"] == len(rewards)
    assert summary["score"] == pytest.approx(sum(rewards) / len(rewards))
    assert sum(int(row["l"]) for row in rows) + len(rows) == 700, "resets count"

    # What it learnt was saved, differs from what it began with, and can play again.
    tuned = next(results.rglob("config.yaml")).parent
    before, _ = bundle.load(untrained)
    after, manifest = bundle.load(tuned)
    assert manifest.origin["fine_tuned"]["updates"] == 5
    weight = "policy.0.weight"
    assert not torch.equal(
        before.controller.state_dict()[weight], after.controller.state_dict()[weight]
    )
    for part in ("vision", "memory"):
        old, new = before.parts()[part].state_dict(), after.parts()[part].state_dict()
        assert all(torch.equal(value, new[key]) for key, value in old.items())
    again = evaluate(tmp_path / "again", f"python -m agent --bundle {tuned} --no-learn")
    assert again["levels"][0]["verdict"] == "completed"


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_contest(folder: Path, bundle: Path) -> tuple[subprocess.Popen, subprocess.Popen]:
    """A server and an agent of a long contest; the agent saves into `folder/out`."""
    socket = str(folder / "sock")
    server = start(
        *("retro_contest", "serve", LEVEL, "--socket", socket, "--timesteps", "100000"),
        *("--results", str(folder / "results")),
    )
    agent = start(
        *("agent", "--bundle", str(bundle), "--socket", socket, "--out", str(folder / "out"))
    )
    return server, agent


@pytest.mark.slow
def test_sigterm_saves_what_was_learnt(untrained: Path, tmp_path: Path) -> None:
    server, agent = start_contest(tmp_path, untrained)
    for line in agent.stdout:
        if "update 2" in line:
            break
    agent.send_signal(signal.SIGTERM)
    output = agent.stdout.read()
    assert agent.wait(60) == 0, output
    assert "saved" in output
    _, manifest = bundle.load(tmp_path / "out")
    assert manifest.origin["fine_tuned"]["updates"] >= 2
    assert server.wait(60) == 0, server.stdout.read()


@pytest.mark.slow
def test_a_server_that_is_killed_is_an_error_with_a_reason(untrained: Path, tmp_path: Path) -> None:
    server, agent = start_contest(tmp_path, untrained)
    for line in agent.stdout:
        if "update 1" in line:
            break
    os.kill(server.pid, signal.SIGKILL)
    began = time.monotonic()
    output = agent.stdout.read()
    assert agent.wait(60) == 1 and "the contest broke off" in output
    assert time.monotonic() - began < 30
    bundle.load(tmp_path / "out")
    server.wait()
