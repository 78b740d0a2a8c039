"""The V and M that the controller uses: of the run itself, or of its `base`, a run or a bundle."""

from __future__ import annotations

import dataclasses
from typing import Any

from agent import bundle
from agent.models.memory import Memory
from agent.models.vision import Vision
from pretrain.config import PretrainConfig
from pretrain.stage import DONE, SETTINGS, Stage
from pretrain.stages import joint
from retro_common.config import to_dict
from retro_common.errors import UsageError
from retro_common.files import read_json_object
from retro_common.text import shown


def is_bundle(config: PretrainConfig) -> bool:
    """Whether the base is a bundle: the V and M of a finished agent, without rollouts."""
    return config.base is not None and (config.base / bundle.CONFIG).exists()


def base_of(config: PretrainConfig) -> PretrainConfig:
    """The configuration of the run that rollouts, V and M come from.

    It has the base's folder and seed, and otherwise this run's settings: if the base was made with
    others, reading its stages is a `UsageError`.

    Raises:
        UsageError: the base does not exist, or its world model is not finished.
    """
    if config.base is None:
        return config
    last = "joint" if config.joint.steps else "memory"
    if not (config.base / last / DONE).exists():
        raise UsageError(f"base: {config.base}: {last} is not done: finish that run first")
    path = config.base / "collect" / SETTINGS
    seed = read_json_object(path).get("seed")
    if type(seed) is not int or seed < 0:
        raise UsageError(f"base: {path}: damaged: its seed is {shown(seed)}")
    return dataclasses.replace(config, out=config.base, base=None, seed=seed)


def identity(config: PretrainConfig) -> tuple[dict[str, Any], tuple[Stage, ...]]:
    """Settings and inputs that identify this world model in a later stage."""
    if not config.needs_world_model:
        return {}, ()
    if is_bundle(config):
        weights = bundle.read_manifest(config.base).weights
        return {
            "base": {name: weights[name].sha256 for name in weights if name != "controller"}
        }, ()
    return {}, (joint.last_stage(base_of(config)),)


def load(config: PretrainConfig) -> tuple[Vision, Memory]:
    """The trained V and M.

    Raises:
        UsageError: they do not exist, or differ from those that are configured here.
    """
    if not is_bundle(config):
        return joint.load(base_of(config))
    models, manifest = bundle.load(config.base)
    theirs, ours = to_dict(manifest.agent), to_dict(config.agent)
    for key in ("actions", "vision", "memory"):
        if theirs[key] != ours[key]:
            raise UsageError(f"agent.{key}: {ours[key]}, but base {config.base} has {theirs[key]}")
    for part in ("vision", "memory"):
        if part not in manifest.weights:
            raise UsageError(f"base: {config.base}: this bundle has no {part}: its C sees pixels")
    return models.vision, models.memory


def rollout_timesteps(config: PretrainConfig) -> int | None:
    """Timesteps of the rollouts that a base which is a bundle was trained on; None otherwise."""
    if not is_bundle(config):
        return None
    counted = bundle.read_manifest(config.base).origin.get("pretraining_timesteps")
    collected = counted.get("collect") if isinstance(counted, dict) else None
    if type(collected) is not int:
        raise UsageError(f"base: {config.base}: its origin does not say `pretraining_timesteps`")
    return collected
