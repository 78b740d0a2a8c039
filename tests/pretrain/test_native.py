"""Sampling without the emulator: what lands in a rollout, and C's training beside a teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, PPOConfig, VisionConfig
from agent.learning.ppo import Rollout
from agent.models.actor import Models
from agent.models.memory import State
from pangolin_dash.simulator import Worlds
from pretrain import __main__ as command
from pretrain.data import acts as data
from pretrain.imitation import Imitation
from pretrain.native import NativeSampler
from pretrain.stages import scene
from pretrain.teacher import Teacher
from retro_common.config import to_dict
from retro_common.errors import UsageError

AGENT = AgentConfig(
    actions=("", "RIGHT", "RIGHT B"),
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(4, 8), decoder_channels=(4, 8)
    ),
    memory=MemoryConfig(hidden=5, mixtures=2),
    controller=ControllerConfig(features=("z", "h", "proprioception"), hidden=16),
)
CPU = torch.device("cpu")
LENGTH, WORLDS = 40, 6


@pytest.fixture(scope="module")
def known() -> list[data.Known]:
    return data.acts_of_levels("pangolin-train")


@pytest.fixture(scope="module")
def teacher(known: list[data.Known], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's file; it was never trained."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    Teacher(Worlds([known[0].act], 1, on_screen=True).observation_size, AGENT.actions).save(
        path, {}
    )
    return path


def sampled(known: list[data.Known], teacher: Path, seed: int) -> tuple[Models, Rollout]:
    torch.manual_seed(0)
    models = Models.build(AGENT)
    rollout = Rollout.of(AGENT, LENGTH, WORLDS)
    rollout.labels = torch.zeros(LENGTH, WORLDS, 3)
    loaded = Teacher.load(teacher)
    with NativeSampler(models, known, WORLDS, teacher=loaded, seed=seed, device=CPU) as sampler:
        sampler.play(rollout)
    return models, rollout


def test_a_rollout_holds_what_the_networks_and_the_teacher_said(
    known: list[data.Known], teacher: Path
) -> None:
    models, rollout = sampled(known, teacher, seed=3)
    zeros = torch.zeros(WORLDS, 5)
    with torch.no_grad():
        hidden, _ = models.memory(
            rollout.z.transpose(0, 1), rollout.actions.T, State(zeros, zeros.clone())
        )
        features = rollout.features(torch.arange(LENGTH * WORLDS), CPU)
        log_probs, values = models.controller(features)
    goes_on = torch.cumprod(1 - rollout.ends, dim=0)[:-1].unsqueeze(2)
    difference = (rollout.h[1:] - hidden.transpose(0, 1)[:-1]) * goes_on
    assert difference.abs().max() < 1e-6 and rollout.h.abs().max() > 0.01
    torch.testing.assert_close(rollout.values.flatten(), values, atol=1e-5, rtol=0)
    chosen = log_probs.gather(1, rollout.actions.flatten().unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(rollout.log_probs.flatten(), chosen, atol=1e-5, rtol=0)
    np.testing.assert_allclose(rollout.labels.exp().sum(dim=2), 1, atol=1e-5)
    assert rollout.labels.std(dim=(0, 1)).min() > 0, "labels depend on the state"
    # The last action is part of what C reads.
    last = rollout.proprioception[1:, :, 4:7].argmax(dim=2)
    assert (last == rollout.actions[:-1])[rollout.ends[:-1] == 0].all()


def test_c_knows_of_the_ground_what_the_teacher_does(
    known: list[data.Known], teacher: Path
) -> None:
    """How long ago there was new ground, and how far it is: from rewards as from the memory."""
    torch.manual_seed(0)
    models, loaded = Models.build(AGENT), Teacher.load(teacher)
    rollout = Rollout.of(AGENT, LENGTH, WORLDS)
    rollout.labels = torch.zeros(LENGTH, WORLDS, 3)
    with NativeSampler(models, known, WORLDS, teacher=loaded, seed=5, device=CPU) as sampler:
        behind = 0.0
        for _ in range(4):
            sampler.play(rollout)
            ground = sampler.features.proprioception[:, -2:]
            np.testing.assert_allclose(ground, sampler.worlds.observe()[:, 28:30], atol=1e-4)
            behind += float(ground.min(dim=1).values.max())
    assert behind > 0


def test_a_seed_gives_the_same_rollout(known: list[data.Known], teacher: Path) -> None:
    one, again, other = (sampled(known, teacher, seed)[1] for seed in (3, 3, 4))
    assert torch.equal(one.z, again.z) and torch.equal(one.actions, again.actions)
    assert not torch.equal(one.z, other.z)


def test_a_teacher_of_another_simulator_is_refused(known: list[data.Known]) -> None:
    models = Models.build(AGENT)
    of_another = Teacher(8, AGENT.actions)
    with pytest.raises(UsageError, match="observations of 8 numbers"):
        NativeSampler(models, known, 2, teacher=of_another, seed=0, device=CPU)
    with pytest.raises(UsageError, match=r"agent\.actions: the teacher chooses from"):
        NativeSampler(models, known, 2, teacher=Teacher(8, ("B",)), seed=0, device=CPU)


def test_c_learns_the_labels(known: list[data.Known], teacher: Path) -> None:
    models, rollout = sampled(known, teacher, seed=3)
    # Labels that depend on what C sees: far left, the first action, and so on.
    rollout.labels = torch.stack([rollout.z[..., 0], rollout.z[..., 1], 0 * rollout.z[..., 2]], 2)
    rollout.labels = (20 * rollout.labels).log_softmax(2)
    imitation = Imitation(models.controller, PPOConfig(), seed=0)
    distances = [imitation.update(rollout, 0.0)["anchor"] for _ in range(60)]
    assert distances[-1] < 0.5 * distances[0]


@pytest.mark.parametrize(
    "features",
    [["z", "h", "proprioception"], ["h", "scene", "proprioception"], ["pixels", "proprioception"]],
)
def test_the_stage_trains_beside_a_teacher(
    teacher: Path, tmp_path: Path, features: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "STEPS", 3)
    torch.manual_seed(0)
    base = tmp_path / "base"
    bundle.save(Models.build(AGENT), base, {"pretraining_timesteps": {"collect": 64}})
    agent = {key: to_dict(AGENT)[key] for key in ("actions", "vision", "memory", "controller")}
    agent["controller"]["features"] = features
    text = {
        "out": str(tmp_path / "run"),
        "levels": "pangolin-train",
        "base": str(base),
        "agent": agent,
        "controller": {
            "teacher": str(teacher),
            "timesteps": 512,
            "envs": 4,
            "ppo": {"rollout_length": 64},
        },
    }
    config = tmp_path / "student.yaml"
    config.write_text(yaml.safe_dump(text))
    if "scene" in features:
        with pytest.raises(UsageError, match="scene is not done"):
            command.main(["controller", "--config", str(config)])
    assert command.main(["all", "--config", str(config)]) == 0
    models, manifest = bundle.load(tmp_path / "run" / "bundle")
    assert models.config.controller.features == tuple(features)
    assert manifest.origin["pretraining_timesteps"]["controller"] == 512
    assert manifest.origin["teacher"]["sha256"] == Teacher.sha256(teacher)
