"""Both distributions, built, installed into a clean environment and used from an empty folder.

The environment shares with this one, by links, the distributions that the wheel's metadata asks
for, and those that these need in turn; a dependency that is not declared cannot be imported. No
index is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import gym_remote

ROOT = Path(__file__).parents[2]
LEFT_OUT = {"bundles", "runs", "results", "wheels", "tmp", "out", "build", "dist"}
GAME = "PangolinDash-Genesis-v0"
ACTS = [
    f"{GAME}/FernHollow.Act3",
    f"{GAME}/AmberDunes.Act2",
    f"{GAME}/CoralGrotto.Act2",
    f"{GAME}/FrostPeak.Act1",
    f"{GAME}/EmberWorks.Act2",
]


def run(*command: object, cwd: Path, **environment: str) -> str:
    """What the command prints; none of this process's settings of Python and the kit reach it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "RETRO_", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(sources: Path, folder: Path) -> Path:
    """Build from a copy: setuptools writes into the folder that it builds from."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, sources, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def contents(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def header(wheel: Path) -> dict[str, list[str]]:
    """The wheel's metadata: values by name."""
    (name,) = (name for name in contents(wheel) if name.endswith(".dist-info/METADATA"))
    message = Parser().parsestr(zipfile.ZipFile(wheel).read(name).decode())
    return {key: message.get_all(key, []) for key in message}


def top_level(wheel: Path) -> set[str]:
    names = {name.split("/")[0] for name in contents(wheel)}
    return {name for name in names if not name.endswith(".dist-info")}


def needed(requirements: list[str]) -> set[str]:
    """Names of the distributions that meet the requirements, and of all that these require."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        distribution = metadata.distribution(requirement.name)
        assert requirement.specifier.contains(distribution.version, prereleases=True)
        if distribution.name not in found:
            found.add(distribution.name)
            waiting += distribution.requires or []
    return found


class Environment:
    """A virtual environment with one wheel and what it asks for."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
        self.python = folder / "bin" / "python"
        (self.packages,) = folder.glob("lib/python3*/site-packages")
        for name in needed(header(wheel).get("Requires-Dist", [])):
            self._link(metadata.distribution(name))
        options = ["--quiet", "--no-deps", "--no-index"]
        pip = [sys.executable, "-m", "pip", "--python", self.python]
        run(*pip, "install", *options, wheel, cwd=folder.parent)

    def _link(self, distribution: metadata.Distribution) -> None:
        for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (self.packages / name).exists():
                (self.packages / name).symlink_to(Path(str(distribution.locate_file(name))))


@pytest.fixture(scope="module")
def contest(tmp_path_factory) -> tuple[Path, Environment]:
    """The wheel of the contest, and where it is installed."""
    folder = tmp_path_factory.mktemp("contest")
    sources = folder / "sources"
    sources.mkdir()
    for entry in ROOT.iterdir():
        if entry.name in LEFT_OUT or entry.name.startswith("."):
            continue
        if entry.is_dir():
            shutil.copytree(entry, sources / entry.name, ignore=shutil.ignore_patterns("*.pyc"))
        else:
            shutil.copy(entry, sources)
    wheel = build_wheel(sources, folder)
    shutil.rmtree(sources)
    return wheel, Environment(folder / "environment", wheel)


@pytest.fixture(scope="module")
def remote(tmp_path_factory) -> tuple[Path, Environment]:
    """The wheel of `gym_remote` alone, and where it is installed."""
    folder = tmp_path_factory.mktemp("remote")
    shutil.copytree(ROOT / "gym_remote", folder / "sources")
    wheel = build_wheel(folder / "sources", folder)
    return wheel, Environment(folder / "environment", wheel)


# --- the contest ---


def test_the_contest_s_wheel_holds_the_four_packages_and_nothing_else(contest):
    wheel, _ = contest
    assert top_level(wheel) == {"gym_remote", "pangolin_dash", "retro_common", "retro_contest"}


