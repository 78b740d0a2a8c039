"""Bundles: saved, loaded, damaged, killed."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Actor, Models
from retro_common.errors import UsageError

CONFIG = AgentConfig(
    actions=("", "RIGHT"),
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(2, 4), decoder_channels=(2, 4)
    ),
    memory=MemoryConfig(hidden=5, mixtures=2),
    controller=ControllerConfig(hidden=8),
)


def models(seed: int = 0) -> Models:
    torch.manual_seed(seed)
    return Models.build(CONFIG)


def test_what_was_saved_plays_the_same(tmp_path: Path) -> None:
    first = models()
    bundle.save(first, tmp_path / "b", {"commit": "abc"})
    second, manifest = bundle.load(tmp_path / "b")
    assert manifest.agent == CONFIG and manifest.origin == {"commit": "abc"}
    frames = np.random.default_rng(0).integers(256, size=(1, 64, 64, 3), dtype=np.uint8)
    decisions = []
    for each in (first, second):
        player = Actor(each, envs=1, seed=3)
        for _ in range(5):
            features = player.observe(frames)
            decision = player.act(features)
            player.remember(features, decision.actions, np.ones(1), np.array([False]))
        decisions.append(decision)
    assert all(torch.equal(a, b) for a, b in zip(*decisions, strict=True))


def test_half_precision_has_half_the_size_and_rounds(tmp_path: Path) -> None:
    first = models()
    for name, half in {"whole": False, "half": True}.items():
        bundle.save(first, tmp_path / name, {}, half=half)
    whole, small = (
        sum(len(content) for content in safetensors_of(tmp_path / name).values())
        for name in ("whole", "half")
    )
    assert small < 0.7 * whole  # names and shapes are the rest of so small a file
    loaded, _ = bundle.load(tmp_path / "half")
    for part, module in first.parts().items():
        rounded = loaded.parts()[part].state_dict()
        for name, value in module.state_dict().items():
            assert rounded[name].dtype == torch.float32
            torch.testing.assert_close(rounded[name], value, rtol=1e-3, atol=1e-7)


def safetensors_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    bundle.save(models(0), tmp_path, {})
    bundle.save(models(1), tmp_path, {})
    assert len(list(tmp_path.iterdir())) == 4  # config.yaml and three weight files
    loaded, _ = bundle.load(tmp_path)
    expected = models(1).controller.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in loaded.controller.state_dict().items())


def weight_file(folder: Path, part: str) -> Path:
    return next(folder.glob(f"{part}-*.safetensors"))


def truncate(folder: Path) -> None:
    path = weight_file(folder, "vision")
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(folder: Path) -> None:
    path = weight_file(folder, "memory")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit(folder: Path, change) -> None:
    path = folder / "config.yaml"
    values = yaml.safe_load(path.read_text())
    change(values)
    path.write_text(yaml.safe_dump(values))


def reweigh(folder: Path, part: str, change) -> None:
    """Write a part's weights anew, changed, with the right hash."""
    path = weight_file(folder, part)
    tensors = change(safetensors.torch.load_file(path))
    content = safetensors.torch.save(tensors)
    path.write_bytes(content)
    edit(folder, lambda v: v["weights"][part].update(sha256=hashlib.sha256(content).hexdigest()))


def everywhere(value: float):
    return lambda tensors: {key: torch.full_like(each, value) for key, each in tensors.items()}


