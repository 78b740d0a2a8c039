"""Evaluations on a cluster of two nodes, compared with the same evaluations on this machine."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import ray
from cluster_kit import nodes
from ray.experimental import internal_kv
from rich.console import Console

from retro_common.errors import UsageError
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs import nodes as nodes_module
from retro_contest.runs.cluster import Cluster, speeds
from retro_contest.runs.evaluate import Evaluation, clean, evaluate
from retro_contest.runs.match import play
from retro_contest.runs.nodes import Needs, connect, disconnect, whole_gpus
from retro_contest.runs.processes import ProcessRunner
from retro_contest.runs.progress import Progress
from retro_contest.runs.results import read_monitor, run_checksum

SECRET = "0123456789abcdef" * 2
LEVELS = "airstriker,FernHollow.Act1"
LITTER = "python -c \"import os; open(os.environ['RETRO_CONTEST_OUT'] + '/f', 'wb').truncate({})\""


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a cluster that this process is not connected to."""
    with nodes(1, 1) as cluster:
        yield cluster.address


def run(results: Path, agent: str, address: str = "", *, levels: str = LEVELS, **options) -> dict:
    """Evaluate an agent here, or at an address."""
    evaluation = Evaluation(
        name="test",
        level_set=levels,
        levels=find(levels),
        results=results,
        rules=Rules(options.pop("timesteps", 1500), 60.0, connect_timeout=10.0),
        jobs=2,
        replay_secret=SECRET,
        **options,
    )
    play_run: Callable = play
    if address:
        cluster = Cluster(address, partial(ProcessRunner, agent))
        play_run = cluster.play
    with Progress(Console(file=io.StringIO())) as progress:
        runner = ProcessRunner(agent)
        summary = evaluate(evaluation, runner, threading.Event(), progress, play_run)
    if address:
        cluster.close()
    return summary


def runner_of_this_module() -> ProcessRunner:
    """No node can import this module."""
    return ProcessRunner("random")


def test_scores_are_those_of_this_machine(address: str, tmp_path: Path) -> None:
    for agent in ("hold-right", "jerk"):
        here = run(tmp_path / agent / "here", agent)
        there = run(tmp_path / agent / "there", agent, address)
        assert clean(there) and there["score"] == here["score"] != 0
        assert there["level_scores"] == here["level_scores"]
        assert len({entry["machine"]["node"] for entry in there["levels"]}) == 2
        for entry in there["levels"]:
            folder = Path(entry["game"], entry["state"], "seed-0")
            places = [tmp_path / agent / place / folder for place in ("here", "there")]
            assert len({tuple(sorted(p.name for p in place.iterdir())) for place in places}) == 1
            one, two = [read_monitor(place / "monitor.csv") for place in places]
            assert [(e.r, e.l) for e in one] == [(e.r, e.l) for e in two]
            result = json.loads((places[1] / "result.json").read_text())
            assert result["timesteps_per_second"] > 0 and result["machine"] == entry["machine"]
            assert entry["sha256"] == run_checksum(places[1])
        # A finished run is kept, there and here.
        before = (tmp_path / agent / "there" / "summary.json").stat().st_mtime_ns
        assert run(tmp_path / agent / "there", agent)["levels"] == there["levels"]
        assert (tmp_path / agent / "there" / "summary.json").stat().st_mtime_ns > before


