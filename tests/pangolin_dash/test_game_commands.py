"""The commands: help, one line for a mistake, exit codes 0, 1 and 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio
import pytest

from pangolin_dash import movies

COMMANDS = ["build", "check", "contact_sheet", "play", "replay", "solve"]


def _run(
    command: str, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    return subprocess.run(
        [sys.executable, "-m", f"pangolin_dash.{command}", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment | variables,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_command_and_its_options(command: str) -> None:
    done = _run(command, "--help")
    assert done.returncode == 0 and not done.stderr
    assert f"python -m pangolin_dash.{command}" in done.stdout and "--" in done.stdout


@pytest.mark.parametrize(
    ("command", "arguments", "reason"),
    [
        ("play", ["--act", "NoZone.Act1"], "FernHollow.Act1"),
        ("play", [], "DISPLAY is not set"),
        ("replay", ["--folder", "nowhere"], "nowhere"),
        ("replay", ["--movie", "nowhere.json"], "not an input movie"),
        ("replay", ["--film", "film.txt"], ".mp4"),
        ("check", ["--folder", "nowhere"], "nowhere"),
        ("check", ["--movies", "nowhere"], "has no movie"),
        ("solve", ["--only", "NoZone.Act1"], "FernHollow.Act1"),
        ("build", ["--zones", "Nowhere"], "FernHollow"),
        ("build", ["--name", "New", "--acts", "10"], "--acts"),
        ("build", ["--seed", "5"], "--name"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    command: str, arguments: list[str], reason: str
) -> None:
    done = _run(command, *arguments)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and reason in done.stderr


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    arguments = ("--name", "New", "--zones", "FrostPeak", "--acts", "1", "--out", tmp_path)
    done = _run("build", *arguments, PATH=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "apt install gcc-m68k-linux-gnu" in done.stderr


def test_replay_films_an_act_and_says_how_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "short.json"
    path.write_text(json.dumps({"inputs": "R60"}))
    done = _run("replay", "--movie", path, "--film", tmp_path / "film.mp4")
    assert done.returncode == 1  # the act is not finished
    assert "FernHollow.Act1: not finished" in done.stdout
    frames = imageio.imread(tmp_path / "film.mp4", plugin="FFMPEG")
    assert frames.shape == (64, 448, 640, 3) and frames[-1].std() > 20


def test_replay_of_the_stored_movie_finishes_the_act() -> None:
    done = _run("replay", "--act", "FernHollow.Act3")
    assert done.returncode == 0 and "FernHollow.Act3: finished" in done.stdout


def test_check_fails_for_a_movie_that_does_not_finish(tmp_path: Path) -> None:
    for path in movies.FOLDER.glob("*.json"):
        content = json.loads(path.read_text()) | {"inputs": "-8"}
        (tmp_path / path.name).write_text(json.dumps(content))
    done = _run("check", "--movies", tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 18 and "the movie ends at x = 96" in done.stderr
