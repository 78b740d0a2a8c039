"""The controller stage: what it builds on, what stops and continues, and its options."""

import os
import signal
import threading
from pathlib import Path

import pytest
import torch

from agent import bundle
from agent.learning.ppo import Rollout
from agent.models.actor import Models
from agent.models.controller import Features
from agent.models.memory import State
from pretrain import __main__ as command
from pretrain.config import PretrainConfig
from pretrain.sampler import Sampler
from pretrain.stage import Stopped
from pretrain.stages.collect import collected_timesteps
from retro_common.config import load
from retro_common.errors import UsageError
from retro_contest import levels as contest_levels
from tests.tiny import tiny_agent

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = f"""
extends: {Path(__file__).with_name("tiny.yaml")}
out: {{folder}}/base
collect: {{{{timesteps: 256}}}}
vision: {{{{steps: 4, batch: 8}}}}
memory: {{{{steps: 4}}}}
controller: {{{{timesteps: 128, envs: 3, ppo: {{{{rollout_length: 48}}}}}}}}
"""
ARM = """
extends: base.yaml
out: {folder}/arm
base: {folder}/base
"""


def pretrain(stage: str, config: Path, *options: str) -> None:
    assert command.main([stage, "--config", str(config), *options]) == 0


def weights(folder: Path, part: str) -> dict[str, torch.Tensor]:
    return bundle.load(folder / "bundle")[0].parts()[part].state_dict()


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base.yaml and its finished run."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "base.yaml").write_text(BASE.format(folder=folder))
    pretrain("all", folder / "base.yaml")
    return folder


def arm(base: Path, tmp_path: Path, *options: str, text: str = ARM) -> Path:
    """A run over the base with these options."""
    config = base / f"{tmp_path.name}.yaml"
    config.write_text(text.format(folder=base))
    pretrain("all", config, "--out", str(tmp_path / "arm"), *options)
    return tmp_path / "arm"


def test_an_arm_takes_v_and_m_from_its_base(base: Path, tmp_path: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (base / "base").rglob("*")}
    out = arm(base, tmp_path, "--seed", "5", "--fresh")
    assert {p: p.stat().st_mtime_ns for p in (base / "base").rglob("*")} == before
    assert sorted(p.name for p in out.iterdir()) == ["bundle", "controller"]
    assert same(weights(out, "vision"), weights(base / "base", "vision"))
    assert same(weights(out, "memory"), weights(base / "base", "memory"))
    assert not same(weights(out, "controller"), weights(base / "base", "controller"))


def test_an_arm_with_untrained_memory(base: Path, tmp_path: Path) -> None:
    out = arm(base, tmp_path, "--controller.untrained-memory")
    trained, untrained = weights(base / "base", "memory"), weights(out, "memory")
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in untrained.items()}
    assert not any(torch.equal(trained[key], untrained[key]) for key in trained)
    assert same(weights(out, "vision"), weights(base / "base", "vision"))


@pytest.mark.parametrize(
    ("options", "stage", "complaint"),
    [
        (["--base", "nowhere"], "controller", "memory is not done: finish that run first"),
        ([], "vision", "takes its vision stage from its base"),
        (["--vision.steps", "5"], "controller", r"vision.steps: 4 -> 5"),
    ],
)
def test_what_does_not_fit_the_base(
    base: Path, tmp_path: Path, options: list[str], stage: str, complaint: str
) -> None:
    config = base / "wrong.yaml"
    config.write_text(ARM.format(folder=base))
    with pytest.raises(UsageError, match=complaint):
        pretrain(stage, config, "--out", str(tmp_path / "arm"), *options)
    assert not Path("nowhere").exists()


def test_pixels_alone_need_no_world_model(base: Path, tmp_path: Path) -> None:
    text = """
extends: base.yaml
agent: {{controller: {{features: [pixels]}}}}
controller: {{encoder_from_vision: false}}
"""
    out = arm(base, tmp_path, text=text)
    assert sorted(p.name for p in out.iterdir()) == ["bundle", "controller"]
    _, manifest = bundle.load(out / "bundle")
    assert manifest.origin["pretraining_timesteps"] == {"collect": 0, "controller": 144}


def test_a_bundle_is_a_base_too(base: Path, tmp_path: Path) -> None:
    """V and M of an agent that someone has made, without the rollouts that it learnt from."""
    options = ["--base", str(base / "base/bundle")]
    out = arm(base, tmp_path)
    assert sorted(p.name for p in out.iterdir()) == ["bundle", "controller"]
    assert same(weights(out, "vision"), weights(base / "base", "vision"))
    assert same(weights(out, "memory"), weights(base / "base", "memory"))
    # Its seed, levels and settings are the base's: so is the C that comes of them.
    assert same(weights(out, "controller"), weights(base / "base", "controller"))
    theirs = bundle.read_manifest(base / "base/bundle").origin["pretraining_timesteps"]
    ours = bundle.read_manifest(out / "bundle").origin["pretraining_timesteps"]
    assert ours == {**theirs, "controller": 144}
    with pytest.raises(UsageError, match=r"agent.memory: .*'hidden': 17.* but base .* has"):
        arm(base, tmp_path / "other", *options, "--agent.memory.hidden", "17")


