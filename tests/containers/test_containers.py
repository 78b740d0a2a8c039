"""Evaluations in containers: the same results as with processes, and nothing left behind."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from container_kit import HERE, ROOT, docker, hostile, leftovers

from retro_common.errors import UsageError
from retro_contest.containers import engine
from retro_contest.containers.runner import ContainerRunner
from retro_contest.doctor.engine import examine
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs.evaluate import Evaluation, evaluate
from retro_contest.runs.processes import ProcessRunner

RUN = "Airstriker-Genesis-v0/Level1/seed-0"
ACTS = ("FernHollow.Act1", "AmberDunes.Act1")


class Silent:
    """An observer that shows nothing."""

    def begin(self, *_): ...
    def update(self, *_): ...
    def end(self, *_): ...


def episodes(results: Path) -> list[list[tuple[str, str]]]:
    found = []
    for seed in (0, 1):
        with (results / RUN).with_name(f"seed-{seed}").joinpath("monitor.csv").open() as file:
            found.append([(row["r"], row["l"]) for row in csv.DictReader(file)])
    return found


def test_the_results_are_those_of_processes(build, play, tmp_path, monkeypatch):
    in_containers = play(build(hostile("honest")), seeds=2, jobs=2, timesteps=400)
    folder = tmp_path / "results" / RUN
    assert {file.name for file in folder.iterdir()} == {
        *("agent.log", "log.csv", "monitor.csv", "out", "result.json", "server.json", "server.log")
    }
    assert (folder / "out/learnt").read_text() == "what was learnt"
    assert (folder / "out/folder/more").read_bytes() == b"\0" * 100_000
    assert (folder / "agent.log").read_text() == "the budget is spent\n"
    assert all(file.stat().st_uid == os.getuid() for file in folder.rglob("*"))

    evaluation = Evaluation(
        name="test",
        level_set="airstriker",
        levels=find("airstriker"),
        results=tmp_path / "processes",
        rules=Rules(timesteps=400, wallclock=60.0),
        seeds=2,
        replay_secret=json.loads((tmp_path / "results/secret.json").read_text())["secret"],
    )
    agent = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'hostile.py'))} honest"
    in_processes = evaluate(evaluation, ProcessRunner(agent), threading.Event(), Silent())
    assert episodes(tmp_path / "results") == episodes(tmp_path / "processes")
    assert in_containers.keys() == in_processes.keys()
    assert (in_containers["mode"], in_processes["mode"]) == ("container", "process")
    for name in ("score", "complete", "level_scores", "level_names", "runs"):
        assert in_containers[name] == in_processes[name]
    for ours, theirs in zip(in_containers["levels"], in_processes["levels"], strict=True):
        for name in ("score", "episodes", "timesteps", "verdict", "reason", "seed"):
            assert ours[name] == theirs[name]


def test_the_agent_image_plays_two_acts_and_keeps_what_it_learnt(images, tmp_path):
    levels = ",".join(f"PangolinDash-Genesis-v0/{act}" for act in ACTS)
    done = cli(
        "evaluate",
        "--levels",
        levels,
        "--image",
        images,
        "--timesteps",
        "3000",
        "--jobs",
        "2",
        "--results",
        str(tmp_path),
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [run["verdict"] for run in summary["levels"]] == ["completed"] * 2
    assert [run["timesteps"] for run in summary["levels"]] == [3000, 3000]
    for act in ACTS:
        out = tmp_path / "PangolinDash-Genesis-v0" / act / "seed-0/out"
        assert (out / "config.yaml").is_file() and list(out.glob("*.safetensors"))
    assert "1 CPUs, 4g memory" in done.stdout, "the shares are stated"


def test_the_agent_image_holds_the_agent_and_nothing_else(client, images):
    image = client.images.get(images)
    assert image.attrs["Size"] <= 1_200_000_000
    assert image.attrs["Config"]["User"] == "10001:10001"
    labels = image.attrs["Config"]["Labels"]
    for name in ("version", "revision"):
        assert f"org.opencontainers.image.{name}" in labels
    assert "retro-contest.bundle-sha256" in labels
    look = (
        "for tool in gcc cc c++ make git pip; do command -v $tool; done; "
        "find / -xdev -name 'rom.*' -o -name '*Act*.state' -o -path '*/.cache/pip'; "
        "find /agent -name '*test*'; ls /agent; python -c 'import importlib.util as u; "
        'print([n for n in ("retro_contest", "pangolin_dash", "pretrain", "benchmarks", '
        '"stable_retro", "pytest") '
        "if u.find_spec(n)])'"
    )
    done = docker("run", "--rm", "--network", "none", images, "sh", "-c", look)
    assert done.stdout.split("\n") == [
        "agent",
        "bundle",
        "gym_remote",
        "out",
        "retro_common",
        "tmp",
        "[]",
        "",
    ]


def test_the_environment_image_holds_no_agent(client, images):
    look = "ls; python -c 'import importlib.util as u; print(u.find_spec(\"torch\"))'"
    done = docker("run", "--rm", "--network", "none", "retro-contest-environment", "sh", "-c", look)
    assert done.stdout.split() == [
        "gym_remote",
        "pangolin_dash",
        "retro_common",
        "retro_contest",
        "None",
    ]


def test_an_image_of_2018_works_unchanged(build, play, tmp_path):
    image = build(
        "USER root\nWORKDIR /root/compo\nCOPY client_2018.py agent.py\n"
        'RUN chmod 700 /root\nCMD ["python", "-u", "/root/compo/agent.py"]'
    )
    summary = play(image, {"image_user": True})
    (level,) = summary["levels"]
    log = (tmp_path / "results" / RUN / "agent.log").read_text()
    assert (level["verdict"], level["timesteps"]) == ("completed", 120), level["reason"] + log
    assert "the end: 1 more than one colour: True" in log


def test_an_image_rebuilt_under_the_same_name_is_another_agent(build, client, images, tmp_path):
    first = ContainerRunner(build(hostile("honest")), tmp_path)
    second = ContainerRunner(build(hostile("stubborn")), tmp_path)
    assert first.agent != second.agent


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image": "no-such-image"}, "no image 'no-such-image' here"),
        ({"environment": "no-such-image"}, "retro-contest environment"),
        ({"memory": "lots"}, "--memory 'lots'"),
        ({"cpus": -1.0}, "--cpus"),
        ({"gpus": "some"}, "--gpus 'some'"),
    ],
)
def test_impossible_options_are_a_usage_error(images, tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        ContainerRunner(options.pop("image", images), tmp_path, **options)


def test_gpus_that_are_not_there_are_not_the_agents_fault(client, build, play, tmp_path):
    if "nvidia" in client.info()["Runtimes"]:
        pytest.skip("this engine has GPUs")
    with pytest.raises(UsageError, match="--gpus all: could not select device driver"):
        play(build(hostile("honest")), {"gpus": "all"})
    assert leftovers(client, tmp_path) == []


# --- the command in a process of its own ---


def cli(*words: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "retro_contest", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | environment,
    )


def start(image: str, results: Path) -> subprocess.Popen:
    """Start an evaluation that goes on until it is stopped; returns once it plays."""
    command = [sys.executable, "-m", "retro_contest", "evaluate", "--levels", "airstriker"]
    command += ["--image", image, "--results", str(results), "--timesteps", "10000000"]
    evaluator = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    status = results / RUN / "server.json"
    while not status.exists() or json.loads(status.read_text())["timesteps"] < 100:
        assert time.monotonic() < deadline and evaluator.poll() is None
        time.sleep(0.05)
    return evaluator


def test_ctrl_c_removes_everything_and_keeps_the_episodes(client, build, tmp_path):
    evaluator = start(build(hostile("forever")), tmp_path)
    assert len(leftovers(client, tmp_path)) == 5, "three containers and two volumes"
    assert "left alone: " in cli("clean").stdout
    assert len(leftovers(client, tmp_path)) == 5, "resources in use are not removed"
    evaluator.send_signal(signal.SIGINT)
    out, error = evaluator.communicate(timeout=40)
    assert evaluator.returncode == 1 and "Traceback" not in out + error
    assert leftovers(client, tmp_path) == []
    result = json.loads((tmp_path / RUN / "result.json").read_text())
    assert result["verdict"] == "interrupted" and result["episodes"] >= 1


def kill(*processes: int) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


def watcher_of(evaluator: subprocess.Popen) -> int:
    """The process that cleans up when the evaluator is killed."""
    children = Path(f"/proc/{evaluator.pid}/task").glob("*/children")
    for child in " ".join(file.read_text() for file in children).split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if words[0] == b"sh" and b"clean" in words:
            return int(child)
    raise AssertionError("the evaluator has no watcher")


def test_a_killed_evaluation_ends_within_a_minute(client, build, tmp_path):
    evaluator = start(build(hostile("forever")), tmp_path)
    evaluator.kill()
    evaluator.communicate()
    assert len(leftovers(client, tmp_path)) == 5
    deadline = time.monotonic() + 60
    while leftovers(client, tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_clean_removes_the_leftovers_of_a_killed_evaluation(client, build, tmp_path):
    evaluator = start(build(hostile("forever")), tmp_path)
    kill(watcher_of(evaluator), evaluator.pid)  # nobody is left who could do it
    evaluator.communicate()
    assert len(leftovers(client, tmp_path)) == 5
    done = cli("clean")
    assert done.returncode == 0 and "removed 3 containers and 2 volumes" in done.stdout
    assert leftovers(client, tmp_path) == []
    assert "removed 0 containers and 0 volumes" in cli("clean").stdout


def test_the_next_evaluation_removes_the_leftovers_of_a_killed_one(client, build, tmp_path):
    image = build(hostile("forever"))
    evaluator = start(image, tmp_path / "killed")
    kill(watcher_of(evaluator), evaluator.pid)
    evaluator.communicate()
    ContainerRunner(image, tmp_path / "next")
    assert leftovers(client, tmp_path) == []


def test_clean_leaves_alone_what_it_does_not_know(client, build, tmp_path):
    """A person's container of an image with our labels, and a running evaluation whose results
    folder has another name now."""
    image = build(
        f'LABEL {engine.LABEL}="{tmp_path}/gone" {engine.LEASE_LABEL}="{"0" * 32}"\n'
        f"{hostile('forever')}"
    )
    persons = client.containers.create(image, ["sleep", "600"], network_mode="none")
    evaluator = start(image, tmp_path / "before")
    try:
        (tmp_path / "before").rename(tmp_path / "after")
        assert "left alone: 5 of" in cli("clean").stdout
        assert len(leftovers(client, tmp_path / "before")) == 5
        persons.reload()  # raises NotFound if it was removed
    finally:
        persons.remove(force=True)
        (tmp_path / "after").rename(tmp_path / "before")
        evaluator.send_signal(signal.SIGINT)
        evaluator.communicate(timeout=40)
    assert leftovers(client, tmp_path) == []


@pytest.mark.parametrize("purpose", ["submit", "host"])
def test_doctor_finds_nothing_wrong_here(images, purpose):
    done = cli("doctor", "--for", purpose, "--agent-image", images)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    seccomp profile: refuses AF_VSOCK" in done.stdout
    assert "ok    limits: memory, processes, processors" in done.stdout
    assert done.stdout.endswith(f"ready for {purpose}\n") and "FAIL" not in done.stdout


def test_doctor_names_missing_images(images):
    done = cli("doctor", "--for", "host", "--agent-image", "no-such-image")
    assert done.returncode == 1
    assert "FAIL  agent image: no image 'no-such-image' here" in done.stdout


def test_doctor_sees_that_an_engine_ignores_the_profile(client, images):
    lines = examine(client, "retro-contest-environment", ["seccomp=unconfined"])
    (profile,) = [line for line in lines if line.subject == "seccomp profile"]
    assert not profile.good and "io_uring" in profile.text


def test_an_engine_that_is_not_there_is_one_line(tmp_path):
    nowhere = f"unix://{tmp_path}/docker.sock"
    done = cli("clean", DOCKER_HOST=nowhere)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no Docker engine answers at {nowhere}")
    assert len(done.stderr.splitlines()) == 1
