"""The controller stage: train C by PPO on all training levels at once, then save the bundle.

With a teacher C first learns on-policy distillation (arXiv 1511.06295, 2306.13649): C plays, the
teacher says for each state that C comes to how likely it would choose each action, and C minimises
KL(teacher || C). Then PPO goes on with the same loss as an anchor (kickstarting, arXiv 1803.03835).
At the end the policy is sharpened.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agent import bundle
from agent.learning.ppo import PPO, Rollout, UpdateOptions
from agent.models.actor import Models
from pretrain.config import PretrainConfig
from pretrain.data import acts
from pretrain.imitation import SHARE, TEMPERATURE, Imitation
from pretrain.loop import Loop
from pretrain.native import NativeSampler
from pretrain.sampler import Sampler
from pretrain.stage import Seeds, Stage, choose_device, seed_of
from pretrain.stages import collect, memory, scene, world_model
from pretrain.teacher import Teacher
from retro_common.config import to_dict
from retro_common.errors import UsageError
from retro_common.provenance import provenance
from retro_contest import levels

if TYPE_CHECKING:
    from pretrain.cluster import ClusterSampler

RECENT = 10
"""episodes of each level in the mean reward that is shown"""
RECENT_GENERATED = 400
"""the same of all generated acts together; of a thousand acts a level is rarely played"""


def stage(config: PretrainConfig) -> Stage:
    agent = to_dict(config.agent)
    base, inputs = world_model.identity(config)
    training = to_dict(config.controller)
    if "scene" in config.agent.controller.features:
        inputs = (*inputs, scene.stage(config))
    if config.controller.teacher is not None:
        training["teacher"] = Teacher.sha256(config.controller.teacher)
        training["generated_acts"] = config.teacher.generated
    settings = {
        "agent": {"controller": agent["controller"], "reward": agent["reward"]},
        "controller": training,
        "seed": config.seed,
        **base,
    }
    return Stage("controller", config.out / "controller", settings, inputs)


def build(config: PretrainConfig) -> Models:
    """The trained V and M, as far as this run needs them, and an untrained C."""
    torch.manual_seed(seed_of(config.seed, Seeds.CONTROLLER))
    models = Models.build(config.agent)
    if config.needs_world_model:
        models.vision, models.memory = world_model.load(config)
    if models.scene is not None:
        models.scene = scene.load(config)
    if config.controller.untrained_memory:
        torch.manual_seed(seed_of(config.seed, Seeds.CONTROLLER, 3))
        models.memory = memory.build(config)
    if config.controller.encoder_from_vision:
        models.controller.start_from(models.vision.encoder)
    return models


def run(config: PretrainConfig, fresh: bool = False, cluster: str = "") -> None:
    """Train C, going on from the last checkpoint, and write the bundle to ``<out>/bundle``.

    Args:
        cluster: address of a Ray cluster whose nodes play; see `pretrain.cluster`.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: a gradient is not finite; the last good checkpoint is untouched.
    """
    if cluster and config.controller.teacher is not None:
        raise UsageError("--cluster: beside a teacher C plays in one process, without the emulator")
    work = stage(config).open(fresh)
    if work.finished and (config.out / "bundle" / bundle.CONFIG).exists():
        print(f"controller: already done ({config.out / 'bundle'})")
        return
    settings, device = config.controller, choose_device(config.device)
    training_levels = levels.find(config.levels)
    models = build(config).to(device)
    teacher = None if settings.teacher is None else Teacher.load(settings.teacher)
    for network in (models.vision, models.scene, models.controller):
        if network is not None:
            network.to(memory_format=torch.channels_last)
    ppo = PPO(models.controller, settings.ppo, seed_of(config.seed, Seeds.CONTROLLER, 1), device)
    length = max(1, settings.ppo.rollout_length // settings.envs)
    rollout = Rollout.of(config.agent, length, settings.envs)
    parts = {"model": models.controller, "optimizer": ppo.optimizer}
    imitation = None
    if teacher is not None:
        rollout.labels = torch.zeros(length, settings.envs, len(config.agent.actions))
        imitation = Imitation(
            models.controller, settings.ppo, seed_of(config.seed, Seeds.CONTROLLER, 4)
        )
        parts["imitation"] = imitation.optimizer
    threads = torch.get_num_threads()
    # Of each level the last whole episodes: levels with short ones must not outweigh the others.
    recent = [deque[float](maxlen=RECENT) for _ in training_levels]
    generated = deque[float](maxlen=RECENT_GENERATED)
    carried: dict[str, Any] = {"timesteps_per_level": {}}
    mean = float("nan")
    with Loop(
        work,
        settings.timesteps,
        stride=length * settings.envs,
        unit="timesteps",
        track=config.track,
        carried=carried,
        **parts,
    ) as loop:
        sampler = loop.enter_context(
            open_sampler(
                config,
                models,
                teacher,
                seed=seed_of(config.seed, Seeds.CONTROLLER, 2, loop.first),
                timesteps_per_level=carried["timesteps_per_level"],
                cluster=cluster,
            )
        )
        for before in loop:
            timesteps = before + loop.stride
            # For a handful of frames one thread is faster than several, and the emulators need
            # the other cores; while C learns, the emulators pause.
            torch.set_num_threads(1)
            for level, reward in sampler.play(rollout):
                (recent[level] if level < len(recent) else generated).append(reward)
            torch.set_num_threads(threads)
            share = min(1.0, timesteps / settings.timesteps)
            # Without a teacher there are no labels that it could weigh.
            pull = (1 - share) / (1 - SHARE)
            if imitation is not None and share <= SHARE:
                metrics = imitation.update(rollout, share / SHARE)
            else:
                metrics = ppo.update(rollout, share, UpdateOptions(anchor_weight=pull))
            carried["timesteps_per_level"] = sampler.timesteps_per_level()

            scalars = {f"losses/{name}": value for name, value in metrics.items()}
            scalars["charts/timesteps_per_second"] = loop.meter.rate()
            scalars["charts/waited_for_emulators"] = sampler.waited
            for level, rewards in zip(training_levels, recent, strict=True):
                if rewards:
                    scalars[f"episode_reward/{level.state}"] = np.mean(rewards)
            means = [float(np.mean(rewards)) for rewards in recent if rewards]
            if means:
                mean = scalars["charts/episode_reward"] = float(np.mean(means))
            note = f"mean reward {mean:.0f}"
            if generated:
                scalars["charts/generated_reward"] = float(np.mean(generated))
                note += f", in generated acts {scalars['charts/generated_reward']:.0f}"
            loop.log(scalars, f"{note}, entropy {metrics['entropy']:.2f}", timesteps)
    if teacher is not None:
        models.controller.sharpen(TEMPERATURE)
    origin = bundle_origin(config, loop.done, [level.name for level in training_levels], teacher)
    bundle.save(models, config.out / "bundle", origin, half=True)
    # Without an episode since the work went on there is no mean, which is not a failure.
    known = mean if any(recent) else None
    work.finish(timesteps=loop.done, mean_reward=known, bundle=str(config.out / "bundle"))
    print(f"controller: mean reward {mean:.0f}; the bundle is in {config.out / 'bundle'}")


def open_sampler(
    config: PretrainConfig,
    models: Models,
    teacher: Teacher | None,
    *,
    seed: int,
    timesteps_per_level: dict[str, int],
    cluster: str = "",
) -> Sampler | NativeSampler | ClusterSampler:
    """The environments that C learns in: emulators, here or on a cluster's nodes, or beside a
    teacher native worlds."""
    settings, device = config.controller, choose_device(config.device)
    if teacher is not None:
        assert settings.teacher is not None
        known = acts.known_acts(
            config.levels, config.teacher.generated, settings.teacher.parent / acts.MOVIES
        )
        return NativeSampler(
            models, known, settings.envs, teacher=teacher, seed=seed, device=device
        )
    if cluster:
        from pretrain.cluster import ClusterSampler

        return ClusterSampler(
            cluster,
            models,
            levels.find(config.levels),
            settings.envs,
            seed=seed,
            draw_all=config.draw_all,
            timesteps_per_level=timesteps_per_level,
        )
    return Sampler(
        models,
        levels.find(config.levels),
        settings.envs,
        seed=seed,
        device=device,
        draw_all=config.draw_all,
        timesteps_per_level=timesteps_per_level,
    )


def bundle_origin(
    config: PretrainConfig, timesteps: int, names: list[str], teacher: Teacher | None
) -> dict[str, Any]:
    """The origin that the bundle records."""
    collected = world_model.rollout_timesteps(config) or collect.collected_timesteps(config)
    taught, taught_for = {}, {}
    if teacher is not None and config.controller.teacher is not None:
        taught_for = {"teacher": int(teacher.origin.get("timesteps", 0))}
        taught = {
            "teacher": {"sha256": Teacher.sha256(config.controller.teacher), **teacher.origin},
            "generated_seeds": acts.training_seeds(config.teacher.generated),
        }
    return {
        **provenance(),
        "seed": config.seed,
        "level_set": config.levels,
        "levels": names,
        "pretraining_timesteps": {
            "collect": collected if config.needs_world_model else 0,
            "controller": timesteps,
            **({"scene": scene.TIMESTEPS} if "scene" in config.agent.controller.features else {}),
            **taught_for,
        },
        **taught,
        "base": None if config.base is None else str(config.base),
        "pretraining": {
            "collect": to_dict(config.collect),
            "find_player": to_dict(config.find_player),
            "vision": to_dict(config.vision),
            "memory": to_dict(config.memory),
            "joint": to_dict(config.joint),
            "controller": to_dict(config.controller),
        },
    }
