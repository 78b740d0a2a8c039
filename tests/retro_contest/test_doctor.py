"""`retro-contest doctor`: each purpose, each problem with what mends it, and its exit code."""

import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from retro_contest.cli.main import main
from retro_contest.doctor import findings, machine
from retro_contest.doctor.emulator import check_emulator
from retro_contest.doctor.engine import check_engine
from retro_contest.doctor.findings import NEEDS, Line, Needs
from retro_contest.doctor.games import check_levels, check_roms
from retro_contest.doctor.gpu import check_torch
from retro_contest.doctor.machine import check_machine
from retro_contest.emulator import proof
from retro_contest.levels import find
from retro_contest.rom_files import own_roms
from tests.retro_contest.rom_kit import PANGOLIN, integration, rom_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch):
    """No engine, folders of its own, an empty folder to stand in."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


def by_subject(lines) -> dict[str, Line]:
    return {line.subject: line for line in lines}


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


# --- the command ---


def test_a_machine_that_can_evaluate(capsys, tmp_path):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FAIL" not in out and out.endswith("ready for evaluate\n")
    assert "ok    emulator: played 100 timesteps of PangolinDash-Genesis-v0/FernHollow.Act3" in out
    assert "ok    levels pangolin-test: 5 of PangolinDash-Genesis-v0 can be played" in out
    assert "ok    ROMs: all of airstriker, pangolin-train, pangolin-test" in out
    assert f"note  engine: no Docker engine answers at unix://{tmp_path}" in out
    assert len(out.splitlines()) <= 24, "one screen"
    assert not own_roms().exists(), "nothing is changed"


def test_a_machine_that_cannot_host_says_why(capsys, monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError")  # hosts need none
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "")
    found = by_subject(check_engine("retro-contest-environment", "", needed=True))
    if not found["engine"].good:  # where an engine answers, tests/containers looks at it
        assert found["engine"].mend
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert main(["doctor", "--for", "host", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["purpose"] == "host" and report["ready"] is False
    assert {"commit", "created", "versions", "lines"} <= report.keys()
    (line,) = [line for line in report["lines"] if line["state"] == "FAIL"]
    assert line["subject"] == "engine"
    assert line["text"].startswith("no Docker engine answers at unix:///nowhere/docker.sock")
    assert line["mend"] == "correct DOCKER_HOST, or unset it for the engine of this machine"


def test_the_secret_levels_without_their_roms(capsys):
    line, playable = check_levels("sonic-final-2018")
    assert not line.good and playable == []
    assert "no ROM for SonicTheHedgehogCustomKevin-Genesis" in line.text
    assert "retro-contest roms patch" in line.text
    line, _ = check_levels("sonic-finale")
    assert not line.good and "did you mean 'sonic-final-2018'" in line.text
    lines = list(check_roms())
    assert [each.state for each in lines] == ["ok", "note", "note"]
    assert lines[1].text == "some are missing for sonic-train, sonic-validation"
    assert lines[1].mend == "retro-contest roms import PATH"
    assert lines[2].mend == "retro-contest roms import PATH, then retro-contest roms patch"


def test_a_wrong_rom_is_no_rom(tmp_path):
    folder = integration(tmp_path / "games/Mine-Genesis", PANGOLIN)
    (folder / "rom.md").write_bytes(rom_of())
    line, playable = check_levels(str(folder))
    assert not line.good and "is another ROM than that of Mine-Genesis" in line.text
    assert playable == []


# --- the emulator ---


def test_an_emulator_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "broken/stable_retro").mkdir(parents=True)
    (tmp_path / "broken/stable_retro/__init__.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    level = find("pangolin-test")[0]
    # This repository comes first in the path of the doctor's process, then what a person has.
    (line,) = check_emulator(level)
    assert not line.good and line.text.startswith("its process ended with signal 6")
    assert "pip install --force-reinstall" in line.mend


def test_fast_stepping_that_is_off_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    level = find("pangolin-test")[0]
    proof.forget()
    try:
        proof.store(proof.key_of(level), level, "the picture differs after 3 timesteps")
        emulator, fast = check_emulator(level)
    finally:
        proof.forget()
    assert emulator.good and fast.state == "note"
    assert fast.text.endswith("(about half as fast): the picture differs after 3 timesteps")


# --- the machine ---


def test_too_little_of_everything(monkeypatch):
    needs = Needs(memory=1e6, disk=1e9, cores=10_000, libraries=("no_such_library",))
    found = by_subject(check_machine(needs, "evaluate"))
    assert {subject for subject, line in found.items() if not line.good} == {
        "memory",
        "disk",
        "libraries",
    }
    assert found["memory"].text.endswith("1e+06 needed") and found["memory"].mend
    assert found["disk"].mend == "make room, or work in another folder"
    assert "lacks no_such_library" in found["libraries"].text
    assert found["libraries"].mend.startswith("pip install -r")
    assert found["cores"].state == "note" and found["cores"].mend == "use --jobs 1"


def test_folders_that_cannot_be_written_to(monkeypatch):
    monkeypatch.chdir("/proc")
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/proc/none")
    for purpose, state in (("evaluate", "note"), ("host", "FAIL")):
        found = by_subject(check_machine(NEEDS[purpose], purpose))
        assert found["current folder"].mend == "cd to a folder of yours"
        assert found["current folder"].state == "FAIL"
        assert found["folder of ROMs"].state == found["cache"].state == "note"
        assert found["folder of ROMs"].mend.startswith("export XDG_DATA_HOME=FOLDER")
        assert found["state"].state == state


def test_what_training_needs_is_in_a_checkout(monkeypatch):
    monkeypatch.setattr(machine, "INSTALLED", True)
    for purpose, there in (("demo", True), ("pretrain", True), ("evaluate", False)):
        found = by_subject(check_machine(NEEDS[purpose], purpose))
        assert ("checkout" in found) is there
    assert {"torch", "safetensors"} <= set(NEEDS["pretrain"].libraries)


def test_the_memory_and_cores_of_a_control_group(monkeypatch, tmp_path):
    groups = {"memory.max": "1000000000", "memory.current": "400000000", "cpu.max": "150000 100000"}
    for name, value in groups.items():
        (tmp_path / name).write_text(value)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.free_memory() == pytest.approx(0.6)
    assert machine.usable_cores() <= 1.5


# --- the GPU ---


TORCH = """
__version__ = "9.9"
class version: cuda = {cuda!r}
class cuda:
    device_count = lambda: {count}
    get_device_name = lambda number: "A GPU"
