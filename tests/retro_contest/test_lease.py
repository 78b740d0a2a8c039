"""What killed evaluations leave on this machine, without containers."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retro_common.errors import UsageError
from retro_contest.runs import lease
from retro_contest.runs.lease import Lease, TemporaryFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Leases and temporary folders of these tests, apart from those of this user."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield
    monkeypatch.setattr("tempfile.tempdir", None)


def python(code: str) -> subprocess.Popen:
    """A Python that runs some code, prints `ready` and lives on."""
    code += "\nimport time; print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lease_ends_with_its_process():
    process = python(
        "from retro_contest.runs.lease import Lease\n"
        "held = Lease('engine-1'); held.note('a'); held.note('b')"
    )
    assert list(lease.ended()) == [] and len(lease.running()) == 1
    kill(process)
    (old,) = lease.ended()
    assert (old.engine, old.names) == ("engine-1", {"a", "b"})
    assert old.path == lease.folder() / old.token and lease.running() == set()


def test_a_lease_that_is_closed_leaves_nothing():
    held = Lease("engine-1")
    assert lease.running() == {held.token}
    held.close(left_over=False)
    assert list(lease.folder().iterdir()) == []


def test_a_lease_with_something_left_over_is_kept_for_a_clean_up(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    held = Lease("engine-1")
    held.note("a")
    held.close(left_over=True)
    (old,) = lease.ended()
    assert (old.token, old.names) == (held.token, {"a"})


def test_files_of_others_and_damaged_ones_are_no_leases(tmp_path):
    folder = lease.folder()
    folder.mkdir(parents=True)
    (folder / "notes").write_text('{"engine": "x"}\n')
    (folder / ("1" * 32)).write_text("")  # somebody is just making it
    (folder / ("2" * 32)).write_text('[]\n{"engine": "e"}\n{"name": 7}\n{"name": "a"}\n{"nam')
    (folder / ("3" * 32)).symlink_to("/etc/passwd")
    (old,) = lease.ended()
    assert (old.token, old.engine, old.names) == ("2" * 32, "e", {"a"})


def test_a_folder_that_cannot_be_made_is_a_usage_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="XDG_STATE_HOME"):
        Lease("engine-1")


def test_the_watcher_runs_when_its_process_is_killed(tmp_path):
    """It runs the clean-up, which removes this temporary folder of ours."""
    process = python(
        "from retro_contest.runs.lease import Lease, TemporaryFolder\n"
        "held = Lease('engine-1'); folder = TemporaryFolder()"
    )
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    kill(process)
    deadline = time.monotonic() + 60
    while list((tmp_path / "tmp").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_temporary_folders_of_killed_processes_are_removed_and_no_others(tmp_path):
    kill(python("from retro_contest.runs.lease import TemporaryFolder as T; folder = T()"))
    used = TemporaryFolder()
    persons = tmp_path / "tmp/contest-2018"
    (persons / "photos").mkdir(parents=True)
    (tmp_path / "tmp/contest-link").symlink_to(persons)
    pipe = tmp_path / "tmp/contest-pipe"
    pipe.mkdir()
    os.mkfifo(pipe / "other")
    assert lease.remove_temporary_folders() == 1
    assert used.path.is_dir() and (persons / "photos").is_dir()
    used.close()
    assert sorted(path.name for path in (tmp_path / "tmp").iterdir()) == [
        "contest-2018",
        "contest-link",
        "contest-pipe",
    ]


def test_a_killed_evaluation_of_processes_leaves_nothing_for_the_next(tmp_path):
    agent = f"{shlex.quote(sys.executable)} -c 'import time; time.sleep(600)'"
    command = [sys.executable, "-m", "retro_contest", "evaluate", "--levels", "airstriker"]
    command += ["--agent", agent, "--results", str(tmp_path / "results")]
    evaluator = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list((tmp_path / "tmp").glob("contest-*/.retro-contest")):
        assert time.monotonic() < deadline and evaluator.poll() is None
        time.sleep(0.05)
    evaluator.kill()
    evaluator.communicate()
    assert lease.remove_temporary_folders() == 1
    assert list((tmp_path / "tmp").glob("contest-*")) == []


def test_a_lease_holds_one_json_object_a_line():
    held = Lease("engine-1")
    held.note('name with "quotes"\nand a line break')
    lines = (lease.folder() / held.token).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"engine": "engine-1"},
        {"name": 'name with "quotes"\nand a line break'},
    ]
    held.close(left_over=False)
