"""M adapts to what was played, and C learns in its dream."""

import copy

import numpy as np
import pytest
import torch

from agent.config import (
    AgentConfig,
    ControllerConfig,
    DreamConfig,
    MemoryConfig,
    OnlineConfig,
    VisionConfig,
)
from agent.learner.trainer import Trainer
from agent.learning.imagination import Imagination
from agent.learning.planner import Plan
from agent.learning.ppo import PPO, Rollout, Terms
from agent.models.actor import Models, Player
from agent.models.controller import Features
from agent.models.memory import State
from retro_common.config import to_dict, validate
from retro_common.errors import UsageError

CPU = torch.device("cpu")
PLAN = Plan(rollout=128, progress=0.0, entropy=0.0, anchor=0.0, critic_only=False)


def build(**dream: float) -> Models:
    torch.manual_seed(0)
    settings = {"horizon": 5, "starts": 32, "learning_rate": 1e-2, **dream}
    return Models.build(
        AgentConfig(
            actions=("", "RIGHT", "LEFT"),
            vision=VisionConfig(latent=16, grid=4, glimpse=0, channels=(2, 4)),
            memory=MemoryConfig(hidden=8, mixtures=2, maps=4),
            controller=ControllerConfig(hidden=16),
            online=OnlineConfig(
                learning_rate=3e-3, anneal=False, target_kl=0, dream=DreamConfig(**settings)
            ),
        )
    )


def play(models: Models, length: int = 128, seed: int = 0) -> Rollout:
    """Random frames, in which going right pays; every 20th timestep ends an episode."""
    rng = np.random.default_rng(seed)
    player, rollout = Player(models, 1, seed=seed), Rollout.of(models.config, length, 1)
    for t in range(length):
        frames = rng.integers(256, size=(1, 64, 64, 3), dtype=np.uint8)
        features = player.observe(frames)
        decision = player.act(features)
        rewards = (decision.actions == 1).float().numpy()
        ended = np.array([t % 20 == 19])
        rollout.store(t, features, frames, decision, rewards, ended)
        player.remember(features, decision.actions, ended)
    return rollout


def state_of(part: torch.nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(part.state_dict())


def test_the_heads_of_a_copy_adapt_and_nothing_else_does() -> None:
    models = build()
    before = state_of(models.memory)
    imagination = Imagination(models.memory, models.config.online, 0, CPU)
    rollout = play(models)
    first = imagination.adapt(rollout, Terms())
    for _ in range(60):
        last = imagination.adapt(rollout, Terms())
    assert last["memory_reward"] < 0.5 * first["memory_reward"]
    assert last["memory_nll"] < first["memory_nll"] and last["memory_end"] < first["memory_end"]
    for name, tensor in imagination.memory.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("lstm.")
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in state_of(models.memory).items()
    )


def test_what_follows_the_last_timestep_and_an_end_is_no_lesson() -> None:
    models = build()
    real = play(models, length=2)
    real.ends[0] = 1  # so that neither of the two has a timestep after it that is known
    imagination = Imagination(models.memory, models.config.online, 0, CPU)
    assert imagination.adapt(real, Terms(minibatches=1))["memory_nll"] == 0
    real.ends[0] = 0
    assert imagination.adapt(real, Terms(minibatches=1))["memory_nll"] != 0


def test_without_a_learning_rate_m_is_left_alone() -> None:
    models = build(learning_rate=0)
    imagination = Imagination(models.memory, models.config.online, 0, CPU)
    assert imagination.adapt(play(models), Terms()) == {}
    for name, tensor in imagination.memory.state_dict().items():
        assert torch.equal(tensor, models.memory.state_dict()[name])


def test_a_dream_goes_on_from_real_states_as_m_expects() -> None:
    models = build()
    real = play(models)
    imagination = Imagination(models.memory, models.config.online, 0, CPU)
    dreamt = imagination.rollout(models.controller, real)
    assert dreamt.actions.shape == (5, 32)
    starts = [(real.z[:, 0] == z).all(dim=1).nonzero().item() for z in dreamt.z[0]]
    assert torch.equal(dreamt.h[0], real.h[starts, 0])
    state = State(dreamt.h[0], real.c[starts, 0])
    for t in range(5):
        log_probs, values = models.controller(Features(dreamt.z[t], dreamt.h[t]))
        chosen = log_probs.gather(1, dreamt.actions[t].unsqueeze(1)).squeeze(1)
        assert torch.allclose(dreamt.log_probs[t], chosen) and torch.allclose(
            dreamt.values[t], values
        )
        state = models.memory.step(dreamt.z[t], dreamt.actions[t], state)
        expected = models.memory.predict(state.h, dreamt.z[t])
        assert torch.allclose(dreamt.rewards[t], expected.reward)
        assert torch.allclose(dreamt.ends[t], expected.end_logit.sigmoid())
        if t < 4:
            assert torch.allclose(dreamt.h[t + 1], state.h)
            assert not torch.equal(dreamt.z[t + 1], dreamt.z[t])


def test_c_learns_in_the_dream_alone_what_pays() -> None:
    models = build()
    real = play(models)
    imagination = Imagination(models.memory, models.config.online, 0, CPU)
    for _ in range(60):
        imagination.adapt(real, Terms())
    ppo = PPO(models.controller, models.config.online, 0, CPU)

    def goes_right() -> float:
        with torch.no_grad():
            log_probs, _ = models.controller(Features(real.z[:, 0], real.h[:, 0]))
        return log_probs[:, 1].exp().mean().item()

    before = goes_right()
    for _ in range(15):
        ppo.update(imagination.rollout(models.controller, real), 0.0, Terms())
    assert before < 0.5 and goes_right() > 0.8


def test_an_update_adapts_m_and_trains_c_in_the_dream() -> None:
    models = build()
    trainer = Trainer(models, copy.deepcopy(models.controller), 0, CPU)
    real = play(models)
    before = state_of(models.controller)
    critic_only = Plan(rollout=128, progress=0, entropy=0, anchor=0, critic_only=True)
    metrics = trainer.update(real, critic_only)
    assert "memory_nll" in metrics and not any(name.startswith("dream_") for name in metrics)
    after = state_of(models.controller)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("value.") for name in changed)
    metrics = trainer.update(real, PLAN)
    assert metrics["dream_epochs"] == 1 and np.isfinite(metrics["dream_policy"])


def test_what_m_learnt_of_a_bad_rollout_is_undone() -> None:
    models = build()
    trainer = Trainer(models, copy.deepcopy(models.controller), 0, CPU)
    real = play(models)
    trainer.update(real, PLAN)
    good = state_of(trainer.imagination.memory), state_of(models.controller)
    real.z[-1] = 1e38  # too much for the likelihood, after which the controller has learnt already
    with pytest.raises(FloatingPointError):
        trainer.update(real, PLAN)
    for part, state in zip((trainer.imagination.memory, models.controller), good, strict=True):
        for name, tensor in part.state_dict().items():
            assert torch.equal(tensor, state[name])
    assert trainer.update(play(models, seed=1), PLAN)["dream_epochs"] == 1


@pytest.mark.parametrize("features", [["z"], ["z", "h", "pixels"]])
def test_a_dream_needs_m_and_no_pixels(features: list[str]) -> None:
    values = to_dict(AgentConfig())
    values["controller"]["features"] = features
    assert validate(AgentConfig, values, "test")
    values["online"]["dream"]["horizon"] = 15
    with pytest.raises(UsageError, match=r"online\.dream needs a C that sees z and h"):
        validate(AgentConfig, values, "test")
