"""Jobs of SLURM: submitit calls the same pickled functions as processes of this machine."""

import io
import json
import logging
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from pretrain import __main__ as pretrain
from retro_common.errors import UsageError
from retro_contest.cli.main import main
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs import slurm
from retro_contest.runs.evaluate import Evaluation, evaluate
from retro_contest.runs.match import Run
from retro_contest.runs.processes import ProcessRunner
from retro_contest.runs.progress import Progress
from retro_contest.runs.results import read_monitor
from retro_contest.runs.serve import Status

TINY = Path(__file__).parents[1] / "pretrain/tiny.yaml"


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are processes of this machine."""
    monkeypatch.setattr(slurm, "SCHEDULER", "local")


class Watch(Progress):
    """Does something once, when a run has played for a while."""

    def __init__(self, then) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.then = then

    def update(self, run: Run, status: Status) -> None:
        super().update(run, status)
        if status.timesteps > 200 and self.then:
            then, self.then = self.then, None
            then()


def play(results: Path, then, there="jerk", interrupted=None, timesteps: int = 1500) -> dict:
    """Evaluate an agent in jobs on two levels, one after the other."""
    levels = find("airstriker,FernHollow.Act1")
    rules = Rules(timesteps, 120.0, connect_timeout=60.0)
    evaluation = Evaluation("test", "two", levels, results, rules)
    jobs = slurm.Slurm(partial(ProcessRunner, there), cpus=1.0, gpus=0)
    with Watch(then) as watch:
        event = interrupted or threading.Event()
        return evaluate(evaluation, ProcessRunner("jerk"), event, watch, jobs.play)


def test_scores_are_those_of_this_machine(local: None, tmp_path: Path) -> None:
    line = ["evaluate", "--levels", "airstriker,FernHollow.Act1", "--agent", "hold-right"]
    line += ["--timesteps", "400", "--jobs", "2", "--replay-secret", "0123456789abcdef" * 2]
    found = []
    for name, more in {"here": [], "there": ["--cluster", "slurm", "--gpus", "0"]}.items():
        assert main([*line, "--results", str(tmp_path / name), *more]) == 0
        found.append(json.loads((tmp_path / name / "summary.json").read_text()))
    assert found[0]["level_scores"] == found[1]["level_scores"]
    assert all(run["machine"]["cores"] for run in found[1]["levels"])
    folders = [
        tmp_path / name / "Airstriker-Genesis-v0/Level1/seed-0" for name in ("here", "there")
    ]
    here, there = [{p.name for p in of.iterdir() if "tfevents" not in p.name} for of in folders]
    assert here == there, "nothing of the job is left"


def tell_the_job(number: int) -> None:
    """Send a signal to every process of the job that plays, as SLURM does."""
    (job,) = [
        process
        for process in psutil.Process().children(recursive=True)
        if "submitit.core._submit" in process.cmdline()
    ]
    for process in [job, *job.children(recursive=True)]:
        process.send_signal(number)


@pytest.mark.slow
def test_a_run_whose_job_is_ended_is_played_again(local: None, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.WARNING)
    # A budget that is not used up before the signal arrives.
    summary = play(tmp_path, partial(tell_the_job, signal.SIGTERM), timesteps=9000)
    again = [record.getMessage() for record in caplog.records if "played again" in record.message]
    assert len(again) == 1 and "its node was lost (job " in again[0]
    assert [run["verdict"] for run in summary["levels"]] == ["completed"] * 2
    for level in find("airstriker,FernHollow.Act1"):
        episodes = read_monitor(tmp_path / level.name / "seed-0/monitor.csv")
        assert sum(episode.l + 1 for episode in episodes) == 9000


@pytest.mark.slow
def test_a_run_that_is_stopped_keeps_its_measurements(local: None, tmp_path: Path) -> None:
    interrupted = threading.Event()
    # A budget that is not used up before the stop arrives.
    summary = play(tmp_path, interrupted.set, interrupted=interrupted, timesteps=50_000)
    (run,) = summary["levels"]
    assert run["verdict"] == "interrupted" and run["timesteps"] > 200
    assert not summary["complete"]


def test_what_a_job_complains_about_is_said(local: None, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"node \S+: agent is 'random' there, 'jerk' on") as caught:
        play(tmp_path, None, there="random")
    assert "\n" not in str(caught.value)


def test_shards_are_equal_byte_by_byte(local: None, tmp_path: Path) -> None:
    found = []
    for name, more in {"here": [], "there": ["--cluster", "slurm"]}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"extends: {TINY}\nout: {tmp_path / name}\n")
        assert pretrain.main(["collect", "--config", str(path), *more]) == 0
        shards = (tmp_path / name / "collect/shards").iterdir()
        found.append({shard.name: shard.read_bytes() for shard in shards})
        assert not (tmp_path / name / "collect/jobs").exists()
    assert len(found[0]) >= 2 and found[0] == found[1]


@pytest.mark.skipif(shutil.which("srun") is not None, reason="a machine with SLURM")
def test_a_machine_without_slurm(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "retro_contest", "evaluate", "--levels", "airstriker"]
    line += ["--results", str(tmp_path / "results"), "--agent", "jerk", "--cluster", "slurm"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "--cluster slurm: Could not detect" in done.stderr
    assert not (tmp_path / "results").exists()
    path = tmp_path / "config.yaml"
    path.write_text(f"extends: {TINY}\nout: {tmp_path / 'run'}\n")
    with pytest.raises(UsageError, match="controller needs a Ray cluster"):
        pretrain.main(["all", "--config", str(path), "--cluster", "slurm"])
