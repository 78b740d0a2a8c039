"""PPO (arXiv 1707.06347), the baseline of what learns while playing: `agent.learning.ppo` itself.

It learns from rollouts, not from a store: so it has a loop of its own, with the same worlds, curve
and figures as `lab.run`. `start` names a run whose policy and V it goes on from (a warm start).
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn

from agent.learning.ppo import PPO, Rollout
from agent.models.actor import Decision
from agent.models.controller import Features
from lab.arena import Arena
from lab.clone import Clone, Heads
from lab.clone import Config as CloneConfig
from lab.config import LabConfig
from lab.method import Shape
from lab.run import Run
from pretrain.config import PretrainPPOConfig as Config
from pretrain.loop import Loop
from pretrain.stage import seed_of
from retro_common.errors import UsageError


class Player(Clone):
    """C's two heads, which PPO trains; they measure and play as a clone's."""

    def parts(self) -> dict[str, nn.Module]:
        return {"heads": self.heads}


def build(config: Config, shape: Shape) -> Player:
    return Player(CloneConfig(), shape)


@torch.inference_mode()
def fill(rollout: Rollout, arena: Arena, heads: Heads, generator: torch.Generator) -> None:
    """Play the rollout's timesteps in all worlds."""
    latent = heads.latent
    for t in range(len(rollout.rewards)):
        features = Features(arena.features[:, :latent], arena.features[:, latent:])
        log_probs, values = heads(features)
        actions = torch.multinomial(log_probs.exp(), 1, generator=generator)
        decision = Decision(actions.squeeze(1), log_probs.gather(1, actions).squeeze(1), values)
        outcome = arena.step(decision.actions.numpy())
        over = outcome.ends | outcome.cuts
        rollout.store(t, features, np.empty(0), decision, outcome.shaped, over)
    rollout.last_values = heads.both(arena.features)[1].clone()


def run(name: str, config: LabConfig, fresh: bool = False) -> None:
    """Train C by PPO in native worlds; see `lab.run.run`."""
    torch.set_num_threads(1)
    job = Run(sys.modules[__name__], name, config, fresh)
    if job.work.finished:
        print(f"{name}: already done ({job.work.folder})")
        return
    if config.online is None:
        raise UsageError("online: PPO learns while it plays: say for how many timesteps")
    settings, heads = job.settings, job.method.parts()["heads"]
    worlds, total = config.online.worlds, config.online.timesteps
    device = torch.device("cpu")
    ppo = PPO(heads, settings, seed_of(config.seed, 5), device)
    length = max(1, settings.rollout_length // worlds)
    rollout = Rollout.of(job.models.config, length, worlds)
    with Loop(
        job.work,
        total,
        stride=length * worlds,
        unit="timesteps",
        carried=job.carried,
        model=job.parts(),
        optimizer=ppo.optimizer,
    ) as loop:
        seed = seed_of(config.seed, 4, loop.first)
        arena = Arena(job.models, job.known, worlds, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        if not loop.first and config.start:
            job.look(0)
        for before in loop:
            timesteps = before + loop.stride
            fill(rollout, arena, heads, generator)
            metrics = ppo.update(rollout, min(1.0, timesteps / total))
            loop.log(metrics, f"entropy {metrics['entropy']:.2f}", timesteps)
            if (config.curve and timesteps // config.curve > before // config.curve) or (
                timesteps >= total
            ):
                job.look(timesteps)
    job.finish()
