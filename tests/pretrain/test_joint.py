"""V and M trained together: what it starts from, what builds upon it, stopping and going on."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from agent import bundle
from agent.config import AgentConfig, MemoryConfig, VisionConfig
from pretrain import __main__ as command
from pretrain.config import JointTraining, PretrainConfig
from pretrain.data.shards import ShardSet, ShardWriter
from pretrain.stage import Diverged, Stopped
from pretrain.stages import joint
from retro_common.errors import UsageError

TINY = f"""
extends: {Path(__file__).with_name("tiny.yaml")}
out: {{out}}
collect: {{{{timesteps: 256}}}}
vision: {{{{steps: 4}}}}
memory: {{{{steps: 4}}}}
joint: {{{{steps: 8, batch: 2, sequence: 8}}}}
controller: {{{{timesteps: 128}}}}
"""


def pretrain(stage: str, folder: Path, *options: str) -> None:
    config = folder / "config.yaml"
    config.write_text(TINY.format(out=folder / "run"))
    assert command.main([stage, "--config", str(config), *options]) == 0


def weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    path = folder / "run" / stage / "checkpoint.pt"
    return torch.load(path, weights_only=True, map_location="cpu")["model"]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joint")
    pretrain("all", folder)
    return folder


def test_the_bundle_holds_the_joint_v_and_m(whole_run: Path) -> None:
    models, manifest = bundle.load(whole_run / "run" / "bundle")
    trained = weights(whole_run, "joint")
    for part in ("vision", "memory"):
        alone = weights(whole_run, part)
        state = models.parts()[part].state_dict()
        assert all(
            torch.equal(value, trained[f"{part}.{key}"].half().float())
            for key, value in state.items()
        )
        moved = max((state[key] - alone[key]).abs().max().item() for key in state)
        # It went on from what the stages trained: 8 steps of Adam go 8 learning rates at most.
        assert 0 < moved < 8.1e-4
    assert manifest.origin["pretraining"]["joint"]["steps"] == 8
    done = json.loads((whole_run / "run" / "joint" / "done.json").read_text())
    assert done["validation_psnr"] > 5 and np.isfinite(done["validation_nll"])
    assert 0 <= done["validation_inverse_accuracy"] <= 1


def test_it_is_off_unless_asked_for(whole_run: Path, tmp_path: Path) -> None:
    shutil.copytree(whole_run / "run", tmp_path / "run")
    for folder in ("joint", "controller", "bundle"):
        shutil.rmtree(tmp_path / "run" / folder)
    pretrain("all", tmp_path, "--joint.steps", "0")
    assert not (tmp_path / "run" / "joint").exists()
    models, _ = bundle.load(tmp_path / "run" / "bundle")
    alone = weights(whole_run, "vision")
    assert all(
        torch.equal(v, alone[k].half().float()) for k, v in models.vision.state_dict().items()
    )


def test_the_controller_does_not_go_on_with_another_v(whole_run: Path) -> None:
    with pytest.raises(UsageError, match="made with other settings"):
        pretrain("controller", whole_run, "--joint.steps", "0")
    with pytest.raises(UsageError, match=r"joint\.inverse_weight: 0\.1 -> 0\.2"):
        pretrain("joint", whole_run, "--joint.inverse_weight", "0.2")


def test_stopped_and_continued_equals_not_stopped(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole_run / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "joint")
    step, steps = torch.optim.Adam.step, 0

    def stop_at_every_third(self, *args, **kwargs):
        nonlocal steps
        steps += 1
        if steps % 3 == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", stop_at_every_third)
    for _ in range(2):
        with pytest.raises(Stopped):
            pretrain("joint", tmp_path)
    pretrain("joint", tmp_path)
    assert steps == 8
    one, two = weights(tmp_path, "joint"), weights(whole_run, "joint")
    for name, value in two.items():
        assert torch.equal(one[name], value), name


def test_a_diverging_loss_names_the_step(whole_run: Path, tmp_path: Path) -> None:
    shutil.copytree(whole_run / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "joint")
    with pytest.raises(Diverged, match=r"joint: the loss is .* at step [0-7] \(epoch 0, batch"):
        pretrain("joint", tmp_path, "--joint.learning_rate", "1e30")


def small_config(folder: Path) -> PretrainConfig:
    return PretrainConfig(
        out=folder,
        levels="airstriker",
        agent=AgentConfig(
            actions=("", "B"),
            vision=VisionConfig(
                latent=16, grid=4, player_units=0, channels=(8, 16), decoder_channels=(8, 16)
            ),
            memory=MemoryConfig(hidden=16, mixtures=2),
        ),
        joint=JointTraining(steps=1, batch=4, sequence=8),
    )


def brightness_shards(folder: Path, lengths: list[int]) -> ShardSet:
    """Frames of one brightness: action 1 makes the next one brighter, action 0 darker."""
    rng = np.random.default_rng(0)
    for number in range(2):
        writer = ShardWriter("Game/State", ())
        for length in lengths:
            level = 128
            for t in range(length):
                action = int(rng.integers(2))
                frame = np.full((64, 64, 3), level, np.uint8)
                writer.add(frame, action, 0.0, t == 0, t == length - 1, {})
                level = int(np.clip(level + (20 if action else -20), 0, 255))
        writer.write(folder / str(number), {})
    return ShardSet(folder, ["0", "1"])


def test_frames_lie_where_their_timesteps_are(tmp_path: Path) -> None:
    shards = brightness_shards(tmp_path, [11, 3, 20])
    lanes = joint.without_latents(shards, [0], lanes=2, sequence=8, seed=0)
    for chunks in lanes.plan(0):
        batch = joint.read(lanes, chunks)
        assert len(batch.frames) == int(batch.present.sum())
        rows = iter(batch.frames)
        for lane, chunk in enumerate(chunks):
            for t in range(9):
                there = chunk is not None and chunk.first + t < chunk.episode.last
                assert bool(batch.present[lane, t]) == there
                if there and t < 8:
                    assert (batch.sequences.mask[lane, t] == 1) == (chunk.first + t < chunk.last)
                if there:
                    frame = shards.shards[0].frame(chunk.first + t)
                    assert np.array_equal(next(rows), frame)


def test_all_parts_learn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = small_config(tmp_path / "run")
    config.joint.inverse_weight, config.vision.kl_weight = 1.0, 0.1
    shards = brightness_shards(tmp_path, [16] * 10)
    lanes = joint.without_latents(shards, [0], lanes=4, sequence=8, seed=0)
    model = joint.JointModel(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    stream, state = joint.training_batches(lanes, 0, 0), model.memory.initial_state(4)
    history = []
    for _ in range(100):
        _, _, batch = next(stream)
        loss, scalars, state = joint.joint_loss(model, batch, state, config, generator, False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({name: value.item() for name, value in scalars.items()})
    early, late = (
        {name: np.mean([row[name] for row in rows]) for name in history[0]}
        for rows in (history[:20], history[-20:])
    )
    assert late["mse"] < early["mse"] / 2 and late["inverse"] < early["inverse"] / 2
    assert late["reward"] < early["reward"]
    held_back = joint.without_latents(shards, [1], lanes=4, sequence=8, seed=0)
    assert joint.validate(model, held_back, config)["inverse_accuracy"] > 0.8


def test_v_is_not_paid_for_latents_that_are_easy_to_foretell(tmp_path: Path) -> None:
    """M's loss reaches V through what M reads: with nothing read, V gets no gradient from it."""
    torch.manual_seed(0)
    config = small_config(tmp_path / "run")
    shards = brightness_shards(tmp_path, [9, 9, 9, 9])
    lanes = joint.without_latents(shards, [0], lanes=4, sequence=8, seed=0)
    model = joint.JointModel(config)
    predict = model.memory.predict
    model.memory.predict = lambda hidden, latents: predict(hidden.detach(), latents.detach())
    gradients = []
    for weight in (1e-6, 100.0):
        config.joint.memory_weight, config.joint.head_weight = weight, 0.0
        batch = joint.read(lanes, lanes.plan(0)[0])
        generator, state = torch.Generator().manual_seed(0), model.memory.initial_state(4)
        loss, _, _ = joint.joint_loss(model, batch, state, config, generator, False)
        model.zero_grad()
        loss.backward()
        gradients.append([p.grad.clone() for p in model.vision.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)
