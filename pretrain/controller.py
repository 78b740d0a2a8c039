"""The controller stage: train C by PPO on all training levels at once, then pack the bundle."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch

import contest.levels
from agent import bundle
from agent.actions import action_table
from agent.config import to_dict
from agent.frames import ShrinkFrames
from agent.player import Models, Player
from agent.ppo import PPO, Rollout
from agent.provenance import provenance
from agent.rewards import RewardShaper
from contest.vector import VectorEnv
from pretrain import joint
from pretrain.config import PretrainConfig
from pretrain.errors import Diverged, Stopped
from pretrain.stage import (
    Meter,
    Stage,
    StopRequest,
    choose_device,
    seed_of,
)

COMPONENT = 4  # this stage's place in the run's seed


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    agent = to_dict(config.agent)
    settings = {
        "controller": agent["controller"],
        "reward": agent["reward"],
        "training": to_dict(config.controller),
        "seed": config.seed,
        "memory": joint.last_stage(config).fingerprint,
    }
    return Stage("controller", config.out / "controller", settings, fresh)


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
    levels = contest.levels.find(config.levels)

    torch.manual_seed(seed_of(config.seed, COMPONENT))
    models = Models.build(config.agent)
    models.vision, models.memory = joint.load(config)
    models.controller.start_from(models.vision.encoder)
    models.to(device)
    ppo = PPO(models.controller, settings.ppo, seed_of(config.seed, COMPONENT, 1), device)
    first = 0
    if checkpoint := work.restore():
        models.controller.load_state_dict(checkpoint["controller"])
        ppo.optimizer.load_state_dict(checkpoint["optimizer"])
        first = checkpoint["timesteps"]

    def save(timesteps: int) -> None:
        work.save(
            {
                "controller": models.controller.state_dict(),
                "optimizer": ppo.optimizer.state_dict(),
                "timesteps": timesteps,
            }
        )

    threads = torch.get_num_threads()
    env_seed = seed_of(config.seed, COMPONENT, 2, first)
    buttons = action_table(config.agent.actions)
    vector = VectorEnv(
        levels, settings.envs, seed=env_seed, wrap=ShrinkFrames, draw_all=config.draw_all
    )
    with (
        StopRequest() as stop,
        Meter("controller", settings.timesteps, "timesteps", first) as meter,
        work.writer(first) as writer,
        vector as env,
    ):
        player = Player(models, settings.envs, seed=env_seed, device=device)
        shape_reward = RewardShaper(config.agent.reward, settings.envs)
        length = max(1, settings.ppo.rollout // settings.envs)
        rollout = Rollout(
            length,
            settings.envs,
            config.agent.vision.latent,
            config.agent.memory.hidden,
            player.needs_pixels,
        )
        # Of each level its last episodes: levels with short episodes must not outweigh the others.
        recent = [deque[float](maxlen=10) for _ in levels]
        frames, _ = env.reset()
        timesteps = first
        while timesteps < settings.timesteps:
            # Play one rollout in all environments at once. For a handful of frames one thread is
            # faster than several, and the emulators need the other cores.
            torch.set_num_threads(1)
            for t in range(length):
                features = player.observe(frames)
                decision = player.act(features)
                env.step_async(buttons[decision.actions.cpu().numpy()])
                following, rewards, terminated, truncated, info = env.step_wait()
                ended = terminated | truncated
                rollout.store(t, features, frames, decision, shape_reward(rewards, ended), ended)
                player.remember(features, decision.actions, ended)
                frames = following
                for episode in info["episodes"]:
                    recent[episode.level].append(episode.reward)
            rollout.last_values = player.act(player.observe(frames)).values.cpu().clone()
            timesteps += length * settings.envs

            # Learn from it.
            torch.set_num_threads(threads)
            try:
                metrics = ppo.update(rollout, min(1.0, timesteps / settings.timesteps))
            except FloatingPointError as error:
                raise Diverged(
                    f"controller: {error} at timestep {timesteps};"
                    f" the last good checkpoint is {work.folder}/checkpoint.pt"
                ) from None
            for name, value in metrics.items():
                writer.add_scalar(f"losses/{name}", value, timesteps)
            writer.add_scalar("charts/timesteps_per_second", meter.rate(), timesteps)
            played = [float(np.mean(rewards)) for rewards in recent if rewards]
            mean = float(np.mean(played)) if played else float("nan")
            if played:
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
    return {
        **provenance(),
        "seed": config.seed,
        "level_set": config.levels,
        "levels": levels,
        "pretraining_timesteps": {
            "collect": config.collect.timesteps,
            "controller": timesteps,
        },
        "pretraining": {
            "collect": to_dict(config.collect),
            "vision": to_dict(config.vision),
            "memory": to_dict(config.memory),
            "joint": to_dict(config.joint),
            "controller": to_dict(config.controller),
        },
    }
