"""Versions, requirements and licences that are written in several places agree."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import gym_remote

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "agent" / "requirements.txt", ROOT / "retro_contest" / "requirements.txt"]
FILES += [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]


def pins(*files: Path) -> dict[str, str]:
    """Versions by name; every line is a pin, a comment or the name of another file."""
    found: dict[str, str] = {}
    for file in files:
        for line in file.read_text().splitlines():
            if line.startswith("-r "):
                assert (file.parent / line[3:]).is_file(), line
            elif line and not line.startswith("#"):
                name, _, version = line.partition("==")
                assert version and found.setdefault(name, version) == version, line
    return found


def project(file: Path) -> dict:
    return tomllib.loads(file.read_text())["project"]


def test_all_files_pin_the_same_versions():
    assert {"torch", "stable-retro", "pytest"} <= pins(*FILES).keys()


def test_the_wheel_asks_for_what_the_environment_image_holds():
    pinned = pins(ROOT / "retro_contest" / "requirements.txt")
    ranges = [Requirement(text) for text in project(ROOT / "pyproject.toml")["dependencies"]]
    assert {each.name for each in ranges} == pinned.keys()
    for each in ranges:
        assert each.specifier.contains(pinned[each.name]), each


NOT_PINNED = {"mlflow", "trackio"}
"""extras that the tests use only where somebody has installed them: mlflow brings 60 distributions,
trackio wants an older Pillow than the one that is pinned"""


@pytest.mark.parametrize("folder", ["", "gym_remote"])
def test_the_tested_versions_lie_in_the_ranges(folder):
    pinned = pins(*FILES)
    values = project(ROOT / folder / "pyproject.toml")
    extras = values.get("optional-dependencies", {}).values()
    for text in [*values["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        if requirement.name not in NOT_PINNED:
            assert requirement.specifier.contains(pinned[requirement.name]), text


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert str(citation["version"]) == gym_remote.__version__
    assert citation["license"] == project(ROOT / "pyproject.toml")["license"]
    assert [author["name"] for author in citation["authors"]] == ["The Retro Contest Kit authors"]


def test_both_distributions_have_the_same_licence():
    assert (ROOT / "gym_remote" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


# --- the Makefile's clean-up ---


def make(target: str, folder: Path, answer: str = "") -> str:
    """Run the Makefile in another folder, as from a terminal that answers."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-f", ROOT / "Makefile", target],
        cwd=folder,
        env=clean,
        input=answer,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_clean_keeps_what_was_trained(tmp_path):
    for name in ("runs/demo", "results/mine", "build/lib", "kit.egg-info"):
        (tmp_path / name).mkdir(parents=True)
    make("clean", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert (tmp_path / "runs" / "demo").is_dir()


@pytest.mark.parametrize(
    ("answer", "stays"), [("y\n", False), ("n\n", True), ("\n", True), ("", True)]
)
def test_make_clean_runs_asks_first(answer, stays, tmp_path):
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    output = make("clean-runs", tmp_path, answer)
    assert "Remove runs/" in output
    assert (tmp_path / "runs").exists() == stays


def test_make_clean_runs_without_runs(tmp_path):
    assert "there is no runs/" in make("clean-runs", tmp_path)
