"""Collect and controller on a cluster of two nodes: the same bytes, the same rollouts."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from cluster_kit import connected, nodes
from ray.cluster_utils import Cluster

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.learning.ppo import Rollout
from agent.models.actor import Models
from pretrain import __main__ as command
from pretrain.cluster import ClusterSampler
from pretrain.sampler import Sampler, group_columns
from retro_common.errors import UsageError
from retro_contest import levels

TINY = Path(__file__).parents[1] / "pretrain/tiny.yaml"
CONFIG = f"""
extends: {TINY}
out: {{folder}}/run
levels: FernHollow.Act1,AmberDunes.Act2,CoralGrotto.Act2
controller: {{{{timesteps: 256, envs: 3, ppo: {{{{rollout_length: 48}}}}}}}}
"""
AGENT = AgentConfig(
    actions=("", "LEFT", "RIGHT", "B"),
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(4, 8), decoder_channels=(4, 8)
    ),
    memory=MemoryConfig(hidden=16, mixtures=2),
    controller=ControllerConfig(features=("z", "h", "proprioception"), hidden=16),
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with nodes(1, 1) as cluster:
        yield cluster


def config(folder: Path, text: str = CONFIG) -> Path:
    folder.mkdir()
    path = folder / "config.yaml"
    path.write_text(text.format(folder=folder))
    return path


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("run/collect/shards/*")}


def test_shards_are_equal_byte_by_byte(cluster: Cluster, tmp_path: Path) -> None:
    local, remote = config(tmp_path / "local"), config(tmp_path / "remote")
    assert command.main(["collect", "--config", str(local)]) == 0
    begun = ["collect", "--config", str(remote), "--cluster", cluster.address]
    assert command.main(begun) == 0
    wanted = shards(tmp_path / "local")
    assert len(wanted) >= 4
    assert shards(tmp_path / "remote") == wanted
    # What is missing, and no more, is recorded again.
    first, second = sorted((tmp_path / "remote/run/collect/shards").iterdir())[:2]
    first.unlink()
    (tmp_path / "remote/run/collect/done.json").unlink()
    before = second.stat().st_mtime_ns
    assert command.main(begun) == 0
    assert shards(tmp_path / "remote") == wanted and second.stat().st_mtime_ns == before


def models() -> Models:
    torch.manual_seed(0)
    built = Models.build(AGENT)
    built.vision.to(memory_format=torch.channels_last)
    built.controller.to(memory_format=torch.channels_last)
    return built


def rollouts(sampler: Sampler | ClusterSampler, built: Models, envs: int) -> list:
    """Two rollouts, the second with other weights, and what is known after each."""
    found = []
    with sampler:
        for shift in (0.0, 0.01):
            with torch.no_grad():
                for weight in built.controller.parameters():
                    weight += shift
            rollout = Rollout.of(AGENT, 40, envs)
            finished = sampler.play(rollout)
            content = {name: value for name, value in vars(rollout).items() if value is not None}
            found.append((content, finished, sampler.timesteps_per_level()))
    return found


def assert_equal(one: list, two: list) -> None:
    for (arrays, finished, played), (theirs, their_finished, their_played) in zip(
        one, two, strict=True
    ):
        assert arrays.keys() == theirs.keys()
        for name, array in arrays.items():
            assert torch.equal(array, theirs[name]), name
        assert (finished, played) == (their_finished, their_played)


@pytest.mark.parametrize("envs", [3, pytest.param(24, marks=pytest.mark.slow)])
def test_rollouts_are_those_of_one_process(cluster: Cluster, envs: int) -> None:
    known = levels.find("FernHollow.Act1,AmberDunes.Act2,CoralGrotto.Act2")[:3]
    played = {known[0].name: 500}
    one, two = models(), models()
    assert len(group_columns(envs)) == {3: 2, 24: 3}[envs]
    sampler = Sampler(one, known, envs, seed=3, device=CPU, timesteps_per_level=played)
    wanted = rollouts(sampler, one, envs)
    assert sum(wanted[1][2].values()) > 2 * 40 * envs
    with connected(cluster) as address:
        spread = ClusterSampler(address, two, known, envs, seed=3, timesteps_per_level=played)
        assert_equal(rollouts(spread, two, envs), wanted)


@pytest.mark.slow
def test_one_node_gives_the_same_controller_as_two_and_as_none(
    cluster: Cluster, tmp_path: Path
) -> None:
    text = CONFIG + "agent: {{controller: {{features: [pixels]}}}}\n"
    text = text.replace(
        "controller: {{timesteps", "controller: {{encoder_from_vision: false, timesteps"
    )
    found = []
    for name, options in {
        "none": [],
        "one": ["--cluster", "local"],
        "two": ["--cluster", cluster.address],
    }.items():
        path = config(tmp_path / name, text)
        # In one process, which goes from one cluster to another.
        assert command.main(["controller", "--config", str(path), *options]) == 0
        loaded = bundle.load(tmp_path / name / "run/bundle")[0]
        found.append(loaded.controller.state_dict())
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in found[0])


@pytest.mark.slow
def test_a_collection_that_is_killed_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    path = config(tmp_path / "killed")
    line = [sys.executable, "-m", "pretrain", "collect", "--config", str(path)]
    line += ["--cluster", cluster.address, "--collect.timesteps", "20000"]
    driver = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "killed/run/collect/shards"
    deadline = time.monotonic() + 120
    while not list(folder.glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert kept
    # This time it is asked to stop, which it says.
    driver = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while len(list(folder.glob("*.safetensors"))) <= len(kept) and time.monotonic() < deadline:
        time.sleep(0.05)
    driver.send_signal(signal.SIGTERM)
    _, said = driver.communicate(timeout=60)
    assert (driver.returncode, said) == (1, "stopped; run the same command again to go on\n")
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_what_no_cluster_can_do(tmp_path: Path) -> None:
    path = str(config(tmp_path / "run"))
    with pytest.raises(UsageError, match="--cluster: vision runs on one machine"):
        command.main(["vision", "--config", path, "--cluster", "local"])
    with pytest.raises(UsageError, match="nothing answers there"):
        command.main(["collect", "--config", path, "--cluster", "127.0.0.1:9"])
    assert not (tmp_path / "run/run").exists()
