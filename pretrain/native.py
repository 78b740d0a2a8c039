"""Sampling for PPO without the emulator: Pangolin Dash's logic and picture, many worlds at once.

`NativeSampler` fills a rollout as `pretrain.sampler.Sampler` does, several times faster, in acts
for which no ROM was built, and with a teacher's labels for every state that C comes to.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch

from agent.learning.ppo import Rollout
from agent.learning.rewards import RewardShaper
from agent.models.actor import Actor, Models
from agent.models.precision import computes_in_bfloat16
from pangolin_dash.simulator import NO_NEW_GROUND, TIME_OVER, Worlds, pad_of
from pretrain.data import acts as data
from pretrain.data.starts import EVERY, Starts
from pretrain.stage import seed_of
from pretrain.teacher import Teacher

PATIENCE = 300
"""timesteps without new ground after which an episode is cut short"""


class NativeSampler(ExitStack):
    """Worlds in training; a context manager as `pretrain.sampler.Sampler` is."""

    def __init__(
        self,
        models: Models,
        known: Sequence[data.Known],
        worlds: int,
        *,
        teacher: Teacher,
        seed: int,
        device: torch.device,
    ):
        """
        Args:
            models: act in the worlds; on `device`.
            known: the acts. Half of the episodes begin within one, where there is a movie of it.
            worlds: how many are played side by side.
            teacher: labels every state.

        Raises:
            UsageError: gcc is not installed; or the teacher has other actions, or reads another
                simulator's memory.
        """
        super().__init__()
        config = models.config
        traces = data.traces(known)
        self.worlds = Worlds(
            [each.act for each in known],
            worlds,
            routes=[trace and trace.route for trace in traces],
            seed=seed_of(seed, 0),
            patience=PATIENCE,
            frames=True,
            on_screen=True,
        )
        teacher.check(self.worlds, config.actions)
        self.teacher = teacher
        along = [trace and trace.states for trace in traces]
        rng = np.random.default_rng(seed_of(seed, 1))
        self.starts = Starts(self.worlds, along, rng)
        self.actor = Actor(models, worlds, seed=seed_of(seed, 2), device=device)
        self.shaper = RewardShaper(config.reward, worlds)
        self.pads = np.array([pad_of(each.split()) for each in config.actions], np.uint8)
        self.waited = 0.0
        self.bfloat16 = computes_in_bfloat16("auto", device)
        self._observe()

    def _observe(self) -> None:
        """See the worlds. V computes in bfloat16 where the hardware does: twice as fast."""
        self.frames = self.worlds.draw_small()
        device = self.actor.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16):
            self.features = self.actor.observe(self.frames)

    def timesteps_per_level(self) -> dict[str, int]:
        """Nothing: acts are drawn at random, so that no count of them need be carried on."""
        return {}

    def play(self, rollout: Rollout) -> list[tuple[int, float]]:
        """Fill the rollout.

        Returns:
            Act number and contest score of each episode that ended and had begun at an act's start.
        """
        worlds, finished = self.worlds, []
        for t in range(len(rollout.rewards)):
            if t % EVERY == 0:
                self.starts.look()
            log_probs, _ = self.teacher.label(worlds.observe())
            rollout.labels[t] = torch.from_numpy(log_probs)
            decision = self.actor.act(self.features)
            worlds.step(self.pads[decision.actions.cpu().numpy()])
            ended = worlds.over > 0
            for world in np.flatnonzero(ended & self.starts.whole):
                finished.append((int(self.starts.act[world]), float(worlds.scores[world])))
            cut = (worlds.over == TIME_OVER) | (worlds.over == NO_NEW_GROUND)
            shaped = self.shaper(worlds.rewards, ended, cut)
            rollout.store(t, self.features, self.frames, decision, shaped, ended)
            self.actor.remember(self.features, decision.actions, worlds.rewards, ended)
            self.starts.after_step()
            self._observe()
        rollout.last_values[:] = self.actor.act(self.features).values.cpu()
        return finished
