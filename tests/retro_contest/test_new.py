"""Agents that `retro-contest new` writes: each is evaluated as it is, over a real socket."""

import io
import json
import re
import shlex
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

import gym_remote
from retro_common.errors import UsageError
from retro_contest.cli.main import main
from retro_contest.entry.new import FOLDER, TEMPLATES, image_name, write
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs.evaluate import Evaluation, evaluate
from retro_contest.runs.processes import ProcessRunner
from retro_contest.runs.progress import Progress

ROOT = Path(__file__).parents[2]
LEVEL = "FernHollow.Act1"
RUN = Path("PangolinDash-Genesis-v0") / LEVEL / "seed-0"


def play(script: Path, results: Path, timesteps: int = 150) -> Path:
    """Evaluate a script on one act; the folder of its run."""
    evaluation = Evaluation(
        name="test",
        level_set=LEVEL,
        levels=find(LEVEL),
        results=results,
        rules=Rules(timesteps, wallclock=120.0),
    )
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"
    with Progress(Console(file=io.StringIO())) as progress:
        summary = evaluate(evaluation, ProcessRunner(command), threading.Event(), progress)
    (run,) = summary["levels"]
    log = (results / RUN / "agent.log").read_text()
    assert (run["verdict"], run["timesteps"]) == ("completed", timesteps), log
    assert run["reason"] == f"all {timesteps} timesteps played", log
    return results / RUN


@pytest.mark.parametrize("template", ["random", "script", "world-model"])  # sb3: below
def test_every_template_plays_as_it_is(template, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my-agent", "--template", template]) == 0
    folder = tmp_path / "my-agent"
    script = TEMPLATES[template].script
    assert f"my-agent/{script}" in capsys.readouterr().out
    assert {"Dockerfile", ".dockerignore", "README.md", "requirements.txt", script} <= {
        path.name for path in folder.iterdir()
    }
    play(folder / script, tmp_path / "results")


def test_the_generator_of_the_script_learns(tmp_path):
    write(tmp_path / "learner", "script")
    script = tmp_path / "learner/agent.py"
    code = script.read_text()
    assert code.count("play(act)") == 1
    script.write_text(code.replace("play(act)", "play(learner)"))
    play(script, tmp_path / "results")


def test_a_misspelt_button_is_an_error(tmp_path):
    write(tmp_path / "wrong", "script")
    script = tmp_path / "wrong/agent.py"
    script.write_text(script.read_text().replace('"RIGHT"', '"RIGTH"'))
    with pytest.raises(AssertionError, match="ValueError: no button is called 'RIGTH'"):
        play(script, tmp_path / "results")


@pytest.mark.slow
def test_ppo_saves_its_model_and_begins_with_one(tmp_path):
    """Its evaluation without a model comes first: it learns from scratch."""
    write(tmp_path / "ppo", "sb3")
    script = tmp_path / "ppo/agent.py"
    first = play(script, tmp_path / "first")
    trained = epochs(first / "out/model.zip")
    assert trained > 0
    (first / "out/model.zip").rename(tmp_path / "ppo/model.zip")
    second = play(script, tmp_path / "second")
    assert epochs(second / "out/model.zip") == 2 * trained


def epochs(model: Path) -> int:
    """That a saved model was trained for."""
    with zipfile.ZipFile(model) as content:
        return json.loads(content.read("data"))["_n_updates"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_folder_holds_what_its_image_needs_and_says_how_to_go_on(template, tmp_path):
    names = {path.name for path in write(tmp_path / "my-agent", template)}
    folder = tmp_path / "my-agent"
    copied = re.findall(r"(?m)^COPY (?!--)(.+) \S+$", (folder / "Dockerfile").read_text())
    for pattern in " ".join(copied).replace("${BUNDLE}", "bundle").split():
        assert pattern in ("wheels*", "*.zip") or list(folder.glob(pattern)), pattern
    ours = {path.name for path in (ROOT / "gym_remote").glob("*.py")}
    assert {path.name for path in (folder / "gym_remote").iterdir()} == {
        *ours,
        *("LICENSE", "py.typed"),
    }
    assert not list(folder.rglob("__pycache__"))

    readme = (folder / "README.md").read_text()
    assert "{" not in readme and gym_remote.__version__ in readme
    assert len(readme.splitlines()) <= 50, "a screen"
    listed = {name.split("/")[0] for name in re.findall(r"(?m)^\| `(.+?)`", readme)}
    assert listed <= names
    assert "retro-contest submit my-agent --registry HOST/REPOSITORY\n" in readme


def test_templates_import_nothing_of_ours_but_gym_remote():
    for file in FOLDER.rglob("*.py"):
        ours = {"agent", "analysis", "pretrain", "retro_common", "retro_contest", "pangolin_dash"}
        found = set(re.findall(r"(?m)^\s*(?:from|import) (\w+)", file.read_text()))
        assert not ours & found, file


def test_templates_pin_the_versions_that_are_tested():
    pins = {}
    for name in (
        "requirements-dev.txt",
        "agent/requirements.txt",
        "retro_contest/requirements.txt",
    ):
        pins |= dict(re.findall(r"(?m)^([\w.-]+)==(\S+)$", (ROOT / name).read_text()))
    for file in FOLDER.glob("*/requirements.txt"):
        for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)$", file.read_text()):
            assert pins[name] == version, file


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("My Agent", "'My Agent' cannot name an agent: .*for example my-agent"),
        ("UPPER", "for example upper"),
        ("-x", "for example x"),
        ("agent!", "for example agent"),
        ("ä\x1b[2J", r"'ä\\x1b\[2J' cannot name an agent"),
        ("x" * 101, "cannot name an agent"),
        ("..", "cannot name an agent|exists already"),
        ("taken", "taken exists already: choose another name"),
        ("file", "file exists already"),
        ("file/agent", "file is a file"),
    ],
)
def test_an_impossible_name_is_one_clear_line(name, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/agent.py").write_text("mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=says) as error:
        write(Path(name), "random")
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]
    assert (tmp_path / "taken/agent.py").read_text() == "mine"


def test_an_unknown_template_lists_those_that_exist(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["new", "x", "--template", "sb4"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in TEMPLATES)


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Agent", "my-agent"), ("../Ä!", "agent"), ("a__b..c", "a-b-c"), ("x" * 300, "x" * 100)],
)
def test_any_text_gives_a_name_for_an_image(text, name):
    assert image_name(text) == name