def one_nan(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    next(iter(tensors.values())).view(-1)[-1] = torch.nan
    return tensors


def as_type(kind: torch.dtype):
    return lambda tensors: {key: each.to(kind) for key, each in tensors.items()}


def replace_weights(make):
    def damage(folder: Path) -> None:
        path = weight_file(folder, "vision")
        path.rename(folder / "elsewhere")
        make(path)

    return damage


def replace_config(make):
    def damage(folder: Path) -> None:
        (folder / "config.yaml").rename(folder / "elsewhere")
        make(folder / "config.yaml")

    return damage


def set_config(section: str, **values):
    return lambda folder: edit(folder, lambda v: v["agent"][section].update(values))


BOMB = "x: &a [y, y]\n" + "".join(
    f"x{b}: &{b} [{', '.join(['*' + a] * 9)}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda d: reweigh(d, "memory", one_nan), "not finite"),
        (lambda d: reweigh(d, "vision", everywhere(float("inf"))), "not finite"),
        (lambda d: reweigh(d, "controller", everywhere(1e38)), "cannot act"),
        (lambda d: reweigh(d, "vision", everywhere(1e38)), "cannot act"),
        (lambda d: reweigh(d, "memory", as_type(torch.float64)), "float64"),
        (lambda d: reweigh(d, "controller", as_type(torch.float64)), "float64"),
        (lambda d: reweigh(d, "controller", as_type(torch.bool)), "bool"),
        (lambda d: reweigh(d, "controller", as_type(torch.int64)), "int64"),
        (lambda d: reweigh(d, "controller", as_type(torch.complex64)), "complex64"),
        (replace_weights(os.mkfifo), "a FIFO"),
        (replace_weights(lambda path: path.symlink_to("/dev/zero")), "a link"),
        (replace_weights(lambda path: path.symlink_to("elsewhere")), "a link"),
        (replace_weights(lambda path: os.truncate(os.open(path, 66, 0o600), 1 << 40)), "bytes"),
        (replace_config(os.mkfifo), "a FIFO"),
        (replace_config(lambda path: path.symlink_to("/dev/zero")), "a link"),
        (set_config("controller", hidden=1_000_000), "agent.controller.hidden"),
        (set_config("memory", hidden=1 << 70), "agent.memory.hidden"),
        (set_config("vision", channels=[100_000, 100_000]), "agent.vision.channels"),
        (set_config("vision", latent=8192, channels=[8192, 8192]), "more than 100,000,000"),
        (set_config("memory", hidden=8192, mixtures=64, maps=8192), "more than 100,000,000"),
        (set_config("reward", scale=float("inf")), "agent.reward.scale"),
        (lambda d: edit(d, lambda v: v["agent"].update(actions=["NOPE"])), "no button"),
        (lambda d: edit(d, lambda v: v["agent"].update(actions=["x" * 10**5])), "no button"),
        (lambda d: edit(d, lambda v: v.update(format=True)), "bundle format True"),
        (lambda d: edit(d, lambda v: v.update(format=2.0)), "bundle format 2.0"),
        (lambda d: edit(d, lambda v: v.update(format=["x" * 99] * 999)), "bundle format"),
        (lambda d: edit(d, lambda v: v.update(agent=list(range(9999)))), "agent"),
        (lambda d: edit(d, lambda v: v["weights"]["vision"].update(file="..")), "a folder"),
        (lambda d: edit(d, lambda v: v["weights"]["vision"].update(file="x" * 10**5)), "too long"),
        (lambda d: edit(d, lambda v: v["weights"]["vision"].update(file="a\0b")), "cannot be writ"),
        (lambda d: (d / "config.yaml").write_text(BOMB + "format: *i"), "anchors and aliases"),
        (lambda d: (d / "config.yaml").write_text("[" * 10_000), "nested"),
        (lambda d: (d / "config.yaml").write_text("# " + "x" * (1 << 20)), "bytes"),
        (lambda d: (d / "config.yaml").write_text("format: !!int x"), "cannot be read"),
        (truncate, "truncated or changed"),
        (flip_a_bit, "truncated or changed"),
        (lambda d: weight_file(d, "controller").unlink(), "cannot be read"),
        (lambda d: (d / "config.yaml").unlink(), "not a bundle"),
        (lambda d: (d / "config.yaml").write_text("{"), "cannot be read"),
        (lambda d: (d / "config.yaml").write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda d: (d / "config.yaml").write_text("model: resnet"), "no key `format`"),
        (lambda d: edit(d, lambda v: v.update(format=99)), "bundle format 99"),
        (lambda d: edit(d, lambda v: v["weights"].pop("memory")), "no weights for memory"),
        (lambda d: edit(d, lambda v: v["agent"]["vision"].update(latent=32)), "do not fit"),
        (
            lambda d: edit(d, lambda v: v["weights"]["vision"].update(file="../x")),
            "outside the bundle",
        ),
    ],
)
def test_a_bad_bundle_is_one_line_that_says_what_is_wrong(tmp_path, damage, complaint) -> None:
    bundle.save(models(), tmp_path, {})
    damage(tmp_path)
    with pytest.raises(UsageError) as error:
        bundle.load(tmp_path)
    assert complaint in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < 800
    str(error.value).encode()


def test_the_command_exits_with_2_and_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "agent", "--bundle", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "no such folder" in result.stderr


SAVE_FOR_EVER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from agent import bundle
from test_bundle import models
seed = 0
while True:
    seed += 1
    bundle.save(models(seed), Path({folder!r}), {{"seed": seed}})
    print(seed, flush=True)
"""


@pytest.mark.slow
def test_killed_while_saving_the_bundle_is_whole(tmp_path: Path) -> None:
    """Whatever had been reported as saved is still there, or something newer."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "b"
    script = SAVE_FOR_EVER.format(tests=str(Path(__file__).parent), folder=str(folder))
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        reported = [process.stdout.readline()]
        time.sleep(rng.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        reported += process.stdout.readlines()
        process.wait()
        saved = int(reported[-1])
        loaded, manifest = bundle.load(folder)
        assert manifest.origin["seed"] in (saved, saved + 1)
        expected = models(manifest.origin["seed"]).vision.state_dict()
        assert all(torch.equal(v, expected[k]) for k, v in loaded.vision.state_dict().items())
