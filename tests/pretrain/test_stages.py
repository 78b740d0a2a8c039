"""The stages on the real emulator: small runs, stopped, killed, continued, changed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from agent import bundle
from pretrain import __main__ as command
from pretrain.data.shards import Shard
from pretrain.meter import StopRequest
from retro_common.errors import UsageError

TINY = f"extends: {Path(__file__).with_name('tiny.yaml')}\nout: {{out}}\n"


def pretrain(stage: str, folder: Path, *options: str) -> None:
    """The command, inside this process: importing torch takes longer than these stages."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(TINY.format(out=folder / "run"))
    assert command.main([stage, "--config", str(config), *options]) == 0


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages, from the first to the bundle."""
    folder = tmp_path_factory.mktemp("whole")
    pretrain("all", folder)
    return folder


def test_all_makes_a_bundle_that_says_where_it_came_from(whole_run: Path) -> None:
    models, manifest = bundle.load(whole_run / "run" / "bundle")
    assert manifest.origin["levels"] == ["Airstriker-Genesis-v0/Level1"]
    assert manifest.origin["pretraining_timesteps"] == {"collect": 512, "controller": 256}
    assert manifest.origin["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    # V, M and C are the ones that the stages trained, rounded to half precision.
    for name, module in models.parts().items():
        checkpoint = torch.load(
            whole_run / "run" / name / "checkpoint.pt", weights_only=True, map_location="cpu"
        )
        trained = checkpoint["model"]
        assert all(
            torch.equal(v, trained[k].half().float()) for k, v in module.state_dict().items()
        )
    assert list((whole_run / "run" / "vision" / "log").glob("events*"))


def test_again_does_nothing(whole_run: Path, capsys: pytest.CaptureFixture) -> None:
    before = {p: p.stat().st_mtime_ns for p in (whole_run / "run").rglob("*.safetensors")}
    pretrain("all", whole_run)
    assert capsys.readouterr().out.count("already done") == 4
    assert before == {p: p.stat().st_mtime_ns for p in (whole_run / "run").rglob("*.safetensors")}


def test_other_settings_do_not_continue_the_run(whole_run: Path) -> None:
    with pytest.raises(UsageError, match=r"vision\.batch: 16 -> 17"):
        pretrain("vision", whole_run, "--vision.batch", "17")


def test_a_damaged_shard_is_named(whole_run: Path, tmp_path: Path) -> None:
    shutil.copytree(whole_run / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "vision")
    shard = tmp_path / "run" / "collect" / "shards" / "00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"00001.safetensors: damaged"):
        pretrain("vision", tmp_path)


def test_a_half_trained_stage_is_not_built_upon(whole_run: Path, tmp_path: Path) -> None:
    shutil.copytree(whole_run / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "memory")
    (tmp_path / "run" / "vision" / "done.json").unlink()
    with pytest.raises(UsageError, match="vision is not done"):
        pretrain("memory", tmp_path)
    shutil.rmtree(tmp_path / "run" / "vision")
    with pytest.raises(UsageError, match="vision is not done"):
        pretrain("memory", tmp_path)


@pytest.mark.slow
def test_collecting_goes_on_after_kill_9_with_the_same_content(
    whole_run: Path, tmp_path: Path
) -> None:
    tmp_path.joinpath("config.yaml").write_text(TINY.format(out=tmp_path / "run"))
    process = subprocess.Popen(
        [sys.executable, "-m", "pretrain", "collect", "--config", tmp_path / "config.yaml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    shards = tmp_path / "run" / "collect" / "shards"
    deadline = time.monotonic() + 120
    while not list(shards.glob("0*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p.name: p.stat().st_mtime_ns for p in shards.glob("0*.safetensors")}
    assert len(kept) > 0
    pretrain("collect", tmp_path)
    for path in sorted(shards.glob("0*.safetensors")):
        assert kept.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
        again, reference = Shard(path), Shard(whole_run / "run" / "collect" / "shards" / path.name)
        assert (again.frames(0, len(again)) == reference.frames(0, len(reference))).all()
        assert (again.rewards == reference.rewards).all()


@pytest.mark.parametrize("stage", ["vision", pytest.param("memory", marks=pytest.mark.slow)])
def test_stopped_and_continued_equals_not_stopped(
    whole_run: Path, tmp_path: Path, stage: str
) -> None:
    """Stop a stage with SIGTERM after each of its first steps, over and over."""
    shutil.copytree(whole_run / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / stage)
    tmp_path.joinpath("config.yaml").write_text(TINY.format(out=tmp_path / "run"))
    arguments = [stage, "--config", str(tmp_path / "config.yaml")]
    stops = 0
    for _ in range(4):
        process = subprocess.run(
            [sys.executable, "-c", STOP_AFTER_THREE_STEPS, stage, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert process.returncode in (0, 1), process.stderr
        stops += process.returncode
        if process.returncode == 0:
            break
    assert stops >= 2 and process.returncode == 0
    one = torch.load(tmp_path / "run" / stage / "checkpoint.pt", weights_only=True)
    two = torch.load(whole_run / "run" / stage / "checkpoint.pt", weights_only=True)
    assert one["done"] == two["done"]
    for name, value in two["model"].items():
        assert torch.equal(one["model"][name], value), name


def test_timeout_sends_sigterm_twice_and_a_second_ctrl_c_is_impatient() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


STOP_AFTER_THREE_STEPS = """
import os, signal, sys
import torch
from pretrain import __main__ as command
from pretrain.stage import Stopped

steps = 0
step = torch.optim.Adam.step

def counted(self, *args, **kwargs):
    global steps
    steps += 1
    if steps == 5:
        os.kill(os.getpid(), signal.SIGTERM)
    return step(self, *args, **kwargs)

torch.optim.Adam.step = counted
try:
    sys.exit(command.main(sys.argv[2:]))
except Stopped:
    sys.exit(1)
"""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["vision", "--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["vision"], "--config FILE is missing"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], complaint: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pretrain", *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 2 and complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_unknown_level_and_missing_stage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="atlantis"):
        pretrain("collect", tmp_path, "--levels", "atlantis")
    with pytest.raises(UsageError, match="run collect"):
        pretrain("vision", tmp_path)


def test_done_says_what_came_out(whole_run: Path) -> None:
    facts = json.loads((whole_run / "run" / "vision" / "done.json").read_text())
    assert facts["validation_psnr"] > 5 and facts["frames"] == 384