def test_the_contest_s_wheel_holds_all_sources_and_data(contest):
    wheel, _ = contest
    wanted = set()
    for package in top_level(wheel):
        for file in (ROOT / package).rglob("*"):
            name = file.relative_to(ROOT).as_posix()
            data = file.suffix in {
                ".html",
                ".css",
                ".js",
                ".svg",
                ".json",
                ".yaml",
                ".c",
                ".h",
                ".s",
                ".ld",
            } or file.parts[len(ROOT.parts) + 1] in {"integration", "movies"}
            if file.is_file() and (file.suffix == ".py" or data or file.name == "py.typed"):
                wanted.add(name)
    assert {"retro_contest/levels.yaml", "pangolin_dash/src/player.c"} <= wanted
    assert {"retro_contest/board/site/style.css", "retro_contest/board/references.json"} <= wanted
    assert "pangolin_dash/integration/PangolinDash-Genesis-v0/rom.md" in wanted
    assert wanted <= contents(wheel)
    templates = ROOT / "retro_contest/agents/templates"
    wanted |= {file.relative_to(ROOT).as_posix() for file in templates.rglob("*") if file.is_file()}
    wanted = {name for name in wanted if "__pycache__" not in name}
    assert "retro_contest/agents/templates/common/.dockerignore" in wanted
    assert wanted <= contents(wheel)
    rest = {name for name in contents(wheel) - wanted if ".dist-info/" not in name}
    assert rest == {
        *("pangolin_dash/README.md", "gym_remote/LICENSE"),
        *("retro_contest/Dockerfile", "retro_contest/requirements.lock"),
    }


def test_the_contest_s_metadata(contest):
    wheel, _ = contest
    values = header(wheel)
    assert values["Name"] == ["retro-contest-kit"]
    assert values["Version"] == [gym_remote.__version__]
    assert values["License-Expression"] == ["MIT"]
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents(wheel))


def test_the_installed_contest_lists_its_levels(contest, tmp_path):
    _, environment = contest
    command = environment.folder / "bin" / "retro-contest"
    sets = run(command, "levels", cwd=tmp_path)
    assert "pangolin-test" in sets and "sonic-train" in sets
    acts = run(command, "levels", "pangolin-test", cwd=tmp_path)
    assert all(act.removeprefix(f"{GAME}/") in acts for act in ACTS)


@pytest.mark.slow
def test_the_installed_contest_evaluates_as_the_checkout_does(contest, tmp_path):
    _, environment = contest
    where = "import retro_contest; print(retro_contest.__file__)"
    file = Path(run(environment.python, "-c", where, cwd=tmp_path).strip())
    assert file.is_relative_to(environment.packages)

    rules = ["--agent", "jerk", "--timesteps", "500", "--jobs", "2", "--results"]
    program = environment.folder / "bin" / "retro-contest"
    run(program, "evaluate", "--levels", "pangolin-test", *rules, "installed", cwd=tmp_path)
    installed = json.loads((tmp_path / "installed" / "summary.json").read_text())
    assert installed["complete"]
    assert list(installed["level_scores"]) == ACTS
    assert all(score > 0 for score in installed["level_scores"].values())
    results = [json.loads(file.read_text()) for file in tmp_path.rglob("result.json")]
    assert [result["verdict"] for result in results] == ["completed"] * len(ACTS)
    assert {result["commit"] for result in [installed, *results]} == {"unknown"}

    module = [sys.executable, "-m", "retro_contest"]
    folder = tmp_path / "checkout"
    secret = json.loads((tmp_path / "installed" / "secret.json").read_text())["secret"]
    again = ["--replay-secret", secret, *rules, folder]
    run(*module, "evaluate", "--levels", ACTS[0], *again, cwd=ROOT)
    score = json.loads((folder / "summary.json").read_text())["level_scores"][ACTS[0]]
    assert score == installed["level_scores"][ACTS[0]]


