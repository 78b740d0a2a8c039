"""The examples train on three levels, enter the contest, and the notebook's cells run."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("script", "model"), [("ppo.py", "ppo.pt"), ("sb3_ppo.py", "sb3.zip")])
def test_an_example_trains_and_enters_the_contest(script: str, model: str, tmp_path: Path) -> None:
    example = ROOT / "examples" / script
    sizes = ["--timesteps", 1024, "--envs", 4, "--rollout", 64]
    output = run(sys.executable, example, "train", *sizes, "--to", model, cwd=tmp_path)
    assert f"wrote {model}" in output
    agent = f"python {shlex.quote(str(example))} play {model}"
    evaluate = ["evaluate", "--levels", "FernHollow.Act3", "--timesteps", 200]
    evaluate += ["--agent", agent, "--results", "results"]
    run(sys.executable, "-m", "retro_contest", *evaluate, cwd=tmp_path)
    summary = json.loads((tmp_path / "results/summary.json").read_text())
    assert summary["complete"]
    assert [level["verdict"] for level in summary["levels"]] == ["completed"]


def test_the_notebook_s_ten_cells_run(tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "examples/levels.ipynb").read_text())
    assert notebook["nbformat"] == 4 and len(notebook["cells"]) == 10
    sources = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert all(c["outputs"] == [] for c in notebook["cells"] if c["cell_type"] == "code")
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(sources))
    output = run(sys.executable, script, cwd=tmp_path)
    assert "18 acts" in output and "FernHollow.Act3: score" in output