def test_the_same_seed_gives_the_same_controller(base: Path, tmp_path: Path) -> None:
    one = arm(base, tmp_path / "one")
    two = arm(base, tmp_path / "two")
    assert same(weights(one, "controller"), weights(two, "controller"))


def test_stopped_and_continued(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM in the middle of a rollout; then the same command ends what was begun."""
    play = Sampler.play

    def stopped(self: Sampler, *arguments: object) -> list:
        os.kill(os.getpid(), signal.SIGTERM)
        return play(self, *arguments)

    monkeypatch.setattr(Sampler, "play", stopped)
    with pytest.raises(Stopped):
        arm(base, tmp_path)
    monkeypatch.undo()
    checkpoint = torch.load(tmp_path / "arm/controller/checkpoint.pt", weights_only=True)
    assert checkpoint["done"] == 48
    assert checkpoint["carried"]["timesteps_per_level"] == {"Airstriker-Genesis-v0/Level1": 48}
    out = arm(base, tmp_path)
    checkpoint = torch.load(out / "controller/checkpoint.pt", weights_only=True)
    assert checkpoint["done"] == 144
    assert threading.active_count() < 10


# ---- sampling ------------------------------------------------------------------------------------

AGENT = tiny_agent()
CPU = torch.device("cpu")


def sampled(length: int, envs: int) -> tuple[Models, Sampler, Rollout]:
    torch.manual_seed(0)
    models = Models.build(AGENT)
    levels = contest_levels.find("pangolin-train")
    sampler = Sampler(models, levels, envs, seed=3, device=CPU)
    rollout = Rollout(length, envs, 16, 5)
    with sampler:
        sampler.play(rollout)
    return models, sampler, rollout


def test_both_groups_fill_their_columns_with_what_the_networks_saw() -> None:
    models, sampler, rollout = sampled(length=12, envs=3)
    assert [group.columns for group in sampler.groups] == [slice(0, 1), slice(1, 3)]
    # M over the whole sequence at once gives the hidden states that C acted on, one by one.
    zeros = torch.zeros(3, 5)
    with torch.no_grad():
        hidden, _ = models.memory(
            rollout.z.transpose(0, 1), rollout.actions.T, State(zeros, zeros.clone())
        )
        log_probs, values = models.controller(
            Features(rollout.z.flatten(0, 1), rollout.h.flatten(0, 1))
        )
    assert rollout.ends.sum() == 0
    torch.testing.assert_close(rollout.h[1:], hidden.transpose(0, 1)[:-1], atol=1e-6, rtol=0)
    torch.testing.assert_close(rollout.values.flatten(), values, atol=1e-6, rtol=0)
    chosen = log_probs.gather(1, rollout.actions.flatten().unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(rollout.log_probs.flatten(), chosen, atol=1e-6, rtol=0)
    assert (rollout.last_values != 0).all()
    played = sampler.timesteps_per_level()
    assert sum(played.values()) == 36
    # One group starts with the first levels, the other one half-way down the list.
    names = [level.name for level in sampler.levels]
    started = {names[0], names[len(names) // 2], names[len(names) // 2 + 1]}
    assert {name for name, count in played.items() if count} == started


def test_levels_played_least_come_first() -> None:
    levels = contest_levels.find("pangolin-train")
    played = {level.name: 1000 for level in levels} | {levels[5].name: 10}
    torch.manual_seed(0)
    models = Models.build(AGENT)
    with Sampler(models, levels, 2, seed=0, device=CPU, timesteps_per_level=played) as sampler:
        for group in sampler.groups:
            assert group.level_numbers[group.info["level"]].tolist() == [5]


# ---- presets -------------------------------------------------------------------------------------


def test_the_arms_of_the_strict_track_get_the_same_number_of_timesteps() -> None:
    """As many as the world model, the rollouts that V and M are trained on included."""

    def total(config: PretrainConfig) -> int:
        collected = collected_timesteps(config) if config.needs_world_model else 0
        return collected + config.controller.timesteps

    world_model = load(PretrainConfig, CONFIGS / "pangolin.yaml")
    for path in (CONFIGS / "pangolin").glob("*.yaml"):
        config = load(PretrainConfig, path)
        if config.controller.teacher is None:
            assert total(config) == total(world_model)
        assert config.out == Path("runs") / path.stem
