"""Pretraining hands its scalars to an experiment tracker."""

import sqlite3
import sys
from pathlib import Path

import pytest
import torch

from pretrain.__main__ import main
from pretrain.loop import Loop
from pretrain.stage import Stage
from retro_common.errors import UsageError


def test_a_tracker_that_is_not_installed_is_named_before_a_stage_begins(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    tiny = str(Path(__file__).with_name("tiny.yaml"))
    config = tmp_path / "config.yaml"
    config.write_text(f"extends: {tiny}\nout: {tmp_path / 'run'}\nlevels: airstriker\n")
    words = ["collect", "--config", str(config), "--track", "wandb"]
    with pytest.raises(UsageError, match=r"pip install 'retro-contest-kit\[wandb\]'"):
        main(words)
    assert not (tmp_path / "run").exists()


def test_the_loop_s_scalars_reach_the_tracker(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    work = Stage("vision", tmp_path / "vision", {}).open()
    with Loop(work, 3, track="mlflow", model=torch.nn.Linear(1, 1)) as loop:
        for step in loop:
            loop.log({"losses/total": torch.tensor(step / 2)})
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        rows = database.execute("select key, step, value from metrics order by step").fetchall()
    assert rows == [("vision/losses/total", step, step / 2) for step in range(3)]
