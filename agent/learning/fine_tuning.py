"""Learning while playing: keeps what was played, hands it to the learner, tells what came of it."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable

import numpy as np
import torch

from agent.learner.handle import Learner, Report
from agent.learning.level_memory import Novelty
from agent.learning.planner import Planner
from agent.learning.rewards import RewardShaper
from agent.learning.routes import Replays
from agent.models.actor import Decision, Models
from agent.models.controller import Features
from agent.progress import Progress

log = logging.getLogger("agent")

START_SECONDS, START_SHARE = 60.0, 0.05
"""how long playing waits for the learner's start: seconds, and share of the budget's seconds"""


class FineTuning:
    """Everything about learning that the loop of playing calls between timesteps.

    Rollouts are kept in a ring. Once it holds as many timesteps as planned and the learner is idle,
    it is handed over and another one is begun; while the learner is busy it goes on filling. What
    is overwritten because the learner is too slow is counted and logged.
    """

    def __init__(
        self,
        models: Models,
        learner: Learner,
        planner: Planner,
        progress: Progress,
        seed: int,
        save: Callable[[], None],
    ):
        config = models.config
        self._models, self._learner, self._planner = models, learner, planner
        self._progress, self._save = progress, save
        self._shape_reward = RewardShaper(config.reward, envs=1)
        self._novelty = Novelty(config.online.level, config.vision.latent, seed)
        self.replays = Replays(config.online.level, np.random.default_rng(seed))
        self._imitates = config.online.imitation.steps > 0
        self._stored = 0  # timesteps in the ring since the last hand-over, overwritten ones too
        self._chosen = 0  # those of them that the policy chose
        self._follows = False  # whether the next update follows the last one without a gap
        self._earned = 0.0
        self._saved_at = time.monotonic()

    def begin(self) -> None:
        """Before the first timestep: give the learner time to start.

        The contest's clock runs already, but what is played before the learner is up may be lost to
        it, and of a short budget that is much.
        """
        seconds = min(START_SECONDS, START_SHARE * self._planner.budget.wallclock)
        if not self._learner.wait_until_ready(seconds):
            log.warning("the learner is not ready; playing begins without it")

    def begin_episode(self) -> None:
        """Decide whether the policy begins the episode, or a replay does."""
        if count := self.replays.start_episode(self._planner.progress(self._progress.timesteps)):
            log.info("the episode begins with a replay of %d timesteps", count)

    def before_timestep(self) -> None:
        """Take over new weights, if there are any."""
        self._planner.tick(self._progress.timesteps)
        if report := self._learner.poll():
            self._tell(report)

    def hand_over(self, values: torch.Tensor) -> None:
        """Give the ring to the learner if it is due; `values` (1,) are those of the frame now."""
        learner, progress = self._learner, self._progress
        due = self._planner.rollout(progress.timesteps)
        if (self._chosen < due and self._stored < learner.capacity) or not learner.idle():
            return
        learner.rollout.last_values.copy_(values)
        length = min(self._stored, learner.capacity)
        first = self._stored % learner.capacity if self._stored > learner.capacity else 0
        progress.overwritten += self._stored - length
        progress.learnt_from += length
        plan = self._planner.plan(progress.timesteps, progress.updates)
        follows = self._follows and length == self._stored
        learner.hand_over(first, length, dataclasses.replace(plan, follows=follows))
        self._stored, self._chosen, self._follows = 0, 0, True

    def record(
        self,
        features: Features,
        frames: np.ndarray,
        decision: Decision,
        replayed: bool,
        reward: float,
        ended: bool,
    ) -> None:
        """Keep a timestep. From a replayed one PPO cannot learn: the policy did not choose it.

        Args:
            decision: what the policy chose, or with a replayed timestep, what was done.
        """
        ends = np.array([ended])
        shaped = self._shape_reward(np.array([reward]), ends)
        self._earned += reward
        bonus = self._novelty.bonus(features.z[0].cpu().numpy(), frames[0], self._earned)
        if ended:
            self._earned = 0.0
        if replayed and not self._imitates:
            return
        row = self._stored % self._learner.capacity
        self._learner.rollout.store(row, features, frames, decision, shaped + bonus, ends, replayed)
        self._stored += 1
        self._chosen += not replayed

    def finish(self, seconds: float) -> None:
        """Wait at most so long for an update that is under way, and end the learner."""
        if report := self._learner.finish(seconds):
            self._tell(report, save=False)

    def _tell(self, report: Report, save: bool = True) -> None:
        progress = self._progress
        if report.metrics is None:
            log.warning("no update: %s", report.problem)
            return
        progress.updates += 1
        metrics = report.metrics
        log.info(
            "update %d: %.0f timesteps/s, learnt from %d timesteps (%d overwritten), entropy %.3f,"
            " kl %.4f, %d epochs, explained variance %.2f",
            progress.updates,
            self._planner.speed() or 0,
            progress.learnt_from,
            progress.overwritten,
            metrics["entropy"],
            metrics["kl"],
            metrics["epochs"],
            metrics["explained_variance"],
        )
        if save and time.monotonic() - self._saved_at > self._models.config.online.save_seconds:
            self._save()
            self._saved_at = time.monotonic()
