"""A teacher that looks a few timesteps ahead: what each action leads to, in copies of the world.

For each action, the world is copied a few times; the action is played there, the policy goes on,
and the value says what the rest is worth. It needs a game whose state can be saved, restored,
stepped and read: in the native simulator that takes milliseconds, with an emulator's save-states
hundreds of times as long (`benchmarks.simulator`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import Worlds
from pretrain.teacher import GAMMA, Teacher, training_rewards

COPIES = 4
"""copies of a world for each action: sticky actions and the policy's draws differ"""
TIMESTEPS = 12
"""how far ahead"""
TEMPERATURE = 0.2
"""of the tilt, in units of scaled reward: 200 points. The worth of an action is uncertain by about as
much, of a death it is several units"""


class LookAhead:
    """Copies of worlds to look ahead in."""

    def __init__(
        self,
        teacher: Teacher,
        acts: Sequence[Act],
        count: int,
        *,
        routes: Sequence[np.ndarray | None],
        seed: int,
    ) -> None:
        """
        Args:
            acts, routes: those of the worlds that it will look at.
            count: how many worlds it looks at at once, N.
        """
        self.teacher, self.count = teacher, count
        self._branches = len(teacher.pads) * COPIES
        self._roots = Worlds(acts, count, routes=routes)
        self._worlds = Worlds(acts, count * self._branches, routes=routes, seed=seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._observations = self._worlds.observe()

    def worth(self, states: np.ndarray) -> np.ndarray:
        """What each action is worth, float32 (N, A), in units of scaled reward.

        Args:
            states: save-states, uint8 (N, bytes), of running episodes.
        """
        worlds, teacher = self._worlds, self.teacher
        worlds.slots[:] = np.repeat(states, self._branches, axis=0)
        first = np.tile(np.repeat(np.arange(len(teacher.pads)), COPIES), self.count)
        pads, total = teacher.pads[first], np.zeros(worlds.count, np.float32)
        going = np.arange(worlds.count)
        for t in range(TIMESTEPS):
            worlds.step(pads, restart=False, out=self._observations)
            rewards = training_rewards(worlds)
            total[going] += np.float32(GAMMA**t) * rewards[going]
            going = np.flatnonzero(worlds.over == 0)
            log_probs, values = teacher.label(self._observations[going])
            if t == TIMESTEPS - 1:
                total[going] += np.float32(GAMMA**TIMESTEPS) * values
                break
            probabilities = torch.from_numpy(log_probs).exp()
            drawn = torch.multinomial(probabilities, 1, generator=self._generator).squeeze(1)
            pads[going] = teacher.pads[drawn.numpy()]
        return total.reshape(self.count, len(teacher.pads), COPIES).mean(axis=2)

    def label(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Observations (N, O), and for each an improved policy: log-probabilities (N, A), float32.

        The policy's own, tilted to what is worth more.

        Args:
            states: as for `worth`.
        """
        self._roots.slots[:] = states
        observations = self._roots.observe()
        log_probs, _ = self.teacher.label(observations)
        tilted = torch.from_numpy(log_probs + self.worth(states) / TEMPERATURE)
        return observations, tilted.log_softmax(dim=1).numpy()


class Labels:
    """The last labels, to train the policy on."""

    def __init__(self, capacity: int, observation_size: int, actions: int) -> None:
        self._observations = torch.zeros(capacity, observation_size)
        self._log_probs = torch.zeros(capacity, actions)
        self.count = 0
        """labels so far"""

    def add(self, observations: np.ndarray, log_probs: np.ndarray) -> None:
        """Add labels (N, O) and (N, A) in place of the oldest."""
        rows = (self.count + torch.arange(len(observations))) % len(self._observations)
        self._observations[rows] = torch.from_numpy(observations)
        self._log_probs[rows] = torch.from_numpy(log_probs)
        self.count += len(observations)

    def sample(self, batch: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """A random minibatch: observations (B, O) and log-probabilities (B, A)."""
        held = min(self.count, len(self._observations))
        rows = torch.randint(held, (batch,), generator=generator)
        return self._observations[rows], self._log_probs[rows]
