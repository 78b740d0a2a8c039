"""Scalars of an evaluation: TensorBoard's event files, and trackers without a network.

The trackers are extras: their tests are skipped where the library is not installed.
"""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from retro_common.tracking import TensorBoard
from retro_contest.cli.main import main
from retro_contest.levels import find_one
from retro_contest.rules import Rules
from retro_contest.runs.match import Run
from retro_contest.runs.results import read_monitor
from retro_contest.runs.scalars import Scalars
from retro_contest.runs.serve import Status

ROOT = Path(__file__).parents[2]
RUN = "Airstriker-Genesis-v0/Level1/seed-0"


def evaluate(results: Path, *options: str, **variables: str) -> str:
    """Evaluate random play on Airstriker, in a process of its own: trackers leave threads."""
    command = [sys.executable, "-m", "retro_contest", "evaluate", "--levels", "airstriker"]
    command += ["--agent", "random", "--timesteps", "1000", "--results", str(results), *options]
    done = subprocess.run(
        command,
        cwd=results.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(results.parent), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expected(results: Path) -> list[tuple[int, float]]:
    """Timesteps of the budget and reward at the end of each episode, from `monitor.csv`."""
    rows, played = [], 0
    for row in read_monitor(results / RUN / "monitor.csv"):
        played += row.l + 1
        rows.append((played, row.r))
    assert len(rows) >= 2
    return rows


def test_tensorboard_has_every_episode(tmp_path):
    results = tmp_path / "results"
    evaluate(results)
    events = EventAccumulator(str(results / RUN)).Reload()

    def scalars(name: str) -> list[tuple[int, float]]:
        tensors = events.Tensors(name)
        return [(each.step, each.tensor_proto.float_val[0]) for each in tensors]

    rows = expected(results)
    assert scalars("episode_reward") == rows
    means = [sum(reward for _, reward in rows[: n + 1]) / (n + 1) for n in range(len(rows))]
    assert [value for _, value in scalars("mean_reward")] == pytest.approx(means)
    assert all(value > 0 for _, value in scalars("timesteps_per_second"))
    score = json.loads((results / "summary.json").read_text())["score"]
    assert scalars("score") == [(1000, pytest.approx(score))]
    # The same command keeps the run, and its scalars.
    before = sorted(path.name for path in (results / RUN).glob("events.*"))
    evaluate(results)
    assert sorted(path.name for path in (results / RUN).glob("events.*")) == before


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_tracker_that_is_not_installed_is_named(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, name, None)
    words = ["evaluate", "--levels", "airstriker", "--agent", "random", "--track", name]
    assert main([*words, "--results", str(tmp_path / "results")]) == 2
    assert f"pip install 'retro-contest-kit[{name}]'" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_an_unknown_tracker_is_named(tmp_path, capsys):
    words = ["evaluate", "--levels", "airstriker", "--agent", "random", "--track", "wand"]
    assert main([*words, "--results", str(tmp_path / "results")]) == 2
    assert "there are wandb, mlflow, trackio" in capsys.readouterr().err


def test_wandb_offline(tmp_path):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    results = tmp_path / "results"
    evaluate(results, "--track", "wandb", WANDB_MODE="offline", WANDB_SILENT="true")
    (file,) = results.glob("wandb/offline-run-*/run-*.wandb")
    content = file.read_bytes()
    name = f"{RUN}/episode_reward".encode()
    assert content.count(name) >= len(expected(results))


def test_mlflow_in_a_file(tmp_path):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    results = tmp_path / "results"
    evaluate(results, "--track", "mlflow")
    with sqlite3.connect(results / "mlflow.db") as database:
        query = "select step, value from metrics where key = ? order by step"
        rows = database.execute(query, (f"{RUN}/episode_reward",)).fetchall()
        (status,) = database.execute("select status from runs").fetchone()
    assert rows == expected(results)
    assert status == "FINISHED"


def test_trackio_on_this_machine(tmp_path):
    pytest.importorskip(
        "trackio", reason="trackio is not installed: it needs an older Pillow than the kit's pins"
    )
    results, folder = tmp_path / "results", tmp_path / "trackio"
    evaluate(results, "--track", "trackio", TRACKIO_DIR=str(folder))
    (file,) = folder.glob("retro-contest*.db")
    with sqlite3.connect(file) as database:
        logged = [json.loads(row[0]) for row in database.execute("select metrics from metrics")]
    name = f"{RUN}/episode_reward"
    found = [(each["timesteps"], each[name]) for each in logged if name in each]
    assert found == expected(results)


def test_a_tracker_that_fails_does_not_stop_the_evaluation(tmp_path, caplog):
    """Event files cannot be written where a file is in the way of their folder."""
    (tmp_path / "file").touch()
    scalars = Scalars([TensorBoard(tmp_path / "file"), TensorBoard(tmp_path / "log")])
    run = Run(find_one("airstriker"), 0, tmp_path / "run", Rules())
    for timesteps in (100, 200):
        scalars.update(run, Status(timesteps=timesteps, timesteps_per_second=50.0))
    scalars.close()
    assert caplog.text.count("TensorBoard stopped: ") == 1
    events = EventAccumulator(str(tmp_path / "log" / RUN)).Reload()
    assert [each.step for each in events.Tensors("timesteps_per_second")] == [100, 200]
