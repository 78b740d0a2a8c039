"""Self-imitation: what went better than expected is learnt again, whoever chose it."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agent.config import (
    AgentConfig,
    ControllerConfig,
    ImitationConfig,
    MemoryConfig,
    OnlineConfig,
    VisionConfig,
)
from agent.learner.trainer import Trainer
from agent.learning.imitation import SelfImitation
from agent.learning.planner import Plan
from agent.learning.ppo import PPO, Rollout, Terms
from agent.models.actor import Decision, Models
from agent.models.controller import Features

CPU = torch.device("cpu")
PLAN = Plan(rollout=64, progress=0.0, entropy=0.0, anchor=0.0, critic_only=False)


def configure(features: tuple[str, ...] = ("z", "h"), **imitation: float) -> AgentConfig:
    settings = {"steps": 20, "batch": 64, "capacity": 256, **imitation}
    return AgentConfig(
        actions=("", "RIGHT", "LEFT"),
        vision=VisionConfig(latent=16, grid=4, glimpse=0, channels=(2, 4)),
        memory=MemoryConfig(hidden=8, mixtures=2),
        controller=ControllerConfig(features=features, hidden=16),
        online=OnlineConfig(
            learning_rate=1e-2,
            anneal=False,
            target_kl=0,
            gamma=0.9,
            imitation=ImitationConfig(**settings),
        ),
    )


def build(features: tuple[str, ...] = ("z", "h"), **imitation: float) -> Models:
    torch.manual_seed(0)
    return Models.build(configure(features, **imitation))


def play(models: Models, length: int = 64, seed: int = 0, replayed: bool = True) -> Rollout:
    """One-timestep episodes with random actions, of which number 1 pays."""
    rng = np.random.default_rng(seed)
    rollout = Rollout.of(models.config, length, 1)
    for t in range(length):
        frames = rng.integers(256, size=(1, 64, 64, 3), dtype=np.uint8)
        z, h = torch.from_numpy(rng.normal(size=(1, 24))).float().split([16, 8], dim=1)
        action = torch.tensor([int(rng.integers(3))])
        decision = Decision(action, torch.tensor([-1.1]), torch.tensor([0.0]))
        rewards = (action == 1).float().numpy()
        rollout.store(t, Features(z, h), frames, decision, rewards, np.array([True]), replayed)
    return rollout


def chance(models: Models, rollout: Rollout) -> float:
    """Mean probability of action 1."""
    with torch.no_grad():
        log_probs, _ = models.controller(rollout.features(torch.arange(64), CPU))
    return log_probs.exp()[:, 1].mean().item()


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), max_size=60),
    st.integers(1, 20),
    st.integers(2, 40),
)
def test_returns_are_those_of_the_definition(
    played: list[tuple[int, bool]], chunk: int, capacity: int
) -> None:
    config = configure(capacity=capacity)
    imitation = SelfImitation(config, 0)
    for first in range(0, len(played), chunk):
        part = played[first : first + chunk]
        rollout = Rollout.of(config, len(part), 1)
        rollout.rewards[:, 0] = torch.tensor([float(reward) for reward, _ in part])
        rollout.ends[:, 0] = torch.tensor([float(ended) for _, ended in part])
        imitation.take(rollout, follows=True)
    for t in range(max(0, len(played) - capacity), len(played)):
        rest = played[t:]
        end = next((k for k, (_, ended) in enumerate(rest) if ended), None)
        found = imitation.returns[t % capacity].item()
        if end is None:
            assert math.isnan(found), "the episode has not ended"
        else:
            expected = sum(0.9**k * reward for k, (reward, _) in enumerate(rest[: end + 1]))
            assert found == pytest.approx(expected, abs=1e-4)


def test_an_episode_with_a_gap_is_not_learnt_from() -> None:
    models = build()
    imitation = SelfImitation(models.config, 0)
    rollout = play(models, 4)
    rollout.ends[:, 0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    imitation.take(rollout, follows=True)
    rollout.ends[:, 0] = torch.tensor([0.0, 1.0, 1.0, 0.0])
    imitation.take(rollout, follows=False)
    known = (~imitation.returns[:8].isnan()).tolist()
    assert known == [True, False, False, False, True, True, True, False]


@pytest.mark.parametrize("features", [("z", "h"), ("pixels",)])
def test_what_paid_becomes_likelier_though_the_policy_did_not_choose_it(features) -> None:
    models = build(features, steps=60)
    rollout = play(models)
    trainer = Trainer(models, copy.deepcopy(models.controller), 0, CPU)
    trainer.imitation.take(rollout, follows=True)
    before = chance(models, rollout)
    metrics = trainer.imitation.improve(trainer.ppo, Terms())
    assert chance(models, rollout) > before + 0.2
    assert metrics["imitation_gain"] > 0 and 0 < metrics["imitation_share"] < 0.6


def test_what_paid_less_than_expected_teaches_nothing() -> None:
    models = build()
    rollout = play(models)
    with torch.no_grad():
        models.controller.value[-1].bias.fill_(100.0)
    before = copy.deepcopy(models.controller.state_dict())
    imitation = SelfImitation(models.config, 0)
    ppo = PPO(models.controller, models.config.online, 0, CPU)
    assert imitation.improve(ppo, Terms()) == {}, "nothing is known yet"
    imitation.take(rollout, follows=True)
    assert imitation.improve(ppo, Terms())["imitation_share"] == 0
    for name, tensor in models.controller.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_ppo_leaves_replayed_timesteps_out() -> None:
    """An update is the same whatever an episode's replayed beginning looked like."""
    results = []
    for seed in (1, 2):
        models = build(steps=0)
        rollout, other = play(models, 96, 0, replayed=False), play(models, 32, seed)
        rollout.rewards[40:72] = other.rewards
        rollout.z[40:72], rollout.actions[40:72] = other.z, other.actions
        rollout.replayed[40:72] = 1
        PPO(models.controller, models.config.online, 0, CPU).update(rollout, 0.0)
        results.append(models.controller.state_dict())
    for name, tensor in results[0].items():
        assert torch.equal(tensor, results[1][name]), name


def test_a_rollout_that_is_not_finite_is_not_kept() -> None:
    models = build()
    trainer = Trainer(models, copy.deepcopy(models.controller), 0, CPU)
    for spoilt in ("rewards", "z"):
        rollout = play(models, replayed=False)
        getattr(rollout, spoilt)[5] = torch.nan
        with pytest.raises(FloatingPointError, match="not finite"):
            trainer.update(rollout, PLAN)
    metrics = trainer.update(play(models, replayed=False), PLAN)
    assert metrics["imitation_share"] > 0


def test_the_critics_warm_up_comes_first() -> None:
    models = build()
    trainer = Trainer(models, copy.deepcopy(models.controller), 0, CPU)
    warm_up = Plan(rollout=64, progress=0.0, entropy=0.0, anchor=0.0, critic_only=True)
    assert "imitation_gain" not in trainer.update(play(models, replayed=False), warm_up)
    assert "imitation_gain" in trainer.update(play(models, replayed=False), PLAN)
