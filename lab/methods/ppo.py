"""PPO (arXiv 1707.06347), the baseline of what learns while playing: `agent.learning.ppo` itself.

It learns from its newest rollout, not from a store of timesteps: hence its own `drive`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from agent.learning.ppo import PPO, Rollout
from lab.arena import Arena
from lab.method import Shape
from lab.methods.clone import Clone
from lab.methods.clone import Config as CloneConfig
from lab.run import Earned, Run
from pretrain.config import PretrainPPOConfig as Config
from pretrain.stage import seed_of
from retro_common.errors import UsageError


def build(config: Config, shape: Shape) -> Clone:
    """C's two heads, which PPO trains; they measure and play as a clone's."""
    return Clone(CloneConfig(), shape)


def fill(rollout: Rollout, arena: Arena, earned: Earned) -> None:
    """Play the rollout's timesteps in all worlds."""
    for t in range(len(rollout.rewards)):
        features, decision = arena.features, arena.actor.act(arena.features)
        so_far = arena.earned
        outcome = arena.step(decision.actions.numpy())
        ended = outcome.ends | outcome.cuts
        rollout.store(t, features, arena.frames, decision, outcome.shaped, ended)
        earned.add(outcome, so_far + outcome.rewards)
    rollout.last_values[:] = arena.actor.act(arena.features).values


def drive(job: Run) -> None:
    """Play and update in turns."""
    config, online = job.config, job.config.online
    if online is None:
        raise UsageError("online: PPO learns while it plays: say for how many timesteps")
    heads: Any = job.method.parts()["heads"]
    ppo = PPO(heads, job.own, seed_of(config.seed, 5), torch.device("cpu"))
    length = max(1, job.own.rollout_length // online.worlds)
    rollout = Rollout.of(job.models.config, length, online.worlds)
    with job.loop(online.timesteps, ppo.optimizer, length * online.worlds) as loop:
        models = dataclasses.replace(job.models, controller=heads)
        seed = seed_of(config.seed, 4, loop.first)
        arena = Arena(models, job.known, online.worlds, seed=seed)
        earned = Earned(job.facts, arena.acts)
        for before in loop:
            after = before + loop.stride
            fill(rollout, arena, earned)
            metrics = ppo.update(rollout, min(1.0, after / loop.total))
            loop.log({"score": earned.recent, **metrics}, f"score {earned.recent:.0f}", after)
            job.look_after(before, after, loop.total)
