"""What has happened in the contest so far."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Progress:
    """What has happened so far, as the log and the saved bundle tell it."""

    timesteps: int = 0
    """of the budget: steps and resets"""
    updates: int = 0
    """updates whose weights are played"""
    learnt_from: int = 0
    """timesteps handed to the learner"""
    overwritten: int = 0
    """timesteps that nobody learnt from, because the learner was busy"""
    rewards: list[float] = dataclasses.field(default_factory=list)
    """contest reward of every finished episode"""