def ones(*_, **__): return ones
ones.sum = lambda: ones
ones.item = lambda: 8
"""


@pytest.mark.parametrize(
    ("cuda", "count", "driver", "says"),
    [
        (None, 0, False, "torch 9.9, no GPU: networks train on the CPU"),
        ("13.0", 1, True, "torch 9.9 sees A GPU"),
        (None, 0, True, "this machine has NVIDIA's driver, but torch 9.9 is a build for the CPU"),
        ("13.0", 0, True, "this machine has NVIDIA's driver, but torch 9.9 cannot use it"),
    ],
)
def test_a_gpu_as_torch_sees_it(cuda, count, driver, says, tmp_path, monkeypatch):
    """No machine of the tests has one: a small module stands in for torch."""
    (tmp_path / "torch.py").write_text(TORCH.format(cuda=cuda, count=count))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    if driver:
        program(tmp_path, "nvidia-smi")
    if driver and not count:
        with pytest.raises(findings.Problem) as problem:
            check_torch()
        assert str(problem.value) == says and "CUDA" in problem.value.mend
    else:
        assert check_torch() == says


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ModuleNotFoundError(\"No module named 'torch'\")", "torch is not installed"),
        ("raise OSError('libtorch.so: no such file')", "torch cannot be used: OSError: libtorch"),
    ],
)
def test_a_torch_that_cannot_be_used(code, says, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(findings.Problem, match=says) as problem:
        check_torch()
    assert problem.value.mend.startswith("pip install")


# --- the engine, in the words of its API ---


class Engine:
    """A Docker engine's answers to what the doctor asks. It has no images."""

    def __init__(self, socket: Path, info: dict) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                answer, code = {"message": "No such image"}, 404
                if path.endswith("/_ping"):
                    answer, code = {}, 200
                elif path.endswith("/version"):
                    answer, code = {"ApiVersion": "1.44", "MinAPIVersion": "1.24"}, 200
                elif path.endswith("/info"):
                    answer, code = info, 200
                body = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self) -> str:
                return ""

            def log_message(self, *_) -> None: ...

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(str(socket), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


INFO = {"ServerVersion": "28.0", "CgroupVersion": "2", "SecurityOptions": ["name=seccomp,p=x"]}


@pytest.fixture
def engine(tmp_path, monkeypatch):
    made = []

    def start(**info) -> dict[str, Line]:
        made.append(Engine(tmp_path / f"engine{len(made)}.sock", {**INFO, **info}))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine{len(made) - 1}.sock")
        return by_subject(check_engine("retro-contest-environment", "mine", needed=True))

    yield start
    for each in made:
        each.close()


def test_an_engine_without_images_names_how_to_build_them(engine, tmp_path, monkeypatch):
    program(tmp_path, "docker")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = engine()
    assert str(found["engine"]) == "ok    engine: version 28.0, cgroup v2"
    assert found["program docker"].good
    assert not found["environment image"].good and not found["agent image"].good
    assert "retro-contest environment" in found["environment image"].text
    assert found["engine's GPU"].text == "none to give to containers"
    assert "containers" not in found and "limits" not in found


def test_an_engine_that_lacks_something(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = engine(SecurityOptions=[])
    assert "without seccomp" in found["engine"].text and not found["engine"].good
    assert not found["program docker"].good and "docker-cli" in found["program docker"].mend
    program(tmp_path, "nvidia-smi")
    assert "NVIDIA Container Toolkit" in engine()["engine's GPU"].mend
    assert engine(Runtimes={"nvidia": {}, "runc": {}})["engine's GPU"].good
    full = shutil.disk_usage("/proc")  # a file system without room
    assert full.free == 0
    assert "docker system prune" in engine(DockerRootDir="/proc")["engine"].mend


def test_a_line_is_one_line_whatever_is_in_it():
    text = str(Line("FAIL", "agent image", "a\nb\x1b[31m" + "c" * 5000, "mend"))
    assert "\n" not in text and "\x1b" not in text and len(text) < 600


def test_the_module_that_plays_is_a_program(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "retro_contest.doctor.emulator", "no-such-level"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2 and "no level or level set 'no-such-level'" in done.stderr
