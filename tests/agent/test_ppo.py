"""PPO: advantages against a slow loop, and learning where the answer is known."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agent.config import (
    AgentConfig,
    ControllerConfig,
    MemoryConfig,
    OnlineConfig,
    PPOConfig,
    VisionConfig,
)
from agent.learning.ppo import PPO, Rollout, UpdateOptions, gae
from agent.models.actor import Actor, Decision, Models
from agent.models.controller import Controller, Features, Proprioception

CONFIG = AgentConfig(
    actions=("", "RIGHT", "LEFT"),
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(2, 4), decoder_channels=(2, 4)
    ),
    memory=MemoryConfig(hidden=5, mixtures=2),
    controller=ControllerConfig(hidden=16),
)


def test_advantages_are_those_of_the_definition() -> None:
    torch.manual_seed(0)
    length, envs, gamma, lam = 30, 3, 0.97, 0.9
    rewards, values = torch.randn(length, envs), torch.randn(length, envs)
    ends = (torch.rand(length, envs) < 0.15).float()
    last = torch.randn(envs)
    found = gae(rewards, values, ends, last, gamma, lam)
    for n in range(envs):
        following = [*values[1:, n].tolist(), last[n].item()]
        for t in range(length):
            expected, weight = 0.0, 1.0
            for k in range(t, length):  # sum of (gamma * lambda)^l * delta until the episode ends
                alive = 1 - ends[k, n].item()
                delta = rewards[k, n].item() + gamma * following[k] * alive - values[k, n].item()
                expected += weight * delta
                weight *= gamma * lam
                if not alive:
                    break
            assert found[t, n].item() == pytest.approx(expected, abs=1e-4)


CPU = torch.device("cpu")


def contextual_bandit(controller: Controller, rollout: Rollout, seed: int) -> float:
    """One rollout in which the sign of z[0] says which action is right; returns its reward."""
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for t in range(len(rollout.rewards)):
        z = torch.randn(rollout.z.shape[1:], generator=generator)
        features = Features(z, torch.zeros(rollout.h.shape[1:]))
        with torch.no_grad():
            log_probs, values = controller(features)
        actions = torch.multinomial(log_probs.exp(), 1, generator=generator)
        decision = Decision(actions.squeeze(1), log_probs.gather(1, actions).squeeze(1), values)
        rewards = (decision.actions == torch.where(z[:, 0] > 0, 1, 2)).numpy().astype(np.float32)
        total += rewards.mean() / len(rollout.rewards)
        ended = np.ones(len(rewards), bool)
        rollout.store(t, features, np.zeros((len(rewards), 64, 64, 3)), decision, rewards, ended)
    return float(total)


def test_it_learns_which_action_is_right() -> None:
    torch.manual_seed(0)
    controller = Controller(CONFIG)
    config = PPOConfig(learning_rate=3e-3, entropy=0.0)
    ppo = PPO(controller, config, seed=0, device=torch.device("cpu"))
    rollout = Rollout(32, 8, latent=16, hidden=5)
    rewards = []
    for update in range(15):
        rewards.append(contextual_bandit(controller, rollout, seed=update))
        metrics = ppo.update(rollout, progress=0.0)
    assert rewards[0] < 0.5 and rewards[-1] > 0.9
    assert metrics["entropy"] < 0.7


def test_a_broken_rollout_does_not_break_the_weights() -> None:
    torch.manual_seed(0)
    controller = Controller(CONFIG)
    ppo = PPO(controller, PPOConfig(), seed=0, device=torch.device("cpu"))
    rollout = Rollout(8, 2, latent=16, hidden=5)
    contextual_bandit(controller, rollout, seed=0)
    rollout.rewards[3, 1] = float("nan")
    before = {name: value.clone() for name, value in controller.state_dict().items()}
    with pytest.raises(FloatingPointError):
        ppo.update(rollout, progress=0.0)
    for name, value in controller.state_dict().items():
        assert torch.equal(value, before[name])


def test_own_encoder_starts_as_vs_and_gets_gradients() -> None:
    config = AgentConfig(
        actions=CONFIG.actions,
        vision=CONFIG.vision,
        memory=CONFIG.memory,
        controller=ControllerConfig(features=("z", "h", "pixels"), hidden=16),
    )
    torch.manual_seed(0)
    models = Models.build(config)
    models.controller.start_from(models.vision.encoder)
    weight = models.controller.encoder.layers[0].weight
    seen = models.vision.encoder.trunk.layers[0].weight
    assert torch.equal(weight, seen) and weight is not seen

    player = Actor(models, envs=2, seed=0)
    rollout = Rollout(8, 2, latent=16, hidden=5, keep_frames=True)
    rng = np.random.default_rng(0)
    for t in range(8):
        frames = rng.integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
        features = player.observe(frames)
        decision = player.act(features)
        ended = np.zeros(2, bool)
        rollout.store(t, features, frames, decision, rng.normal(size=2), ended)
        player.remember(features, decision.actions, np.ones(2), ended)
    ppo = PPO(models.controller, PPOConfig(), seed=0, device=torch.device("cpu"))
    before = weight.clone()
    metrics = ppo.update(rollout, progress=0.0)
    assert not torch.equal(weight, before), "the policy gradient reaches C's encoder"
    assert torch.equal(seen, models.vision.encoder.trunk.layers[0].weight), "V stays as it was"
    # Before the first gradient step the stored features give the probabilities that were played.
    assert abs(metrics["kl"]) < 0.05


def test_ended_episodes_leave_no_memory() -> None:
    torch.manual_seed(0)
    player = Actor(Models.build(CONFIG), envs=2, seed=0)
    frames = np.full((2, 64, 64, 3), 128, np.uint8)
    features = player.observe(frames)
    player.remember(features, torch.tensor([0, 1]), np.ones(2), np.array([False, True]))
    assert player.state.h[0].abs().sum() > 0
    assert player.state.h[1].abs().sum() == 0 and player.state.c[1].abs().sum() == 0


def filled_rollout(controller: Controller) -> Rollout:
    rollout = Rollout(32, 4, latent=16, hidden=5)
    contextual_bandit(controller, rollout, seed=0)
    return rollout


def test_the_critic_can_be_trained_alone() -> None:
    torch.manual_seed(0)
    controller = Controller(CONFIG)
    ppo = PPO(controller, PPOConfig(), seed=0, device=torch.device("cpu"))
    before = {name: value.clone() for name, value in controller.state_dict().items()}
    ppo.update(filled_rollout(controller), 0.0, UpdateOptions(critic_only=True))
    for name, value in controller.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("value."), name


def test_an_update_ends_early_when_the_policy_has_moved_far_enough() -> None:
    torch.manual_seed(0)
    controller = Controller(CONFIG)
    rollout = filled_rollout(controller)
    moved = {}
    for target in (0.0, 0.01):
        tuned = copy.deepcopy(controller)
        config = OnlineConfig(epochs=20, learning_rate=3e-3, target_kl=target)
        moved[target] = PPO(tuned, config, 0, torch.device("cpu")).update(rollout, 0.0)
    assert moved[0.0]["epochs"] == 20 and moved[0.01]["epochs"] < 20


def test_an_anchor_holds_the_policy() -> None:
    torch.manual_seed(0)
    anchor = Controller(CONFIG)
    rollout = filled_rollout(anchor)
    distance = {}
    for weight in (0.0, 1.0):
        tuned = copy.deepcopy(anchor)
        config = PPOConfig(epochs=30, learning_rate=3e-3, clip=10.0)
        ppo = PPO(tuned, config, 0, torch.device("cpu"))
        ppo.update(rollout, 0.0, UpdateOptions(anchor=anchor, anchor_weight=weight))
        features = rollout.features(torch.arange(32 * 4), torch.device("cpu"))
        with torch.no_grad():
            distance[weight] = F.kl_div(
                tuned(features)[0], anchor(features)[0], reduction="batchmean", log_target=True
            )
    assert distance[1.0] < 0.3 * distance[0.0]


def test_proprioception_is_the_last_rewards_and_actions_and_the_new_ground() -> None:
    own = Proprioception(envs=2, actions=3)
    assert own.features().shape == (2, Proprioception.size(3))
    nobody = np.array([False, False])
    own.remember(torch.tensor([1, 2]), np.array([10.0, -20.0]), nobody)
    own.remember(torch.tensor([0, 2]), np.array([30.0, 1000.0]), nobody)
    sizes = [Proprioception.PAST, Proprioception.PAST * 3, 2]
    rewards, actions, ground = own.features().split(sizes, dim=1)
    torch.testing.assert_close(rewards[:, :3], torch.tensor([[3.0, 1, 0], [5, -2, 0]]))
    actions = actions.view(2, Proprioception.PAST, 3)
    assert actions[0, 0].tolist() == [1, 0, 0] and actions[0, 1].tolist() == [0, 1, 0]
    torch.testing.assert_close(ground, torch.tensor([[0.0, 0], [0, 0]]))
    own.remember(torch.tensor([0, 0]), np.array([-100.0, -3000.0]), nobody)
    own.remember(torch.tensor([0, 0]), np.array([60.0, 0.0]), nobody)
    torch.testing.assert_close(own.features()[:, -2:], torch.tensor([[0.02, 0.2], [0.02, 4.0]]))
    own.remember(torch.tensor([0, 0]), np.zeros(2), np.array([True, False]))
    assert own.features()[0].abs().sum() == 0 and own.features()[1].abs().sum() > 0


def test_labels_hold_the_policy_as_an_anchor_does() -> None:
    torch.manual_seed(0)
    controller = Controller(CONFIG)
    features = (rollout := filled_rollout(controller)).features(torch.arange(128), CPU)
    teacher = Controller(CONFIG)
    with torch.no_grad():
        rollout.labels = (5 * teacher(features)[0]).log_softmax(1).view(32, 4, -1)
    rollout.rewards.zero_()
    ppo = PPO(controller, PPOConfig(epochs=60, learning_rate=3e-3, clip=10.0), 0, CPU)
    before = ppo.update(rollout, 1.0, UpdateOptions(anchor_weight=100.0))["anchor"]
    ppo.update(rollout, 0.0, UpdateOptions(anchor_weight=100.0))
    after = ppo.update(rollout, 1.0, UpdateOptions(anchor_weight=100.0))["anchor"]
    assert after < 0.3 * before


def test_a_sharpened_policy_prefers_what_it_preferred() -> None:
    torch.manual_seed(0)
    controller = Controller(CONFIG)
    features = filled_rollout(controller).features(torch.arange(128), CPU)
    before, values = controller(features)
    controller.sharpen(0.5)
    after, same = controller(features)
    torch.testing.assert_close(after, (2 * before).log_softmax(1))
    torch.testing.assert_close(same, values)


def moved_by_noise(least_spread: float) -> float:
    """Mean squared change of the policy's log-probabilities by a rollout of noise that follows
    rollouts with real rewards."""
    torch.manual_seed(0)
    controller = Controller(CONFIG)
    config = OnlineConfig(least_spread=least_spread, entropy=0.0, learning_rate=1e-3)
    ppo = PPO(controller, config, seed=0, device=torch.device("cpu"))
    rollout = Rollout(32, 8, latent=16, hidden=5)
    for update in range(3):
        contextual_bandit(controller, rollout, seed=update)
        ppo.update(rollout, progress=0.0)
    contextual_bandit(controller, rollout, seed=3)
    rollout.rewards.copy_(rollout.values + 1e-4 * torch.randn(32, 8))
    ppo.optimizer = torch.optim.SGD(controller.policy.parameters(), lr=0.1)
    ppo.optimizer.param_groups[0]["initial_lr"] = 0.1
    features = rollout.features(torch.arange(256), torch.device("cpu"))
    before = controller(features)[0].detach()
    ppo.update(rollout, progress=0.0)
    return (controller(features)[0].detach() - before).square().mean().item()


def test_noise_hardly_moves_the_policy() -> None:
    amplified, limited = moved_by_noise(0.0), moved_by_noise(1.0)
    assert amplified > 1e-6 and limited < 1e-3 * amplified
