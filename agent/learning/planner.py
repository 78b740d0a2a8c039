"""The plan for the budget: how much of it is used, and how to learn with the rest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.config import OnlineConfig

WINDOW_SECONDS = 60.0
"""speed is measured over this time: long enough for several updates"""
SAMPLE_SECONDS = 0.5
"""a speed over less than this is noise"""


@dataclass(frozen=True)
class Budget:
    """What the contest allows. Resets count as timesteps."""

    timesteps: int
    wallclock: float
    """seconds"""


@dataclass(frozen=True)
class Plan:
    """How to make the next update."""

    rollout_length: int
    """timesteps to learn from"""
    progress: float
    """used share of the budget, 0..1; the learning rate falls with it"""
    anchor: float
    """weight of the KL penalty towards the pretrained policy"""
    critic_only: bool
    """train the value head only"""


def longest_rollout(config: OnlineConfig) -> int:
    """Timesteps of the longest rollout that a plan can ask for."""
    return max(1, round(config.rollout_length * config.rollout_span))


class Planner:
    """Measures the agent's own speed and plans by the limit that will be reached first."""

    def __init__(
        self, config: OnlineConfig, budget: Budget, clock: Callable[[], float] = time.monotonic
    ):
        """The budget's time runs from now on."""
        self.config, self.budget = config, budget
        self._clock = clock
        self._began = clock()
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)])
        self._progress = 0.0

    def seconds(self) -> float:
        """Used seconds of the budget."""
        return self._clock() - self._began

    def tick(self, timesteps: int) -> None:
        """Record that this many timesteps are used by now."""
        now = self._clock()
        if now - self._samples[-1][0] < SAMPLE_SECONDS:
            return
        self._samples.append((now, timesteps))
        while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def speed(self) -> float | None:
        """Timesteps per second over the last minute, or None while that is unknown."""
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else None

    def expected(self, timesteps: int) -> float:
        """Timesteps that the agent will have played when the nearer limit is reached."""
        speed = self.speed()
        if speed is None:
            return float(self.budget.timesteps)
        left = max(0.0, self.budget.wallclock - self.seconds())
        return max(1.0, min(self.budget.timesteps, timesteps + speed * left))

    def progress(self, timesteps: int) -> float:
        """Used share of the expected timesteps, 0..1. It never falls, however speed varies."""
        self._progress = max(self._progress, min(1.0, timesteps / self.expected(timesteps)))
        return self._progress

    def rollout_length(self, timesteps: int) -> int:
        """Timesteps for the next update: short ones if there will be few, long ones if many."""
        wanted = self.expected(timesteps) / self.config.updates
        shortest = self.config.rollout_length / self.config.rollout_span
        return max(1, min(round(max(wanted, shortest)), longest_rollout(self.config)))

    def plan(self, timesteps: int, updates: int) -> Plan:
        """The plan for the next update, after this many timesteps and updates."""
        config, progress = self.config, self.progress(timesteps)
        held = 1 - progress / config.anchor_until if config.anchor_until > 0 else 0.0
        return Plan(
            rollout_length=self.rollout_length(timesteps),
            progress=progress,
            anchor=config.anchor * max(0.0, held),
            critic_only=updates < config.critic_warmup,
        )
