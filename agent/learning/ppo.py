"""Proximal policy optimisation (arXiv 1707.06347), for pretraining and for the contest alike."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from agent.config import AgentConfig, OnlineConfig, PPOConfig
from agent.models.actor import Decision
from agent.models.controller import Controller, Features, Proprioception
from agent.models.scene import Scene
from agent.models.vision import to_input

VALUE_WEIGHT = 0.5
"""weight of the value loss"""
MAX_GRAD_NORM = 0.5
"""gradients are scaled down to this norm"""


def gae(
    rewards: torch.Tensor,
    values: torch.Tensor,
    ends: torch.Tensor,
    last_values: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Generalised advantage estimation (arXiv 1506.02438, equation 16).

    Args:
        rewards, values, ends: (T, N); `ends` is 1 where the episode ended with the timestep.
        last_values: (N,), values of the frames after the last timestep.

    Returns:
        Advantages (T, N).
    """
    advantages = torch.zeros_like(rewards)
    following_advantage, following_value = torch.zeros_like(last_values), last_values
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - ends[t]
        delta = rewards[t] + gamma * following_value * goes_on - values[t]
        following_advantage = delta + gamma * gae_lambda * goes_on * following_advantage
        advantages[t], following_value = following_advantage, values[t]
    return advantages


class Rollout:
    """Storage for T consecutive timesteps of N environments, on the CPU.

    Frames are kept, as bytes, only for a C with an encoder of its own.
    """

    def __init__(
        self,
        length: int,
        envs: int,
        latent: int,
        hidden: int,
        *,
        proprioception: int = 0,
        scene: int = 0,
        keep_frames: bool = False,
    ):
        """
        Args:
            length, envs: T, N.
            latent, hidden, proprioception, scene: numbers of each kind of feature.
        """
        self.z = torch.zeros(length, envs, latent)
        self.h = torch.zeros(length, envs, hidden)
        self.proprioception = torch.zeros(length, envs, proprioception) if proprioception else None
        self.scene = torch.zeros(length, envs, scene) if scene else None
        self.frames = np.zeros((length, envs, 64, 64, 3), np.uint8) if keep_frames else None
        self.actions = torch.zeros(length, envs, dtype=torch.int64)
        self.log_probs = torch.zeros(length, envs)
        self.values = torch.zeros(length, envs)
        self.labels: torch.Tensor | None = None
        """a teacher's log-probabilities (T, N, A), see `UpdateOptions.anchor_weight`; or None"""
        self.rewards = torch.zeros(length, envs)
        self.ends = torch.zeros(length, envs)
        self.last_values = torch.zeros(envs)

    @classmethod
    def of(cls, config: AgentConfig, length: int, envs: int) -> Rollout:
        """A rollout with the fields that an agent of this configuration learns from."""
        wanted = config.controller.features
        own = Proprioception.size(len(config.actions)) if "proprioception" in wanted else 0
        return cls(
            length,
            envs,
            config.vision.latent,
            config.memory.hidden,
            proprioception=own,
            scene=Scene.size if "scene" in wanted else 0,
            keep_frames="pixels" in wanted,
        )

    def part(self, columns: slice) -> Rollout:
        """The columns of some environments; they share the memory."""
        part = copy.copy(self)
        for name, value in vars(self).items():
            if value is not None:
                setattr(part, name, value[columns] if name == "last_values" else value[:, columns])
        return part

    def store(
        self,
        t: int,
        features: Features,
        frames: np.ndarray,
        decision: Decision,
        rewards: np.ndarray,
        ended: np.ndarray,
    ) -> None:
        """Store timestep t: features, decision, shaped rewards and ends."""
        self.z[t], self.h[t] = features.z, features.h
        if self.proprioception is not None:
            self.proprioception[t] = features.proprioception
        if self.scene is not None:
            self.scene[t] = features.scene
        if self.frames is not None:
            self.frames[t] = frames
        self.actions[t], self.log_probs[t], self.values[t] = decision
        self.rewards[t] = torch.from_numpy(rewards)
        self.ends[t] = torch.from_numpy(ended)

    def features(self, rows: torch.Tensor, device: torch.device) -> Features:
        """Features of the timesteps with these flat indices (t * N + n)."""
        frames = None
        if self.frames is not None:
            frames = to_input(self.frames.reshape(-1, 64, 64, 3)[rows.numpy()], device)
        z, h = self.z.flatten(0, 1)[rows], self.h.flatten(0, 1)[rows]
        own, scene = (
            None if field is None else field.flatten(0, 1)[rows].to(device)
            for field in (self.proprioception, self.scene)
        )
        return Features(z.to(device), h.to(device), own, scene, frames)


@dataclass
class UpdateOptions:
    """Settings of one update beyond the configuration; the defaults change nothing."""

    anchor: Controller | None = None
    """a policy to stay near: the loss gets `anchor_weight` * KL(anchor || policy), as in
    kickstarting (arXiv 1803.03835). A rollout's `labels` take its place"""
    anchor_weight: float = 0.0
    critic_only: bool = False
    """train only the value head"""
    minibatches: int | None = None
    """gradient steps per pass; None takes the configuration's"""
    after_step: Callable[[], None] = lambda: None
    """called after every gradient step, as a heartbeat"""


