"""On-policy distillation: C learns the labels of states that it came to itself, recent and old.

A state costs a frame's encoding, which is far slower than a gradient step on it. So each is used
several times, and stays useful when the policy has moved on: a label belongs to the state (DAgger,
arXiv 1011.0686).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from agent.config import PPOConfig
from agent.learning.ppo import MAX_GRAD_NORM, VALUE_WEIGHT, Rollout, gae
from agent.models.controller import Controller, Features
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import to_input

SHARE = 0.25
"""share of the controller's timesteps in which it only imitates; in the rest PPO goes on, and the
pull towards the teacher falls to 0"""
TEMPERATURE = 0.6
"""what the policy's logits are divided by at the end. Where C sees too little to tell which of the
teacher's actions is due, KL(teacher || C) spreads it over all of them, and what it does is noise:
docs/experiments.md"""
REUSE = 4
"""gradient steps that use a timestep, on average"""
VALUES_EVERY = 3
"""every such gradient step trains the value head, too"""
BATCH = 512
"""timesteps in a gradient step"""
RATE = 1e-3
"""Adam's step size at the start; it falls linearly to a twentieth"""
CAPACITY = 1_000_000
"""timesteps that are kept, if they fit into `MAX_BYTES`"""
MAX_BYTES = 3 << 30
"""bytes that they may take; a timestep of z and h takes 1.7 kB, one of a frame 12 kB"""


class Imitation:
    """Minimises KL(teacher || C) on the labels of the last timesteps, and the values' error.

    What is kept is no part of a checkpoint: a run that goes on begins with an empty store.
    """

    def __init__(self, controller: Controller, config: PPOConfig, seed: int):
        """
        Args:
            config: discount and lambda of the returns that the value head learns.
        """
        self.controller, self.config = controller, config
        self.device = next(controller.parameters()).device
        self.bfloat16 = computes_in_bfloat16("auto", self.device)
        self.optimizer = torch.optim.Adam(controller.parameters(), lr=RATE, eps=1e-5)
        self.generator = torch.Generator().manual_seed(seed)
        self.kept: dict[str, torch.Tensor] = {}
        self.added, self.capacity = 0, 0

    def _add(self, rollout: Rollout) -> int:
        """Keep a rollout's timesteps, over the oldest ones; returns how many they are."""
        advantages = gae(
            rollout.rewards,
            rollout.values,
            rollout.ends,
            rollout.last_values,
            self.config.gamma,
            self.config.gae_lambda,
        )
        fields = {
            "z": rollout.z.half(),
            "h": rollout.h.half(),
            "labels": rollout.labels,
            "returns": advantages + rollout.values,
        }
        if rollout.proprioception is not None:
            fields["proprioception"] = rollout.proprioception
        if rollout.scene is not None:
            fields["scene"] = rollout.scene.half()
        if rollout.frames is not None:
            fields["frames"] = torch.from_numpy(rollout.frames)
        flat = {name: value.flatten(0, 1) for name, value in fields.items()}
        count = len(flat["z"])
        if not self.kept:
            size = sum(value[0].nbytes for value in flat.values())
            self.capacity = max(count, min(CAPACITY, MAX_BYTES // size))
            self.kept = {
                name: torch.empty(self.capacity, *value.shape[1:], dtype=value.dtype)
                for name, value in flat.items()
            }
        rows = (self.added + torch.arange(count)) % self.capacity
        for name, value in flat.items():
            self.kept[name][rows] = value
        self.added += count
        return count

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learn from a rollout with labels, and from earlier ones.

        Args:
            progress: used share of the imitation, 0..1; the learning rate falls with it.

        Returns:
            Means over the gradient steps: `anchor` (KL of the teacher to C), `value`, `entropy`.

        Raises:
            FloatingPointError: a gradient is not finite.
        """
        steps = max(1, self._add(rollout) * REUSE // BATCH)
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * (1 - 0.95 * progress)
        distances, errors, entropies = [], [], []
        for step in range(steps):
            known = min(self.added, self.capacity)
            rows = torch.randint(known, (BATCH,), generator=self.generator)
            part = {name: value[rows].to(self.device) for name, value in self.kept.items()}
            frames, scene = part.get("frames"), part.get("scene")
            features = Features(
                part["z"].float(),
                part["h"].float(),
                part.get("proprioception"),
                None if scene is None else scene.float(),
                None if frames is None else to_input(frames),
            )
            both = step % VALUES_EVERY == 0
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                log_probs, values = self.controller(features, with_values=both)
            distance = F.kl_div(log_probs, part["labels"], reduction="batchmean", log_target=True)
            loss = distance
            if both:
                error = 0.5 * F.mse_loss(values, part["returns"])
                errors.append(error.item())
                loss = loss + VALUE_WEIGHT * error
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.controller.parameters(), 10 * MAX_GRAD_NORM)
            if not torch.isfinite(norm):
                raise FloatingPointError(f"gradient norm is {norm.item()}")
            self.optimizer.step()
            distances.append(distance.item())
            entropies.append(-(log_probs.exp() * log_probs).sum(dim=1).mean().item())
        means = {"anchor": distances, "value": errors, "entropy": entropies}
        return {name: float(np.mean(values)) for name, values in means.items()}
