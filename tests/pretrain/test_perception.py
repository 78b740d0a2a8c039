"""V trained further beside a teacher: what it goes on from, what builds upon it, what it learns."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from agent import bundle
from pangolin_dash.simulator import Worlds
from pretrain import __main__ as command
from pretrain.config import PretrainConfig
from pretrain.data.acts import acts_of_levels
from pretrain.stages import perception
from pretrain.teacher import Teacher
from retro_common.config import load
from retro_common.errors import UsageError

ACTIONS = ("", "LEFT", "RIGHT", "B")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's file; it was never trained."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    size = Worlds([acts_of_levels("pangolin-train")[0].act], 1).observation_size
    Teacher(size, ACTIONS).save(path, {"timesteps": 7})
    return path


@pytest.fixture(scope="module")
def run(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages, from the first to the bundle; its configuration's file."""
    folder = tmp_path_factory.mktemp("perception")
    settings = {
        "extends": str(Path(__file__).with_name("tiny.yaml")),
        "out": str(folder / "run"),
        "levels": "pangolin-train",
        "perception": {"timesteps": 2560},
        "controller": {
            "teacher": str(teacher),
            "timesteps": 512,
            "envs": 64,
            "ppo": {"rollout_length": 256},
        },
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    assert command.main(["all", "--config", str(path)]) == 0
    return path


def test_the_bundle_holds_the_v_that_a_teacher_was_beside(run: Path) -> None:
    config = load(PretrainConfig, run)
    models, manifest = bundle.load(config.out / "bundle")
    before = torch.load(config.out / "vision/checkpoint.pt", weights_only=True)["model"]
    after = perception.load(config).state_dict()
    held = models.vision.state_dict()
    assert all(torch.equal(value, held[key]) for key, value in after.items())
    moved = {key: (after[key] - before[key]).abs().max().item() for key in after}
    assert moved["encoder.trunk.layers.0.weight"] > 0 and moved["decoder.draw.1.weight"] > 0
    assert manifest.origin["pretraining_timesteps"]["perception"] == 2560
    done = json.loads((config.out / "perception/done.json").read_text())
    assert done["timesteps"] == 2560 and done["validation_psnr"] > 0


def test_it_goes_on_and_knows_its_settings(run: Path, capsys: pytest.CaptureFixture) -> None:
    assert command.main(["perception", "--config", str(run)]) == 0
    assert "already done" in capsys.readouterr().out
    with pytest.raises(UsageError, match="timesteps: 2560 -> 5120"):
        command.main(["perception", "--config", str(run), "--perception.timesteps", "5120"])


def test_v_learns_to_show_what_the_teacher_reads(run: Path) -> None:
    config = load(PretrainConfig, run)
    torch.manual_seed(0)
    size = 5
    model = perception.Perception(perception.policy_config(config), size)
    generator = torch.Generator().manual_seed(0)
    # A bright stripe at one of five places: the label and the observation say where it is.
    place = torch.randint(size, (64,), generator=generator)
    frames = torch.zeros(64, 64, 64, 3, dtype=torch.uint8)
    for row, at in enumerate(place):
        frames[row, :, 12 * at : 12 * at + 12] = 255
    batch = {
        "frames": frames,
        "labels": torch.nn.functional.one_hot(place % 4, 4).mul(9.0).log_softmax(1),
        "proprioception": torch.zeros(64, 20),
        "observations": torch.nn.functional.one_hot(place, size).half(),
    }
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    found = []
    for _ in range(40):
        loss, scalars = perception.perception_loss(
            model, batch, torch.full((size,), 6.0), config, generator, reconstruct=True
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append({name: value.item() for name, value in scalars.items()})
    assert found[-1]["kl"] < 0.5 * found[0]["kl"]
    assert found[-1]["reading"] < 0.7 * found[0]["reading"]


def test_without_a_teacher_it_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"set controller\.teacher"):
        perception.stage(PretrainConfig(out=tmp_path, levels="pangolin-train"))
    config = tmp_path / "without.yaml"
    config.write_text(f"levels: pangolin-train\nout: {tmp_path / 'run'}\n")
    assert command.main(["perception", "--config", str(config)]) == 0, "off: nothing to do"
