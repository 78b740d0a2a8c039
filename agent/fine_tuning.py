"""Learning while playing: stores timesteps, hands rollouts to the learner, reports its updates."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import torch

from agent.learner.handle import Learner, Report
from agent.learning.following import RouteChoice
from agent.learning.planner import Planner
from agent.learning.rewards import RewardShaper
from agent.learning.routes import RouteMemory
from agent.models.actor import Actor, Decision, Models
from agent.models.controller import Features
from agent.progress import Progress

log = logging.getLogger("agent")

START_SECONDS, START_SHARE = 60.0, 0.05
"""how long playing waits for the learner's start: seconds, and share of the budget's seconds"""


class FineTuning:
    """All that the main loop calls between timesteps in order to learn.

    Timesteps are stored in a ring. Once it holds as many as planned and the learner is idle, it is
    handed over and another one is begun; while the learner is busy the ring goes on filling.
    Timesteps that are overwritten because the learner is too slow are counted and logged.
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
        self.routes = RouteMemory(config.online.routes, np.random.default_rng(seed))
        self.followed = RouteChoice()
        self._stored = 0  # timesteps in the ring since the last hand-over, overwritten ones too
        self._saved_at = time.monotonic()

    def begin(self) -> None:
        """Before the first timestep: give the learner time to start.

        The contest's clock is already running, but timesteps played before the learner is up may
        be lost to it, and of a short budget that is much.
        """
        seconds = min(START_SECONDS, START_SHARE * self._planner.budget.wallclock)
        if not self._learner.wait_until_ready(seconds):
            log.warning("the learner is not ready; playing begins without it")

    def begin_episode(self, actor: Actor) -> None:
        """Choose the route that is followed, and whether the episode begins with a replay."""
        if actor.follower is not None:
            actor.follower.follow(0, self.followed.choose())
        if count := self.routes.start_episode(self._planner.progress(self._progress.timesteps)):
            log.info("the episode begins with a replay of %d timesteps", count)

    def before_timestep(self) -> None:
        """Take over new weights, if there are any."""
        self._planner.tick(self._progress.timesteps)
        if report := self._learner.poll():
            self._log(report)

    def hand_over(self, values: torch.Tensor) -> None:
        """Give the ring to the learner if it is due; `values` (1,) are those of the current
        frame."""
        learner, progress = self._learner, self._progress
        due = min(self._planner.rollout_length(progress.timesteps), learner.capacity)
        if self._stored < due or not learner.idle():
            return
        learner.rollout.last_values.copy_(values)
        length = min(self._stored, learner.capacity)
        first = self._stored % learner.capacity if self._stored > learner.capacity else 0
        progress.overwritten += self._stored - length
        progress.learnt_from += length
        learner.hand_over(first, length, self._planner.plan(progress.timesteps, progress.updates))
        self._stored = 0

    def record(
        self,
        features: Features,
        frames: np.ndarray,
        decision: Decision,
        replayed: bool,
        reward: float,
        ended: bool,
    ) -> None:
        """Store a timestep, unless it was replayed: PPO needs actions that the policy chose."""
        ends = np.array([ended])
        shaped = self._shape_reward(np.array([reward]), ends)
        if replayed:
            return
        row = self._stored % self._learner.capacity
        self._learner.rollout.store(row, features, frames, decision, shaped, ends)
        self._stored += 1

    def finish(self, seconds: float) -> None:
        """Wait at most this long for a running update, and end the learner."""
        if report := self._learner.finish(seconds):
            self._log(report, save=False)

    def _log(self, report: Report, save: bool = True) -> None:
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
