"""The report on real rollouts: the figures that were asked for, and pictures of them."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Models
from analysis import episodes as rollouts
from analysis import pictures as report_pictures
from analysis.report import report
from pretrain.config import CollectConfig, PretrainConfig
from pretrain.data.shards import Shard
from retro_common.errors import UsageError

KEYS = [
    "psnr",
    "psnr_player",
    "probe_screen_x_r2",
    "probe_screen_y_r2",
    "active_units",
    "probe_speed_x_r2",
    "probe_speed_y_r2",
    "probe_on_ground_auc",
    "probe_speed_x_r2_untrained",
    "probe_speed_y_r2_untrained",
    "nll",
    "nll_same",
    "nll_linear",
    "nll_untrained",
    "rollout_psnr",
    "freeze_psnr",
    "reward_corr",
    "end_auc",
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PretrainConfig:
    folder = tmp_path_factory.mktemp("report")
    torch.manual_seed(0)
    agent = AgentConfig(
        actions=("", "RIGHT", "RIGHT B"),
        vision=VisionConfig(
            latent=16, grid=4, player_units=0, channels=(2, 4), decoder_channels=(2, 4)
        ),
        memory=MemoryConfig(hidden=8, mixtures=2),
        controller=ControllerConfig(hidden=8),
    )
    bundle.save(Models.build(agent), folder / "run" / "bundle", {"pretraining_timesteps": {}})
    return PretrainConfig(
        out=folder / "run",
        levels="PangolinDash-Genesis-v0/FernHollow.Act1",
        heldout="PangolinDash-Genesis-v0/FernHollow.Act3,PangolinDash-Genesis-v0/FrostPeak.Act1",
        report_timesteps=128,
        agent=agent,
        collect=CollectConfig(
            shard=128,
            workers=1,
            behaviours={"random": 0.5, "noisy-movie": 0.5},
            movies=Path("pangolin_dash/movies"),
            movie_share=1.0,
            movie_timesteps=48,
        ),
    )


@pytest.fixture(scope="module")
def result(config: PretrainConfig) -> dict[str, Any]:
    with SummaryWriter(str(config.out / "vision" / "log")) as writer:
        for step in range(0, 400, 20):
            writer.add_scalar("vision/mse", 0.1 / (step + 1), step)
        writer.add_scalar("vision/validation_psnr", 21.5, 399)
    return report(config, *bundle.load(config.out / "bundle"), config.out / "report")


def test_every_figure_that_was_asked_for(config: PretrainConfig, result: dict[str, Any]) -> None:
    written = json.loads((config.out / "report" / "world-model.json").read_text())
    assert {"config", "commit", "timesteps", "train", "heldout"} <= written.keys()
    for kind in ("train", "heldout"):
        assert set(KEYS) <= written[kind].keys()
        assert set(written[kind]["rollout_psnr"]) == {"1", "5", "15", "30"}
        assert np.mean(written[kind]["kl_by_unit"]) == pytest.approx(
            written[kind]["kl_per_unit"], abs=1e-3
        )
        assert written[kind]["run_time_error"] < 1e-5
    assert written["heldout"]["psnr"] == pytest.approx(result["heldout"]["psnr"])


def test_every_picture_is_drawn_and_shown(config: PretrainConfig, result: dict[str, Any]) -> None:
    table = (config.out / "report" / "world-model.md").read_text()
    for name in ("reconstructions", "rollouts", "horizons", "latents", "training"):
        image = cv2.imread(str(config.out / "report" / f"world-model-{name}.png"))
        assert image is not None and image.std() > 5, name
        assert f"(world-model-{name}.png)" in table


def test_a_run_without_logs_has_no_training_picture(tmp_path: Path, result: dict[str, Any]) -> None:
    assert report_pictures.draw_training(tmp_path, result) is None


def test_logs_are_read(config: PretrainConfig, result: dict[str, Any]) -> None:
    curves = report_pictures.scalars(config.out / "vision" / "log", "vision")
    steps, values = curves["mse"]
    assert steps.tolist() == list(range(0, 400, 20)) and values[0] == pytest.approx(0.1)
    assert curves["validation_psnr"][0].tolist() == [399]


def test_smoothing_starts_at_the_first_value_and_ends_near_the_last() -> None:
    smoothed = report_pictures.smooth(np.array([5.0, *[1.0] * 100]))
    assert smoothed[0] == pytest.approx(5) and smoothed[-1] == pytest.approx(1, abs=1e-3)
    assert (np.diff(smoothed) <= 0).all()


def test_hidden_states_of_another_memory(config: PretrainConfig, result: dict[str, Any]) -> None:
    """Of the same M they are those that were recorded with it."""
    paths = sorted((config.out / "report" / "heldout").glob("*.safetensors"))
    models, _ = bundle.load(config.out / "bundle")
    data = rollouts.run_through(models, [Shard(path) for path in paths], 1.0)
    found = rollouts.hidden_before(models.memory, data)
    np.testing.assert_allclose(found, data.before, atol=1e-6)
    assert np.abs(found).max() > 0


def test_half_of_the_episodes_are_whole(config: PretrainConfig, result: dict[str, Any]) -> None:
    """The halves share no episode, and a row's start is the row where its episode begins."""
    paths = sorted((config.out / "report" / "heldout").glob("*.safetensors"))
    models, _ = bundle.load(config.out / "bundle")
    data = rollouts.run_through(models, [Shard(path) for path in paths], 1.0)
    halves = [data.half(0), data.half(1)]
    assert sum(len(half.mean) for half in halves) == len(data.mean)
    for half in halves:
        assert (half.starts <= np.arange(len(half.starts))).all()
        assert (half.starts[half.starts] == half.starts).all()
        assert set(half.level) <= {"FernHollow.Act3", "FrostPeak.Act1"}
    first = rollouts.rollout_starts(data)
    last = first + rollouts.CONTEXT + rollouts.HORIZONS[-1] - 1
    assert (data.starts[first] == data.starts[last]).all()
    dreamt = rollouts.imagine(models.memory, data, first)
    assert len(dreamt) == rollouts.HORIZONS[-1] and dreamt[0].shape == (len(first), 16)


def test_without_heldout_levels_it_says_so(config: PretrainConfig, tmp_path: Path) -> None:
    bare = PretrainConfig(out=tmp_path, levels="airstriker")
    with pytest.raises(UsageError, match="heldout"):
        report(bare, *bundle.load(config.out / "bundle"), tmp_path / "report")
