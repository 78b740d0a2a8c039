"""What `retro-contest submit` finds out before anything is built; tests/containers has the rest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retro_common.errors import UsageError
from retro_contest.cli.main import main
from retro_contest.entry import sources
from retro_contest.entry.build import KIT_HASHED, Options
from retro_contest.entry.new import write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nowhere(monkeypatch):
    """An engine that does not exist: a test that needs it would say so."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


@pytest.fixture
def entry(tmp_path, monkeypatch, nowhere) -> Path:
    """A new agent's folder, and the folder that it lies in as the working directory."""
    monkeypatch.chdir(tmp_path)
    write(Path("my-agent"), "random")
    return tmp_path / "my-agent"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def dry(capsys, *words: str) -> str:
    code = main(["submit", "--dry-run", *words])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out + said.err


# --- what would be done ---


def test_a_dry_run_says_all_steps_and_does_none(entry, capsys):
    said = dry(capsys, "my-agent", "--registry", "localhost:1/x", "--tag", "v1")
    assert "would run: docker build --quiet --tag localhost:1/x:v1 my-agent\n" in said
    assert "would check it on PangolinDash-Genesis-v0/FernHollow.Act1," in said
    assert "would push localhost:1/x:v1\n" in said
    assert "would write results/submissions/v1/submission.json\nnothing was done\n" in said
    assert not Path("results").exists()
    assert "would push nothing" in dry(capsys, "my-agent")


def test_without_a_commit_a_submission_is_named_by_the_time(entry, capsys):
    said = dry(capsys, "my-agent")
    assert "--tag retro-contest-agent:my-agent-20" in said and "warning" not in said


def test_a_folder_in_git_is_named_by_its_commit(entry, capsys, monkeypatch):
    git(entry, "init", "-q")
    git(entry, "add", "-A")
    git(entry, "commit", "-qm", "first")
    commit = git(entry, "rev-parse", "--short=12", "HEAD")
    monkeypatch.chdir(entry)
    assert f":my-agent-{commit} ." in dry(capsys), "the folder is the working directory"
    (entry / "helper.py").write_text("")
    (entry / "agent.py").write_text("print()")
    said = dry(capsys)
    assert f":my-agent-{commit}-changes ." in said
    assert "warning: the work tree has changes that are in no commit: agent.py, helper.py" in said


