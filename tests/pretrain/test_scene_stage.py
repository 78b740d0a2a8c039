"""The stage that learns what is where: it learns, goes on where it was stopped, needs a teacher."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.models.scene import CELL, Scene
from pangolin_dash.acts import Options, make_acts
from pangolin_dash.simulator import MOST_THINGS, Worlds
from pretrain import __main__ as command
from pretrain.config import PretrainConfig
from pretrain.stage import Stopped
from pretrain.stages import scene as stage
from pretrain.teacher import Teacher
from retro_common.config import load
from retro_common.errors import UsageError


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an untrained teacher."""
    folder = tmp_path_factory.mktemp("scene")
    torch.manual_seed(0)
    size = Worlds(list(make_acts(Options()))[:1], 1, on_screen=True).observation_size
    Teacher(size, PretrainConfig(folder, "pangolin-train").agent.actions).save(
        folder / "teacher.safetensors", {}
    )
    path = folder / "run.yaml"
    path.write_text(
        f"out: {folder}/run\nlevels: pangolin-train\n"
        "agent: {controller: {features: [h, scene, proprioception]}}\n"
        f"controller: {{teacher: {folder}/teacher.safetensors}}\n"
    )
    return path


def test_it_learns_and_goes_on(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "STEPS", 60)
    monkeypatch.setattr(stage, "WARMUP", 10)
    seen: list[tuple[float, float]] = []
    losses = stage.scene_losses

    def stops(*arguments):  # in the 20th step, as Ctrl-C does
        found = losses(*arguments)
        seen.append((float(found[0]["blocks"]), float(found[0]["grid"])))
        if len(seen) == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(stage, "scene_losses", stops)
    with pytest.raises(Stopped):
        command.main(["scene", "--config", str(config)])
    assert len(seen) == 20
    assert command.main(["scene", "--config", str(config)]) == 0
    assert len(seen) == 60, "it went on where it was stopped"
    assert np.mean(seen[-5:], axis=0)[0] < 0.5 * seen[0][0]
    learnt = stage.load(load(PretrainConfig, config))
    torch.manual_seed(0)
    assert not torch.equal(learnt.blocks.weight, Scene().blocks.weight)
    assert command.main(["scene", "--config", str(config)]) == 0 and len(seen) == 60


def test_it_needs_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name a controller\.teacher"):
        stage.stage(PretrainConfig(tmp_path, "pangolin-train"))


def test_where_things_stand() -> None:
    things = torch.full((2, MOST_THINGS, 3), -1.0)
    things[1, 0] = torch.tensor([0.0, 105.0, 74.0])
    things[1, 1] = torch.tensor([10.0, 319.0, 223.0])
    heat, world, cells, moved = stage.heat_of(things)
    assert heat.sum() == 2 and heat[1, 0, 10, 10] == 1 and heat[1, 10, 31, 31] == 1
    assert world.tolist() == [1, 1] and cells.tolist() == [10 * 32 + 10, 31 * 32 + 31]
    middle = (torch.tensor([[10, 10], [31, 31]]) + 0.5 + moved) * torch.tensor(CELL)
    torch.testing.assert_close(middle, things[1, :2, 1:])


@pytest.mark.parametrize("camera", [(0, 0), (3, 15), (8, 7)])
def test_waves_tell_the_camera(camera: tuple[int, int]) -> None:
    waves = stage.waves_of(torch.tensor([camera], dtype=torch.float32))
    assert waves.square().sum(dim=1).sub(2).abs().max() < 1e-4
    found = Scene().camera(waves)
    wrong = (found - torch.tensor(camera) + 8) % 16 - 8
    assert wrong.abs().max() < 1e-3
