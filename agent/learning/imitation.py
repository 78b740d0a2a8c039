"""Self-imitation learning: C learns again from what went better than it expects (arXiv 1806.05635).

PPO learns from a timestep once, and nothing from a replayed one, which the policy did not choose.
Here both are kept, and the policy is drawn towards the actions after which more was earned than C's
value says. One lucky passage of a hard place is then enough to make the next one likelier.
"""

from __future__ import annotations

import torch

from agent.config import AgentConfig
from agent.learning.ppo import PPO, Rollout, Terms


class SelfImitation:
    """The timesteps played last, with what was earned after them until the episode's end."""

    def __init__(self, config: AgentConfig, seed: int):
        self.config, self.gamma = config.online.imitation, config.online.gamma
        self.generator = torch.Generator().manual_seed(seed)
        self.kept = Rollout.of(config, self.config.capacity, envs=1)
        self.returns = torch.full((self.config.capacity,), torch.nan)
        """discounted sum of rewards from a timestep on; NaN until its episode has ended"""
        self._next = 0
        self._open = 0  # timesteps since the last end of an episode

    def take(self, rollout: Rollout, follows: bool) -> None:
        """Keep a rollout of one environment, replayed timesteps too; the oldest ones make room.

        Args:
            follows: whether it goes on where the one before ended; if not, the episode that was
                under way there has lost timesteps, and is not learnt from.

        Raises:
            FloatingPointError: its rewards or features are not finite; it is not kept.
        """
        finite = all(torch.isfinite(x).all() for x in (rollout.rewards, rollout.z, rollout.h))
        if not follows or not finite:
            self._open = 0
        if not finite:
            raise FloatingPointError("the rollout holds rewards or features that are not finite")
        for t, ended in enumerate(rollout.ends[:, 0].tolist()):
            row = self._next % self.config.capacity
            for name in ("z", "h", "frames", "actions", "rewards"):
                if (source := getattr(rollout, name)) is not None:
                    getattr(self.kept, name)[row] = source[t]
            self.returns[row] = torch.nan
            self._next += 1
            self._open = min(self._open + 1, self.config.capacity)
            if ended:
                self._close()

    def _close(self) -> None:
        """The episode has ended: the returns of its timesteps are known now."""
        following = 0.0
        for back in range(1, self._open + 1):
            row = (self._next - back) % self.config.capacity
            following = self.kept.rewards[row, 0].item() + self.gamma * following
            self.returns[row] = following
        self._open = 0

    def improve(self, ppo: PPO, terms: Terms, halvings: int = 0) -> dict[str, float]:
        """Some gradient steps on timesteps drawn at random, by equations 2 and 3 of the paper.

        The gain of a timestep is what its return exceeds the value by, or 0; the policy's loss
        weighs it in standard deviations of the returns, so that the reward's scale does not matter.

        Args:
            ppo: the optimiser of the controller that is trained.
            halvings: how often the batch was halved to fit into memory.

        Returns:
            Means over the gradient steps: `imitation_policy` and `imitation_gain`, and
            `imitation_share`, of the timesteps with a gain. Nothing while no episode has ended.

        Raises:
            FloatingPointError: a gradient is not finite.
        """
        known = (~self.returns.isnan()).nonzero().squeeze(1)
        if len(known) < 2:
            return {}
        scale = self.returns[known].std() + 1e-8
        totals: dict[str, list[float]] = {}
        for _ in range(self.config.steps):
            drawn = torch.randint(
                len(known), (max(8, self.config.batch >> halvings),), generator=self.generator
            )
            rows = known[drawn]
            log_probs, values = ppo.controller(self.kept.features(rows, ppo.device))
            actions = self.kept.actions[rows].to(ppo.device)
            taken = log_probs.gather(1, actions).squeeze(1)
            gain = (self.returns[rows].to(ppo.device) - values).clamp(min=0)
            policy_loss = -(gain.detach() / scale * taken).mean()
            value_loss = 0.5 * gain.square().mean()
            ppo.descend(self.config.weight * policy_loss + self.config.value * value_loss)
            terms.after_step()
            scalars = {
                "policy": policy_loss.item(),
                "gain": gain.mean().item(),
                "share": (gain > 0).float().mean().item(),
            }
            for name, value in scalars.items():
                totals.setdefault(f"imitation_{name}", []).append(value)
        return {name: sum(values) / len(values) for name, values in totals.items()}
