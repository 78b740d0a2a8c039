"""The benchmark of V and M, made small: what it compares is what it says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.config import AgentConfig, MemoryConfig, VisionConfig
from benchmarks import world_model
from benchmarks.vision_loops import Reference
from pretrain.config import CollectConfig, MemoryTraining, PretrainConfig, VisionTraining
from pretrain.data.shards import ShardWriter
from retro_common.errors import UsageError

CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path: Path) -> PretrainConfig:
    return PretrainConfig(
        out=tmp_path / "run",
        levels="airstriker",
        collect=CollectConfig(behaviours={"random": 1.0}),
        agent=AgentConfig(
            vision=VisionConfig(
                latent=16, grid=4, player_units=0, channels=(4, 8), decoder_channels=(4, 8)
            ),
            memory=MemoryConfig(hidden=16, mixtures=2),
        ),
        vision=VisionTraining(batch=64, learning_rate=1e-2, precision="float32"),
        memory=MemoryTraining(batch=4, sequence=16),
    )


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        writer = ShardWriter("Game/State", ())
        for t in range(96):
            frame = np.full((64, 64, 3), 40, np.uint8)
            frame[20:30, rng.integers(50) :] = 200
            writer.add(frame, t % 8, 1.0, t % 32 == 0, t % 32 == 31, {})
        writer.write(tmp_path / "shards" / f"{number}.safetensors", {})
    return tmp_path / "shards"


def test_the_reference_is_the_published_network() -> None:
    model = Reference(32)
    # ctallec/world-models, the replication that the figures in print are of, counts as many.
    assert sum(p.numel() for p in model.parameters()) == 4_348_547
    mean, logvar = model.encode(torch.rand(2, 3, 64, 64))
    assert mean.shape == logvar.shape == (2, 32)
    drawn = model.decode(mean)
    assert drawn.shape == (2, 3, 64, 64) and drawn.min() >= 0 and drawn.max() <= 1


def test_both_loops_learn(config: PretrainConfig) -> None:
    frames = np.full((64, 64, 64, 3), 90, np.uint8)
    frames[:, :20] = 220
    for name, loop in world_model.start_loops(config, 64 * 40, CPU).items():
        before = world_model.validate(loop.model, frames)
        for _ in range(8 if name == "reference" else 40):
            loop.step(frames[: loop.batch])
        assert world_model.validate(loop.model, frames) > before + 2, name


def test_figures(
    config: PretrainConfig,
    shards: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(world_model, "TURN", 128)
    monkeypatch.setattr(world_model, "VALIDATION_FRAMES", 64)
    figures = world_model.measure(config, shards, 256, rounds=2, device=CPU, quick=True)
    for name in ("vision_ours", "vision_reference", "memory"):
        assert 0 < figures[f"{name}_share_of_ceiling"] < 10  # units are right; speed is no test
    slow, fast = (figures[f"vision_{n}_frames_per_second"] for n in ("reference", "ours"))
    assert 0.3 < figures["ratio_vision_to_reference"] / (fast / slow) < 3
    # What the notes of the published replication say of a frame, forward and backward.
    assert figures["vision_reference_mflop_per_frame"] == pytest.approx(230, rel=0.02)
    assert [point["frames"] for point in figures["vision_quality"]] == [128, 256]
    # Measured apart: on a busy machine the part may take longer than the whole.
    assert figures["memory_step_ms"] > 0 and figures["memory_head_ms"] > 0
    assert figures["vision_reading_share"] > 0 and figures["memory_reading_share"] > 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith('{"quick": true')


def test_frames_are_recorded(config: PretrainConfig) -> None:
    config = dataclasses.replace(
        config, agent=dataclasses.replace(config.agent, actions=("", "LEFT", "B"))
    )
    with world_model.recorded(config, 64) as folder:
        assert len(list(folder.glob("*.safetensors"))) == 2
    assert not folder.exists()


def test_an_empty_folder_is_named(config: PretrainConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder of shards"):
        world_model.measure(config, tmp_path, 1024, rounds=1, device=CPU, quick=True)
