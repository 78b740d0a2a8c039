"""The controller stage: train C by PPO on all training levels at once, then pack the bundle."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import retro_contest.levels
from agent import bundle
from agent.learning.ppo import PPO, Rollout, Terms
from agent.models.actor import Models
from pretrain import starts, world_model
from pretrain.config import PretrainConfig
from pretrain.critic import Knowledge, PrivilegedCritic, variables_of
from pretrain.errors import Diverged, Stopped
from pretrain.sampler import Sampler
from pretrain.stage import (
    Meter,
    Stage,
    StopRequest,
    choose_device,
    seed_of,
)
from pretrain.stages import collect, memory
from retro_common.config import to_dict
from retro_common.provenance import provenance

COMPONENT = 4  # this stage's place in the run's seed
ENTROPY_STEP = 1.1
"""factor per update on the weight of the entropy bonus, below the floor and back above it"""


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    agent = to_dict(config.agent)
    settings = {
        "controller": agent["controller"],
        "reward": agent["reward"],
        "training": to_dict(config.controller),
        "seed": config.seed,
        "memory": world_model.fingerprint(config) if config.needs_world_model else None,
    }
    return Stage("controller", config.out / "controller", settings, fresh)


def build(config: PretrainConfig) -> Models:
    """V and M as they were trained, as far as this run needs them, and an untrained C."""
    torch.manual_seed(seed_of(config.seed, COMPONENT))
    models = Models.build(config.agent)
    if config.needs_world_model:
        models.vision, models.memory = world_model.load(config)
    if config.controller.untrained_memory:
        torch.manual_seed(seed_of(config.seed, COMPONENT, 3))
        models.memory = memory.build(config)
    if config.controller.encoder_from_vision:
        models.controller.start_from(models.vision.encoder)
    return models


@dataclass
class EntropyFloor:
    """Raises the weight of the entropy bonus while the policy's entropy lies below a floor."""

    floor: float
    """nats"""
    weight: float
    factor: float = 1.0

    def update(self, entropy: float) -> None:
        if entropy < self.floor:
            self.factor *= ENTROPY_STEP
        else:
            self.factor = max(1.0, self.factor / ENTROPY_STEP)

    def terms(self) -> Terms:
        return Terms(entropy=self.weight * self.factor)


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train C, going on from the last checkpoint, and write the bundle to ``<out>/bundle``.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: a gradient is not finite; the last good checkpoint is untouched.
    """
    work = stage(config, fresh)
    if work.finished and (config.out / "bundle" / bundle.CONFIG).exists():
        print(f"controller: already done ({config.out / 'bundle'})")
        return
    settings, device = config.controller, choose_device(config.device)
    levels = retro_contest.levels.find(config.levels)
    models = build(config).to(device)
    models.vision.to(memory_format=torch.channels_last)
    models.controller.to(memory_format=torch.channels_last)
    ppo = PPO(models.controller, settings.ppo, seed_of(config.seed, COMPONENT, 1), device)
    sizes = config.agent.vision.latent, config.agent.memory.hidden
    variables, critic = [], None
    if settings.critic_sees_variables:
        variables = variables_of(levels)
        hidden = config.agent.controller.hidden
        critic = PrivilegedCritic(sum(sizes), len(variables), len(levels), hidden, settings.ppo)
        critic.to(device)
    floor = EntropyFloor(settings.entropy_floor, settings.ppo.entropy)
    first, played = 0, {}
    if checkpoint := work.restore():
        models.controller.load_state_dict(checkpoint["controller"])
        ppo.optimizer.load_state_dict(checkpoint["optimizer"])
        first, played = checkpoint["timesteps"], checkpoint["timesteps_per_level"]
        floor.factor = checkpoint["entropy_factor"]
        if critic is not None:
            critic.load_state_dict(checkpoint["critic"])
            critic.optimizer.load_state_dict(checkpoint["critic_optimizer"])

    def save(timesteps: int) -> None:
        state = {
            "controller": models.controller.state_dict(),
            "optimizer": ppo.optimizer.state_dict(),
            "timesteps": timesteps,
            "timesteps_per_level": sampler.timesteps_per_level(),
            "entropy_factor": floor.factor,
        }
        if critic is not None:
            state["critic"] = critic.state_dict()
            state["critic_optimizer"] = critic.optimizer.state_dict()
        work.save(state)

    threads = torch.get_num_threads()
    length = max(1, settings.ppo.rollout // settings.envs)
    rollout = Rollout.of(config.agent, length, settings.envs)
    knowledge = Knowledge.empty(length, settings.envs, len(variables)) if critic else None
    # Of each level its last whole episodes: levels with short ones must not outweigh the others.
    recent = [deque[float](maxlen=10) for _ in levels]
    timesteps, mean = first, float("nan")
    with (
        StopRequest() as stop,
        Meter("controller", settings.timesteps, "timesteps", first) as meter,
        work.writer(first) as writer,
        Sampler(
            models,
            levels,
            settings.envs,
            seed=seed_of(config.seed, COMPONENT, 2, first),
            device=device,
            draw_all=config.draw_all,
            variables=variables,
            critic=critic,
            novelty=settings.novelty,
            timesteps_per_level=played,
            wrap=starts.wrapper(config.collect.movies, settings.start_along, settings.patience),
        ) as sampler,
    ):
        while timesteps < settings.timesteps:
            # For a handful of frames one thread is faster than several, and the emulators need
            # the other cores; there are none to spare them for while C learns.
            torch.set_num_threads(1)
            for level, episode in sampler.play(rollout, knowledge):
                if episode.from_start:
                    recent[level].append(episode.reward)
            timesteps += length * settings.envs
            torch.set_num_threads(threads)
            progress = min(1.0, timesteps / settings.timesteps)
            try:
                metrics = ppo.update(rollout, progress, floor.terms())
            except FloatingPointError as error:
                raise Diverged(
                    f"controller: {error} at timestep {timesteps};"
                    f" the last good checkpoint is {work.folder}/checkpoint.pt"
                ) from None
            if critic is not None:
                metrics |= critic.learn(rollout, knowledge, progress, ppo.generator)
            floor.update(metrics["entropy"])

            for name, value in metrics.items():
                writer.add_scalar(f"losses/{name}", value, timesteps)
            writer.add_scalar("charts/timesteps_per_second", meter.rate(), timesteps)
            writer.add_scalar("charts/waited_for_emulators", sampler.waited, timesteps)
            writer.add_scalar("charts/entropy_weight", floor.terms().entropy, timesteps)
            per_level = [float(np.mean(rewards)) for rewards in recent if rewards]
            if per_level:
                mean = float(np.mean(per_level))
                writer.add_scalar("charts/episode_reward", mean, timesteps)
            meter.update(timesteps, f"mean reward {mean:.0f}, entropy {metrics['entropy']:.2f}")
            if stop.asked:
                save(timesteps)
                raise Stopped
            if work.due():
                save(timesteps)
        save(timesteps)
    origin = bundle_origin(config, timesteps, [level.name for level in levels])
    bundle.save(models, config.out / "bundle", origin)
    work.finish(timesteps=timesteps, mean_reward=mean, bundle=str(config.out / "bundle"))
    print(f"controller: mean reward {mean:.0f}; the bundle is in {config.out / 'bundle'}")


def bundle_origin(config: PretrainConfig, timesteps: int, levels: list[str]) -> dict[str, Any]:
    """Where the bundle came from."""
    collected = world_model.rollout_timesteps(config) or collect.collected_timesteps(config)
    return {
        **provenance(),
        "seed": config.seed,
        "level_set": config.levels,
        "levels": levels,
        "pretraining_timesteps": {
            "collect": collected if config.needs_world_model else 0,
            "controller": timesteps,
        },
        "base": None if config.base is None else str(config.base),
        "pretraining": {
            "collect": to_dict(config.collect),
            "vision": to_dict(config.vision),
            "memory": to_dict(config.memory),
            "joint": to_dict(config.joint),
            "controller": to_dict(config.controller),
        },
    }