@dataclass
class PPO:
    """The optimiser of a controller: `update` it on one rollout after another.

    An `OnlineConfig` adds `least_spread` and `target_kl`, which pretraining does without.
    """

    controller: Controller
    config: PPOConfig
    seed: int
    device: torch.device

    def __post_init__(self) -> None:
        encoder, heads = [], []
        for name, parameter in self.controller.named_parameters():
            (encoder if name.startswith("encoder.") else heads).append(parameter)
        groups = [{"params": heads, "initial_lr": self.config.learning_rate}]
        if encoder:
            groups.append({"params": encoder, "initial_lr": self.config.encoder_learning_rate})
        self.optimizer = torch.optim.Adam(groups, lr=self.config.learning_rate, eps=1e-5)
        self.generator = torch.Generator().manual_seed(self.seed)
        online = self.config if isinstance(self.config, OnlineConfig) else None
        self.least_spread = online.least_spread if online else 0.0
        self.target_kl = online.target_kl if online else 0.0
        self.mean_spread, self.updates = 0.0, 0

    def update(
        self, rollout: Rollout, progress: float, options: UpdateOptions | None = None
    ) -> dict[str, float]:
        """Improve the controller on a rollout.

        Args:
            progress: used share of the budget, 0..1; the learning rate falls with it.
            options: settings of this update.

        Returns:
            Means over the gradient steps: `policy`, `value`, `entropy`, `kl` (to the policy that
            played), `clipped` (share of clipped ratios), `anchor` (KL of the anchor to the policy,
            where there is one); and `explained_variance` of the values and the number of `epochs`.

        Raises:
            FloatingPointError: the rollout or a gradient is not finite; weights are as before that
                gradient step.
        """
        config, options = self.config, options or UpdateOptions()
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * (1 - progress)
        advantages = gae(
            rollout.rewards,
            rollout.values,
            rollout.ends,
            rollout.last_values,
            config.gamma,
            config.gae_lambda,
        )
        if not torch.isfinite(advantages).all():
            raise FloatingPointError("the rollout holds rewards or values that are not finite")
        returns = advantages + rollout.values
        flat = [x.flatten() for x in (rollout.actions, rollout.log_probs, advantages, returns)]
        count = rollout.actions.numel()
        if count > 1:
            self.updates += 1
            self.mean_spread += (advantages.std().item() - self.mean_spread) / self.updates
        minibatches = options.minibatches or config.minibatches
        totals: dict[str, list[float]] = {}
        epochs = 0
        while epochs < config.epochs:
            order = torch.randperm(count, generator=self.generator)
            for batch in order.chunk(minibatches):
                features = rollout.features(batch, self.device)
                anchor = self._anchor(rollout, batch, features, options)
                targets = (x[batch].to(self.device) for x in flat)
                for name, value in self._gradient_step(options, features, anchor, *targets).items():
                    totals.setdefault(name, []).append(value)
                options.after_step()
            epochs += 1
            if self.target_kl and np.mean(totals["kl"][-minibatches:]) > self.target_kl:
                break
        means = {name: float(np.mean(values)) for name, values in totals.items()}
        variance = returns.var().item()
        residual = (returns - rollout.values).var().item()
        means["explained_variance"] = 1 - residual / variance if variance > 0 else 0.0
        means["epochs"] = epochs
        return means

    @torch.no_grad()
    def _anchor(
        self, rollout: Rollout, batch: torch.Tensor, features: Features, options: UpdateOptions
    ) -> torch.Tensor | None:
        """Log-probabilities (B, A) that the policy is to stay near; None without such."""
        if options.anchor_weight <= 0:
            return None
        if rollout.labels is not None:
            return rollout.labels.flatten(0, 1)[batch].to(self.device)
        return None if options.anchor is None else options.anchor(features)[0]

    def _gradient_step(
        self,
        options: UpdateOptions,
        features: Features,
        anchor_log_probs: torch.Tensor | None,
        actions: torch.Tensor,
        old_log_probs: torch.Tensor,
        advantages: torch.Tensor,
        returns: torch.Tensor,
    ) -> dict[str, float]:
        """One step on one minibatch; every tensor is (B,)."""
        config = self.config
        all_log_probs, values = self.controller(features)
        log_probs = all_log_probs.gather(1, actions.unsqueeze(1)).squeeze(1)
        log_ratio = log_probs - old_log_probs
        ratio = log_ratio.exp()
        spread = advantages.std().clamp_min(self.least_spread * self.mean_spread)
        advantages = (advantages - advantages.mean()) / (spread + 1e-8)
        clipped_ratio = ratio.clamp(1 - config.clip, 1 + config.clip)
        policy_loss = -torch.minimum(advantages * ratio, advantages * clipped_ratio).mean()
        value_loss = 0.5 * F.mse_loss(values, returns)
        entropy = -(all_log_probs.exp() * all_log_probs).sum(dim=1).mean()
        loss = policy_loss + VALUE_WEIGHT * value_loss - config.entropy * entropy
        anchor = None
        if anchor_log_probs is not None:
            anchor = F.kl_div(
                all_log_probs, anchor_log_probs, reduction="batchmean", log_target=True
            )
            loss = loss + options.anchor_weight * anchor

        self._descend(loss, options.critic_only)
        with torch.no_grad():
            scalars = {
                "policy": policy_loss.item(),
                "value": value_loss.item(),
                "entropy": entropy.item(),
                "kl": ((ratio - 1) - log_ratio).mean().item(),
                "clipped": ((ratio - 1).abs() > config.clip).float().mean().item(),
            }
        if anchor is not None:
            scalars["anchor"] = anchor.item()
        return scalars

    def _descend(self, loss: torch.Tensor, critic_only: bool) -> None:
        """One optimiser step; raises FloatingPointError, weights unchanged, if it is not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if critic_only:
            for name, parameter in self.controller.named_parameters():
                if not name.startswith("value."):
                    parameter.grad = None  # the optimiser leaves it as it is
        norm = torch.nn.utils.clip_grad_norm_(self.controller.parameters(), MAX_GRAD_NORM)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"gradient norm is {norm.item()} (loss {loss.item()})")
        self.optimizer.step()
