"""PPO (arXiv 1707.06347), the baseline of what learns while playing: `agent.learning.ppo` itself.

It learns from its newest rollout, not from a store of timesteps: hence its own `drive`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from agent.config import AgentConfig
from agent.learning.ppo import PPO, Rollout
from agent.models.controller import Features
from lab.arena import Arena, Outcome
from lab.data import Data
from lab.method import Shape
from lab.methods.clone import Clone
from lab.methods.clone import Config as CloneConfig
from lab.run import Earned, Run
from pretrain.config import PretrainPPOConfig as Config
from pretrain.stage import seed_of
from retro_common.errors import UsageError


class Tuned(Clone):
    """C's two heads, which PPO trains; they measure and play as a clone's."""

    def prepare(self, data: Data) -> None:
        """Called before the first timestep, with recorded data of the acts that are played."""

    def rollout(self, agent: AgentConfig, length: int, worlds: int) -> Rollout:
        return Rollout.of(agent, length, worlds)

    def sees(self, arena: Arena) -> Features:
        """What the heads see of every world."""
        return arena.features

    def rewards(self, outcome: Outcome, acts: np.ndarray) -> np.ndarray:
        """What is learnt from, float32 (N,)."""
        return outcome.shaped


def build(config: Config, shape: Shape) -> Tuned:
    return Tuned(CloneConfig(), shape)


def fill(method: Tuned, rollout: Rollout, arena: Arena, earned: Earned) -> None:
    """Play the rollout's timesteps in all worlds."""
    for t in range(len(rollout.rewards)):
        features, so_far = method.sees(arena), arena.earned
        decision = arena.actor.act(features)
        outcome = arena.step(decision.actions.numpy())
        ended, rewards = outcome.ends | outcome.cuts, method.rewards(outcome, arena.acts)
        rollout.store(t, features, arena.frames, decision, rewards, ended)
        earned.add(outcome, so_far + outcome.rewards)
    rollout.last_values[:] = arena.actor.act(method.sees(arena)).values


def drive(job: Run) -> None:
    """Play and update in turns."""
    config, online = job.config, job.config.online
    if online is None:
        raise UsageError("online: PPO learns while it plays: say for how many timesteps")
    method: Any = job.method
    method.prepare(job.data.training)
    ppo = PPO(method.heads, job.own, seed_of(config.seed, 5), torch.device("cpu"))
    length = max(1, job.own.rollout_length // online.worlds)
    rollout = method.rollout(job.models.config, length, online.worlds)
    with job.loop(online.timesteps, ppo.optimizer, length * online.worlds) as loop:
        models = dataclasses.replace(job.models, controller=method.heads)
        seed = seed_of(config.seed, 4, loop.first)
        arena = Arena(models, job.known, online.worlds, seed=seed)
        earned = Earned(job.facts, arena.acts)
        for before in loop:
            after = before + loop.stride
            fill(method, rollout, arena, earned)
            metrics = ppo.update(rollout, min(1.0, after / loop.total))
            loop.log({"score": earned.recent, **metrics}, f"score {earned.recent:.0f}", after)
            job.look_after(before, after, loop.total)