@pytest.mark.slow
def test_the_command_is_stopped_and_goes_on(address: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "retro_contest", "evaluate", "--levels", LEVELS]
    line += ["--results", str(tmp_path), "--agent", "jerk", "--timesteps", "12000"]
    line += ["--cluster", address]
    driver = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = tmp_path / "Airstriker-Genesis-v0/Level1/seed-0/result.json"
    deadline = time.monotonic() + 200
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2)
    driver.send_signal(signal.SIGTERM)
    said = driver.communicate(timeout=60)
    assert driver.returncode == 1, said
    assert "stopping: the measurements so far are being written" in said[1]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [entry["verdict"] for entry in summary["levels"]] == ["completed", "interrupted"]
    kept = first.stat().st_mtime_ns
    done = subprocess.run(line, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 runs were finished before: kept" in done.stdout
    assert re.search(r"cores\): \d+ runs, median [\d,]+ timesteps/s", done.stdout)
    assert json.loads((tmp_path / "summary.json").read_text())["complete"]
    assert first.stat().st_mtime_ns == kept


def test_another_commit_on_the_head_is_said(address: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "retro_contest", "evaluate", "--levels", "airstriker"]
    line += ["--results", str(tmp_path), "--agent", "hold-right", "--cluster", address]
    done = subprocess.run(
        line, env=os.environ | {"RETRO_COMMIT": "another"}, capture_output=True, text=True
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert re.search(r"node \S+: the kit's commit is \S+ there, but another", done.stderr)


def test_another_version_of_ray_is_said(address: str) -> None:
    connect(address)
    text = internal_kv._internal_kv_get("CLUSTER_METADATA", namespace="cluster")
    changed = json.dumps(json.loads(text) | {"ray_version": "1.0.0"})
    internal_kv._internal_kv_put("CLUSTER_METADATA", changed, True, namespace="cluster")
    disconnect()
    with pytest.raises(UsageError, match=r"--cluster .*Version mismatch.*1\.0\.0") as caught:
        connect(address)
    assert "\n" not in str(caught.value)


def test_a_full_object_store_is_said(tmp_path: Path) -> None:
    # Disks count as full from the first byte, so that nothing moves there from a full store.
    with nodes(1, _system_config={"local_fs_capacity_threshold": 0.0}) as cluster:
        agent = LITTER.format(150 << 20)
        with pytest.raises(UsageError, match="an object store of the cluster is full") as caught:
            run(tmp_path, agent, cluster.address, levels="airstriker")
    assert "\n" not in str(caught.value)


def test_addresses_that_are_none() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for address, complaint in {
        f"127.0.0.1:{port}": "nothing answers there",
        "no-such-host.invalid:6379": "nothing answers there",
        "somewhere": "neither HOST:PORT nor 'local'",
        "127.0.0.1:99999": "neither HOST:PORT nor 'local'",
    }.items():
        with pytest.raises(UsageError, match=complaint) as caught:
            connect(address)
        assert "\n" not in str(caught.value)
    with socket.socket() as other, pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes_module, "PROBE_SECONDS", 10.0)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError, match="what answers there is no Ray cluster"):
            connect(f"127.0.0.1:{other.getsockname()[1]}")
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_cluster_that_asks_for_a_token(address: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "retro_contest", "evaluate", "--levels", "airstriker"]
    line += ["--results", str(tmp_path), "--agent", "hold-right", "--cluster", address]
    wrong = {"RAY_AUTH_TOKEN": "1" * 64}
    done = subprocess.run(line, env=os.environ | wrong, capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "it asks for a token" in done.stderr


def test_more_processors_than_a_node_has(address: str) -> None:
    with pytest.raises(UsageError, match="--cpus 2: no node of the cluster has more than 1"):
        Cluster(address, partial(ProcessRunner, "random"), cpus=2)


def test_a_node_that_cannot_import_a_runner_is_said(address: str, tmp_path: Path) -> None:
    cluster = Cluster(address, runner_of_this_module)
    with pytest.raises(UsageError, match="No module named 'test_cluster_evaluate'") as caught:
        evaluation = Evaluation("test", "airstriker", find("airstriker"), tmp_path, Rules(100))
        with Progress(Console(file=io.StringIO())) as progress:
            event = threading.Event()
            evaluate(evaluation, ProcessRunner("random"), event, progress, cluster.play)
    assert "\n" not in str(caught.value)


def test_without_a_cluster_ray_is_not_imported() -> None:
    modules = "retro_contest.cli.main, retro_contest.runs.cluster, retro_contest.server.work.play"
    modules += ", pretrain.__main__, pretrain.cluster, pretrain.stages.controller"
    code = f"import sys, {modules}; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_files_that_differ_are_said(tmp_path: Path) -> None:
    file = tmp_path / "movies"
    file.write_text("one")
    needs = Needs.of(find("airstriker"), [file])
    needs.check()
    file.write_text("two")
    with pytest.raises(UsageError, match=r"node .*: the content of .*movies is not the head's"):
        needs.check()
    file.unlink()
    with pytest.raises(UsageError, match=r"node .*: .*movies is missing there"):
        needs.check()


def test_nodes_of_different_speed_are_not_mixed_silently() -> None:
    machine = {"host": "a", "processor": "P", "cores": 4}
    levels = [
        {"timesteps_per_second": rate, "machine": machine | {"node": node}}
        for node, rate in (("n1", 100.0), ("n1", 110.0), ("n2", 60.0))
    ]
    lines = speeds({"levels": levels})
    assert lines[:2] == [
        "a (n1; P, 4 cores): 2 runs, median 105 timesteps/s",
        "a (n2; P, 4 cores): 1 runs, median 60 timesteps/s",
    ]
    assert lines[2].startswith("warning: the fastest node is 1.75 times as fast")
    assert speeds({"levels": [*levels[:2], {"timesteps_per_second": 60.0}]}) == lines[:1]


def test_gpus_are_a_number() -> None:
    assert whole_gpus("") == 0 and whole_gpus("2") == 2
    with pytest.raises(UsageError, match="on a cluster a number, not 'all'"):
        whole_gpus("all")
