"""The benchmarks' command lines: mistakes are one line, figures can be kept."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import report
from benchmarks.timing import median_ratio

ROOT = Path(__file__).parents[2]


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("benchmarks.training", "--level", "pangolin-tset"), "did you mean .*pangolin-test"),
        (("benchmarks.training", "--level", "pangolin-test"), "is 5 levels; name one"),
        (("benchmarks.environment", "--level", "pangolin-tset"), "did you mean .*pangolin-test"),
        (("benchmarks.online", "--level", "pangolin-tset"), "did you mean .*pangolin-test"),
        (("benchmarks.world_model", "--config", "CONFIG"), "did you mean .*pangolin-train"),
        (("benchmarks.score", "--levels", "pangolin-tset"), "did you mean .*pangolin-test"),
        (("analysis.demo", "--bundle", "nowhere"), "nowhere: no bundle"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, words, says):
    config = tmp_path / "config.yaml"
    config.write_text(f"{{out: {tmp_path}/run, levels: pangolin-trian, device: cpu}}")
    module, *options = (word if word != "CONFIG" else str(config) for word in words)
    if module == "benchmarks.score":
        options += ["--arms", "random", "--results", str(tmp_path), "--work", str(tmp_path / "w")]
    done = run(module, *options)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(says, line), line


def test_figures_are_printed_and_kept_with_their_origin(tmp_path, capsys):
    file = tmp_path / "new/figures.json"
    report("Speed", [["", "per second"], ["ours", 3]], {"ratio": 1.5}, file)
    out = capsys.readouterr().out
    assert "per second" in out
    kept = json.loads(file.read_text())
    assert kept == json.loads(out.splitlines()[-1])
    assert kept["ratio"] == 1.5 and kept["commit"] and kept["created"] and kept["versions"]["numpy"]


def test_ratios_are_medians_over_rounds():
    assert median_ratio([9, 4, 6], [9, 2, 2]) == 2.0
