"""The commands and the code of docs/levels.md and docs/films.md work, in the order of the page."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks
from test_commands import TIMESTEPS, environment, save_samples

from retro_contest.cli.main import main

TESTED = {"tests/examples": "tests/examples/test_examples.py"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["levels.md", "films.md"])
def test_every_command_of_the_page_runs(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / name
    save_samples(page, tmp_path)
    ran = 0
    for block in blocks(page):
        if block.language == "sh" and block.check == "run":
            for line in block.commands():
                words = shlex.split(line)
                if "--timesteps" in words:
                    words[words.index("--timesteps") + 1] = TIMESTEPS
                assert words[0] == "retro-contest" and main(words[1:]) == 0, line
                ran += 1
        elif block.language == "sh":
            assert (ROOT / TESTED[block.check]).is_file()
        else:
            assert block.language in ("python", "yaml"), block.text
    assert ran >= 2
    if name == "films.md":
        films = {
            path.relative_to(tmp_path / "results").parts[:2] for path in tmp_path.rglob("*.mp4")
        }
        assert films == {("jerk", "films"), ("films", "PangolinDash-Genesis-v0")}


def test_the_code_of_the_page_runs(tmp_path: Path) -> None:
    code = "\n".join(b.text for b in blocks(ROOT / "docs/levels.md") if b.language == "python")
    assert "gymnasium.make(" in code and "gymnasium.make_vec(" in code
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
