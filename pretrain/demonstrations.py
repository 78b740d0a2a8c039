"""Movies as demonstrations: their actions at the places from which the policy gets nowhere.

PPO learns nothing from an action that it never tries. Once the policy is certain of a wrong one, as
of ducking in a tunnel that has to be run up, no reward can change it. There, and only there, it
also imitates the movie, until it gets on by itself (after deep Q-learning from demonstrations,
arXiv 1704.03732, and prioritized level replay, arXiv 2010.03934).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from agent.learning.ppo import MAX_GRAD_NORM
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import FINISHED, Worlds
from pretrain.data.starts import FAR
from pretrain.teacher import Teacher, features_of

WEIGHT = 0.2
"""weight of the negative log-likelihood, beside PPO's loss"""
STEPS = 4
"""gradient steps after each rollout"""
BATCH = 512
"""places in a gradient step"""
FAILING = 0.5
"""share of failures above which a place is shown"""
WORLDS = 256
"""worlds that try places side by side"""
TRY = 100
"""timesteps in which an episode must get away from its place"""


class Demonstrations:
    """The movies' actions at the places along all routes, and what is seen there."""

    def __init__(self, acts: Sequence[Act], places: np.ndarray, pads: np.ndarray, teacher: Teacher):
        """
        Args:
            places: beginnings of episodes, uint8 (P, bytes), see `pretrain.data.starts.Starts`.
            pads: what the movies press there, pad bits uint8 (P,).
            teacher: for its actions; what a movie presses beside these is not shown.
        """
        self.worlds, self.places = Worlds(acts, WORLDS, on_screen=True), places
        numbers = {int(pad): number for number, pad in enumerate(teacher.pads)}
        actions = [numbers.get(int(pad), -1) for pad in pads]
        self.actions = torch.tensor(actions, dtype=torch.int64)
        size = self.worlds.observation_size
        self.observations = torch.empty(len(places), size, dtype=torch.float16)
        for first in range(0, len(places), WORLDS):
            count = self._go_to(first)
            observed = torch.from_numpy(self.worlds.observe()[:count])
            self.observations[first : first + count] = observed.half()

    def _go_to(self, first: int) -> int:
        """Put the worlds at the places from this one on; returns how many these are."""
        part = self.places[first : first + WORLDS]
        for world, state in enumerate(part):
            self.worlds.restore(world, state)
        return len(part)

    def try_all(self, teacher: Teacher, generator: torch.Generator) -> np.ndarray:
        """Play an episode's beginning from every place.

        Returns:
            float64 (P,), 1 where it got nowhere: it neither earned `FAR` points nor finished.
        """
        failures = np.ones(len(self.places))
        for first in range(0, len(self.places), WORLDS):
            count = self._go_to(first)
            away = np.zeros(WORLDS, bool)
            for _ in range(TRY):
                log_probs, _ = teacher.label(self.worlds.observe())
                chances = torch.from_numpy(log_probs).exp()
                drawn = torch.multinomial(chances, 1, generator=generator).squeeze(1)
                self.worlds.step(teacher.pads[drawn.numpy()], restart=False)
                away |= (self.worlds.scores >= FAR) | (self.worlds.over == FINISHED)
                if away[:count].all():
                    break
            failures[first : first + count] = ~away[:count]
        return failures

    def learn(
        self,
        teacher: Teacher,
        optimizer: torch.optim.Optimizer,
        failures: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Imitate the movies where failures (P,) are many, the more the more they are.

        Returns:
            `failing`, the share of such places, and, if there are any, `demonstrations`, the mean
            negative log-likelihood of the movies' actions.
        """
        failing = failures > FAILING
        scalars = {"failing": float(failing.mean()) if len(failing) else 0.0}
        weights = np.where(failing & (self.actions.numpy() >= 0), failures, 0)
        if not weights.any():
            return scalars
        chances = weights.cumsum()
        losses = []
        for _ in range(STEPS):
            drawn = rng.random(BATCH) * chances[-1]
            rows = torch.from_numpy(np.searchsorted(chances, drawn, side="right"))
            log_probs, _ = teacher(features_of(self.observations[rows].float()))
            loss = -log_probs.gather(1, self.actions[rows].unsqueeze(1)).mean()
            optimizer.zero_grad(set_to_none=True)
            (WEIGHT * loss).backward()
            torch.nn.utils.clip_grad_norm_(teacher.parameters(), MAX_GRAD_NORM)
            optimizer.step()
            losses.append(loss.item())
        return {**scalars, "demonstrations": float(np.mean(losses))}
