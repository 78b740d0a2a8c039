"""A node is lost in the middle of a run, and in the middle of C's training."""

import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from cluster_kit import STORE, connected, nodes
from rich.console import Console

from agent.learning.ppo import Rollout
from agent.models.actor import Models
from pretrain.cluster import ClusterSampler
from pretrain.config import PretrainConfig
from retro_common.config import load
from retro_contest import levels
from retro_contest.rules import Rules
from retro_contest.runs.cluster import Cluster
from retro_contest.runs.evaluate import Evaluation, clean, evaluate
from retro_contest.runs.match import Run
from retro_contest.runs.processes import ProcessRunner
from retro_contest.runs.progress import Progress
from retro_contest.runs.results import read_monitor
from retro_contest.runs.serve import Status

TINY = Path(__file__).parents[1] / "pretrain/tiny.yaml"


class Watch(Progress):
    """Notes the runs that ended, and when one has played for a while."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.ended: list[str] = []
        self.playing = threading.Event()

    def update(self, run: Run, status: Status) -> None:
        super().update(run, status)
        if status.timesteps > 200:
            self.playing.set()

    def end(self, run: Run, result: dict) -> None:
        super().end(run, result)
        self.ended.append(run.name)


@pytest.mark.slow
def test_a_run_whose_node_is_lost_is_played_again(tmp_path: Path, caplog) -> None:
    with nodes(0, 1) as cluster, connected(cluster) as address:
        (lost,) = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
        evaluation = Evaluation(
            name="test",
            level_set="pangolin-test",
            levels=levels.find("pangolin-test")[:2],
            results=tmp_path,
            rules=Rules(6000, 120.0),
            jobs=2,
        )
        played_on = Cluster(address, partial(ProcessRunner, "jerk"))
        caplog.set_level(logging.WARNING)
        runner = ProcessRunner("jerk")
        watch = Watch()
        with watch, ThreadPoolExecutor() as pool:
            evaluated = pool.submit(
                evaluate, evaluation, runner, threading.Event(), watch, played_on.play
            )
            assert watch.playing.wait(60)
            cluster.remove_node(lost, allow_graceful=False)
            cluster.add_node(num_cpus=1, object_store_memory=STORE)
            summary = evaluated.result()
        played_on.close()
    again = [record.getMessage() for record in caplog.records if "played again" in record.message]
    # The other one may have waited on that node.
    assert 1 <= len(again) <= 2 and all("its node was lost" in line for line in again)
    assert clean(summary) and summary["complete"]
    wanted = sorted(f"{level.name}/seed-0" for level in evaluation.levels)
    assert sorted(watch.ended) == wanted, "each once"
    assert sorted(f"{run['game']}/{run['state']}/seed-0" for run in summary["levels"]) == wanted
    for name in wanted:
        episodes = read_monitor(tmp_path / name / "monitor.csv")
        assert sum(episode.l + 1 for episode in episodes) == 6000
    (node,) = {run["machine"]["node"] for run in summary["levels"]}
    assert not lost.node_id.startswith(node)


@pytest.mark.slow
def test_a_group_whose_node_is_lost_begins_anew_on_another(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"extends: {TINY}\nout: {tmp_path}\n")
    known, config = levels.find("airstriker"), load(PretrainConfig, path).agent
    with nodes(0, 2) as cluster, connected(cluster) as address:
        (lost,) = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
        with ClusterSampler(address, Models.build(config), known, 2, seed=3) as sampler:
            rollout = Rollout.of(config, 20, 2)
            sampler.play(rollout)
            first = rollout.actions.clone()
            cluster.add_node(num_cpus=2, object_store_memory=STORE)
            cluster.remove_node(lost, allow_graceful=False)
            rollout.actions.zero_()
            sampler.play(rollout)
            # From the beginning of its episodes, with the same seed and weights.
            assert torch.equal(rollout.actions, first) and first.any()
            assert sampler.timesteps_per_level() == {known[0].name: 80}