def test_the_kit_s_own_agent_is_built_with_its_environment(nowhere):
    done = subprocess.run(
        ["./submit.sh", "--dry-run", "--registry", "localhost:1/x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
    )
    assert done.returncode == 0, done.stderr
    environment, agent = (line for line in done.stdout.splitlines() if "docker build" in line)
    assert "--tag retro-contest-environment --file" in environment
    assert "retro_contest/Dockerfile --build-arg COMMIT=" in environment
    for word in ("VERSION=0.1.0", "COMMIT=", "BUNDLE=bundles/pangolin", "BUNDLE_SHA256="):
        assert f"--build-arg {word}" in agent
    assert "--tag localhost:1/x:0.1.0-" in agent
    assert "results/submissions/0.1.0-" in done.stdout


def test_a_foreign_dockerfile_never_builds_the_environment_image(nowhere, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    more = ["--target", "x", "--build-arg", "BASE=y", "--network=none", "--pull"]
    more += ["--file=Dockerfile"]
    said = dry(capsys, "--", *more)
    environment, agent = (line for line in said.splitlines() if "docker build" in line)
    assert environment.split(" --build-arg COMMIT=")[1].split()[1:] == [
        *("--build-arg", "BASE=y", "--network=none", "--pull", str(ROOT))
    ]
    assert agent.endswith(" ".join([*more, "."]))


def test_only_arguments_that_a_dockerfile_declares_are_filled_in(entry, capsys):
    (entry / "Dockerfile").write_text("FROM x\nARG COMMIT\narg VERSION=1\n")
    said = dry(capsys, "my-agent")
    assert "--build-arg COMMIT=unknown" in said and "--build-arg VERSION=0.1.0" in said
    assert "BUNDLE" not in said and "BASE" not in said


# --- the commit ---


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone of this repository; whoever changes it mends it again."""
    folder = tmp_path_factory.mktemp("kit") / "clone"
    subprocess.run(["git", "clone", "-q", "--shared", ROOT, folder], check=True)
    return folder


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        (None, False),
        ("agent/new.py", True),
        ("agent/build/lib.py", True),  # git ignores it, docker build does not
        ("retro_common/.mypy_cache/x", True),
        ("bundles/mine/config.yaml", True),
        ("agent/__pycache__/new.cpython-311.pyc", False),
        ("runs/mine/bundle/config.yaml", False),
        ("wheels/agent/x.whl", False),
        ("notes.txt", False),
    ],
)
def test_untracked_files_are_no_commit(clone, file, changed):
    if file is not None:
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        (clone / file).write_text("")
    found = sources.revision(clone, KIT_HASHED)
    git(clone, "clean", "-qfdx")
    assert found.commit.endswith("+changes") == changed
    assert found.changes == ((file,) if changed else ())


def test_a_changed_or_removed_file_is_no_commit(clone):
    (clone / "README.md").write_text("changed")
    (clone / "Makefile").unlink()
    found = sources.revision(clone)
    git(clone, "reset", "-q", "--hard")
    assert found.changes == ("Makefile", "README.md")


def test_without_git_the_commit_is_unknown(clone, tmp_path, monkeypatch):
    assert sources.revision(tmp_path) == sources.Revision("unknown")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert sources.revision(clone).commit == "unknown"


# --- what is impossible ---


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--timesteps=0"], "--timesteps must be at least 1"),
        (["--levels=nope"], "no level or level set 'nope'"),
        (["--tag=-x"], "--tag '-x' cannot be a tag"),
        (["--tag=a b"], "--tag 'a b' cannot be a tag"),
        (["--tag=" + "x" * 129], "cannot be a tag"),
        (["--registry=Host/UPPER"], "--registry 'Host/UPPER' is no HOST/REPO"),
        (["--registry=host/repo:tag"], "is no HOST/REPO"),
        (["--registry=https://host/repo"], "is no HOST/REPO"),
        (["--registry=\x1b[2J"], "is no HOST/REPO"),
        (["--results=my-agent/agent.py/x"], "'my-agent/agent.py/x' cannot be written"),
        (["--bundle=nothing"], "no bundle in nothing: --bundle names another folder"),
        (["--image=x"], "--image takes an image that is built: no FOLDER"),
        (["--", "-t", "retro-contest-environment"], "-t after --: the image's name is made from"),
        (["--", "--network"], "--network after -- needs a value"),
        (["--", "-f", "Dockerfile.mine"], "no Dockerfile.mine in ."),
    ],
)
def test_what_is_impossible_is_one_line_before_the_engine_is_asked(
    entry, capsys, words, says, more
):
    code = main(["submit", "my-agent", *more, *words])
    said = capsys.readouterr().err
    assert code == 2 and says in said, said
    assert len(said.splitlines()) == 1 and "\x1b" not in said
    assert not Path("results").exists()


def test_results_that_cannot_be_written_are_found_before_anything_is_built(entry, capsys):
    assert main(["submit", "my-agent", "--results", "/proc/results"]) == 2  # not even by root
    assert "/proc/results" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("nothing", "no folder nothing: retro-contest new NAME writes one"),
        ("empty", "no Dockerfile in empty: retro-contest new NAME writes a folder with one"),
        ("my-agent/agent.py", "no folder my-agent/agent.py"),
    ],
)
def test_a_folder_without_an_agent_is_one_clear_line(entry, capsys, folder, says):
    Path("empty").mkdir()
    assert main(["submit", folder]) == 2
    assert says in capsys.readouterr().err


def test_a_bundle_that_the_build_does_not_see_is_found_first(entry, capsys):
    write(Path("planner"), "world-model")
    assert "--build-arg BUNDLE=bundle " in dry(capsys, "planner")
    shutil.copytree("planner/bundle", "other")
    assert main(["submit", "planner", "--bundle", "other", "--dry-run"]) == 2
    assert "--bundle other: the build does not see it" in capsys.readouterr().err
    Path("planner/.dockerignore").write_text("bundle\n")
    assert main(["submit", "planner", "--dry-run"]) == 2
    assert "the build does not see it" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["my-agent"], ["--image", "mine"]])
def test_no_engine_is_one_clear_line(entry, capsys, words):
    assert main(["submit", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no Docker engine answers at unix:///nonexistent/docker.sock")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "how", "base"),
    [
        ([], [], ""),
        (["--build-arg", "BASE=a"], ["--build-arg", "BASE=a"], "a"),
        (["--build-arg=BASE=a"], ["--build-arg=BASE=a"], "a"),
        (["--build-arg", "BASED=a"], ["--build-arg", "BASED=a"], ""),
        (["--target", "BASE=a", "--no-cache"], ["--no-cache"], ""),
        (["-f", "--pull", "--pull=true"], ["--pull=true"], ""),
    ],
)
def test_options_that_say_how_to_build_are_told_from_the_others(words, how, base):
    options = Options(tuple(words))
    assert options.how == tuple(how) and options.base == base
    with pytest.raises(UsageError, match="after --"):
        Options((*words, "--tag=x"))
