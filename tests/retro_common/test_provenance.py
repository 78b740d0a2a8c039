"""Where an artefact says it comes from: a checkout, a container, an installation."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retro_common.provenance import provenance, versions

PACKAGE = Path(__file__).parents[2] / "retro_common"
ASK = "from retro_common import provenance as p; print(p.git_commit(), p.INSTALLED)"


def commit(folder: Path, **environment: str) -> list[str]:
    """[commit, installed?], as the copy of retro_common in `folder` finds them."""
    kept = {k: v for k, v in os.environ.items() if k not in ("RETRO_COMMIT", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def copy_to(folder: Path) -> Path:
    shutil.copytree(PACKAGE, folder / "retro_common", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def repository(tmp_path) -> Path:
    """A git repository with one commit, which holds one file."""
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        who = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)
    return tmp_path


def test_in_a_checkout_it_is_the_commit_and_whether_files_differ(repository):
    copy_to(repository)
    name, installed = commit(repository)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert len(name) == 12 and head.stdout.startswith(name) and installed == "False"
    (repository / "file").write_text("two")
    assert commit(repository) == [f"{name}+changes", "False"]


def test_installed_in_another_repository_it_is_unknown(repository):
    packages = repository / "venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    assert commit(copy_to(packages)) == ["unknown", "True"]


def test_outside_of_any_repository_it_is_unknown(tmp_path):
    assert commit(copy_to(tmp_path)) == ["unknown", "False"]


def test_without_git_it_is_unknown(repository):
    assert commit(copy_to(repository), PATH="/nonexistent") == ["unknown", "False"]


def test_an_image_says_what_it_was_built_from(tmp_path):
    assert commit(copy_to(tmp_path), RETRO_COMMIT="abc+changes") == ["abc+changes", "False"]


def test_what_an_artefact_says():
    found = provenance()
    assert set(found) == {"commit", "created", "versions"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["created"])
    assert found["versions"] == versions() and {"python", "numpy"} <= versions().keys()
    found["versions"].clear()
    assert versions()