def test_the_installed_contest_writes_an_agent_that_plays(contest, tmp_path):
    _, environment = contest
    program = environment.folder / "bin" / "retro-contest"
    said = run(program, "new", "my-agent", "--template", "script", cwd=tmp_path)
    assert "wrote my-agent" in said
    rules = ["--timesteps", "200", "--results", "results"]
    agent = ["--agent", "python my-agent/agent.py"]
    run(program, "evaluate", "--levels", "FernHollow.Act1", *agent, *rules, cwd=tmp_path)
    summary = json.loads((tmp_path / "results/summary.json").read_text())
    assert [level["verdict"] for level in summary["levels"]] == ["completed"]
    assert (tmp_path / "my-agent/gym_remote/LICENSE").is_file()

    said = run(program, "submit", "my-agent", "--dry-run", cwd=tmp_path)
    assert "would run: docker build --quiet --tag retro-contest-agent:my-agent-" in said
    with pytest.raises(AssertionError, match="the template world-model copies agent/ of the kit"):
        run(program, "new", "planner", "--template", "world-model", cwd=tmp_path)
    assert not (tmp_path / "planner").exists()


def test_the_installed_contest_builds_the_environment_from_itself(contest, tmp_path):
    """What its image is built from; tests/containers builds one from a checkout."""
    _, environment = contest
    code = """
from retro_contest.entry.build import environment_build
with environment_build() as build:
    print(*sorted(path.name for path in build.folder.iterdir()))
    print(build.command()[-1] == str(build.folder), build.dockerfile.is_file())
    print((build.folder / "retro_contest/requirements.lock").is_file())
    print(*build.folder.rglob("__pycache__"))
print(build.folder.exists())
"""
    said = run(environment.python, "-c", code, cwd=tmp_path).splitlines()
    packages = "gym_remote pangolin_dash retro_common retro_contest"
    assert said == [packages, "True True", "True", "", "False"]


def test_installed_packages_do_not_come_before_an_agent_s_own_libraries(contest, tmp_path):
    _, environment = contest
    code = "import os; print(os.environ.get('PYTHONPATH', '').split())"
    (tmp_path / "agent.py").write_text(code)
    evaluate = [environment.folder / "bin" / "retro-contest", "evaluate", "--agent"]
    evaluate += ["python agent.py", "--levels", ACTS[0]]
    with pytest.raises(AssertionError):  # the agent never connects
        run(*evaluate, "--timesteps", "10", "--results", "results", cwd=tmp_path)
    (log,) = (tmp_path / "results").rglob("agent.log")
    assert log.read_text() == "[]\n"


# --- the wire alone ---


def test_the_wire_s_wheel_holds_the_wire_and_nothing_else(remote):
    wheel, _ = remote
    sources = {f"gym_remote/{file.name}" for file in (ROOT / "gym_remote").glob("*.py")}
    files = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert files == sources | {"gym_remote/py.typed"}


def test_the_wire_s_metadata(remote):
    wheel, _ = remote
    values = header(wheel)
    assert values["Name"] == ["retro-contest-remote"]
    assert values["Version"] == [gym_remote.__version__]
    assert values["License-Expression"] == ["MIT"]
    assert {Requirement(text).name for text in values["Requires-Dist"]} == {"gymnasium", "numpy"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents(wheel))


def test_the_installed_wire_plays_with_numpy_and_gymnasium_alone(remote, tmp_path):
    _, environment = remote
    (tmp_path / "agent.py").write_text(AGENT)
    output = run(environment.python, "agent.py", cwd=tmp_path)
    file, end = output.splitlines()
    assert Path(file).is_relative_to(environment.packages)
    assert end == "the contest is over: 50 timesteps played"


AGENT = """
import os
import threading
import gymnasium
import gym_remote
from gym_remote import BUTTONS, ContestOver, RemoteEnv
from gym_remote.server import Server

class Env(gymnasium.Env):
    action_space = gymnasium.spaces.MultiBinary(len(BUTTONS))
    observation_space = gymnasium.spaces.Box(0, 255, (4, 4, 3), "uint8")

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}

os.makedirs("tmp/sock")
server = Server(Env(), "tmp/sock")
serving = threading.Thread(target=server.serve, kwargs={"timestep_limit": 50})
serving.start()
env = RemoteEnv()
print(gym_remote.__file__)
try:
    env.reset()
    while True:
        env.step(env.action_space.sample())
except ContestOver as end:
    print(end)
serving.join()
server.close()
"""
