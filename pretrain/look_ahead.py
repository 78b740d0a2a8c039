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
"""of the tilt, in units of scaled reward: 200 points. A death costs several units"""
CHUNK = 32
"""worlds that are looked ahead from at once"""


class LookAhead:
    """Copies of worlds to look ahead in."""

    def __init__(
        self,
        teacher: Teacher,
        acts: Sequence[Act],
        *,
        routes: Sequence[np.ndarray | None],
        seed: int,
    ) -> None:
        """
        Args:
            acts, routes: those of the worlds that it will look at.
            seed: of the copies' actions and stickiness.
        """
        self.teacher = teacher
        self._branches = len(teacher.pads) * COPIES
        self._roots = Worlds(acts, CHUNK, routes=routes)
        self._worlds = Worlds(acts, CHUNK * self._branches, routes=routes, seed=seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._observations = self._worlds.observe()

    def worth(self, states: np.ndarray) -> np.ndarray:
        """What each action is worth, float32 (N, A), in units of scaled reward.

        Args:
            states: save-states, uint8 (N, bytes), of running episodes.
        """
        chunks = [self._worth(states[i : i + CHUNK]) for i in range(0, len(states), CHUNK)]
        return np.concatenate(chunks)

    def _worth(self, states: np.ndarray) -> np.ndarray:
        """The same for at most `CHUNK` states."""
        worlds, teacher = self._worlds, self.teacher
        worlds.slots[:] = np.repeat(_filled(states), self._branches, axis=0)
        first = np.tile(np.repeat(np.arange(len(teacher.pads)), COPIES), CHUNK)
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
        worth = total.reshape(CHUNK, len(teacher.pads), COPIES).mean(axis=2)
        return worth[: len(states)]

    def label(self, states: np.ndarray) -> np.ndarray:
        """Improved policy, log-probabilities float32 (N, A): the teacher's, tilted to what is worth
        more.

        Args:
            states: as for `worth`.
        """
        log_probs = np.concatenate(
            [self._log_probs(states[i : i + CHUNK]) for i in range(0, len(states), CHUNK)]
        )
        tilted = torch.from_numpy(log_probs + self.worth(states) / TEMPERATURE)
        return tilted.log_softmax(dim=1).numpy()

    def _log_probs(self, states: np.ndarray) -> np.ndarray:
        """The teacher's own policy in at most `CHUNK` states."""
        self._roots.slots[:] = _filled(states)
        return self.teacher.label(self._roots.observe())[0][: len(states)]


def _filled(states: np.ndarray) -> np.ndarray:
    """Save-states for a whole chunk: the last one fills it."""
    return states[np.minimum(np.arange(CHUNK), len(states) - 1)]
