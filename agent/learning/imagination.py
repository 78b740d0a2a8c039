"""C in M's dream: M adapts to the level that is played, and C is trained on what M expects there.

World Models (arXiv 1803.10122, section 4) trained C in the dream alone. Here a short dream follows
every real update, from states the agent was really in, as in Dreamer (arXiv 1912.01603): errors of
M have little time to add up, and C cannot move to a place that only M believes in.
"""

from __future__ import annotations

import copy

import torch

from agent.config import OnlineConfig
from agent.learning.ppo import Rollout, Terms
from agent.models.controller import Controller, Features
from agent.models.memory import Memory, State, memory_loss

MAX_GRAD_NORM = 1.0


class Imagination:
    """A copy of M in the learner's hands.

    Only its heads adapt: the mixture over the next latent, the reward and the end. The LSTM stays
    as it was pretrained, since the player's own M makes C's features with it. The copy is gone
    when the contest ends; a bundle that was fine-tuned holds M as it was.
    """

    def __init__(self, memory: Memory, config: OnlineConfig, seed: int, device: torch.device):
        """
        Args:
            memory: M, which is copied; on `device`.
        """
        self.memory = copy.deepcopy(memory).requires_grad_(True)
        self.memory.lstm.requires_grad_(False)
        self.config, self.device = config, device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.reset_optimizer()

    def reset_optimizer(self) -> None:
        """Forget the gradients' moments."""
        self._heads = [p for p in self.memory.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self._heads, lr=self.config.dream.learning_rate)

    def adapt(self, rollout: Rollout, terms: Terms) -> dict[str, float]:
        """One pass over a real rollout (T, N), whose timesteps follow one another in each episode.

        The reward head learns the rewards that C learns from, and its dreams then pay those.

        Returns:
            Means over the gradient steps of `agent.models.memory.memory_loss`: `memory_nll` (nats per
            latent unit), `memory_reward` and `memory_end`. Nothing where M is left alone.

        Raises:
            FloatingPointError: a gradient is not finite.
        """
        settings = self.config.dream
        if not settings.learning_rate:
            return {}
        following = torch.roll(rollout.z, -1, dims=0)
        known = torch.ones_like(rollout.rewards)
        known[-1] = 0  # what came after the last timestep is in the next rollout
        totals: dict[str, list[float]] = {}
        order = torch.randperm(known.numel(), generator=self.generator, device=self.device).cpu()
        for rows in order.chunk(terms.minibatches or self.config.minibatches):
            fields = (rollout.z, rollout.h, rollout.c, rollout.actions, following)
            z, h, c, actions, next_z = (x.flatten(0, 1)[rows].to(self.device) for x in fields)
            scalars = (rollout.rewards, rollout.ends, known)
            rewards, ends, mask = (x.flatten()[rows].to(self.device) for x in scalars)
            with torch.no_grad():
                hidden = self.memory.step(z, actions, State(h, c)).h
            loss, parts = memory_loss(
                self.memory.predict(hidden, z),
                next_z,
                rewards,
                ends,
                mask,
                reward_weight=settings.reward_weight,
                end_weight=settings.end_weight,
                end_positive_weight=1.0,  # dreams need a probability, not an alarm
            )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self._heads, MAX_GRAD_NORM)
            if not torch.isfinite(norm):
                raise FloatingPointError(f"M's gradient norm is {norm.item()}")
            self.optimizer.step()
            terms.after_step()
            for name in ("nll", "reward", "end"):
                totals.setdefault(f"memory_{name}", []).append(parts[name].item())
        return {name: sum(values) / len(values) for name, values in totals.items()}

    @torch.no_grad()
    def rollout(self, controller: Controller, real: Rollout) -> Rollout:
        """What C expects of playing on from states of a real rollout, (`horizon`, `starts`).

        `ends` holds probabilities: what follows a timestep counts as much as it is likely to come.
        """
        settings, memory = self.config.dream, self.memory
        count = real.actions.numel()
        rows = torch.randint(
            count, (settings.starts,), generator=self.generator, device=self.device
        ).cpu()
        z, h, c = (x.flatten(0, 1)[rows].to(self.device) for x in (real.z, real.h, real.c))
        dreamt = Rollout(
            settings.horizon, settings.starts, z.shape[1], h.shape[1], keep_frames=False
        )
        state = State(h, c)
        for t in range(settings.horizon):
            log_probs, values = controller(Features(z, state.h))
            actions = torch.multinomial(log_probs.exp(), 1, generator=self.generator)
            dreamt.z[t], dreamt.h[t] = z, state.h
            dreamt.log_probs[t] = log_probs.gather(1, actions).squeeze(1)
            dreamt.actions[t], dreamt.values[t] = actions.squeeze(1), values
            state = memory.step(z, actions.squeeze(1), state)
            expected = memory.predict(state.h, z)
            dreamt.rewards[t] = expected.reward
            dreamt.ends[t] = expected.end_logit.sigmoid()
            z = expected.sample(settings.temperature, self.generator)
        dreamt.last_values.copy_(controller(Features(z, state.h))[1])
        return dreamt
