"""Counters of a contest, for the log and the saved bundle."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Progress:
    """The agent's progress so far."""

    timesteps: int = 0
    """used timesteps, resets included, as the contest counts them"""
    updates: int = 0
    """finished updates of the controller"""
    learnt_from: int = 0
    """timesteps handed to the learner"""
    overwritten: int = 0
    """timesteps lost because the learner was busy"""
    rewards: list[float] = dataclasses.field(default_factory=list)
    """contest reward of every finished episode"""
