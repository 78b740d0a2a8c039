"""The run that V and M come from: the configured run itself, or its `base`."""

from __future__ import annotations

import dataclasses
import json

from agent.errors import UsageError
from agent.memory import Memory
from agent.vision import Vision
from pretrain import joint
from pretrain.config import PretrainConfig


def base_of(config: PretrainConfig) -> PretrainConfig:
    """The configuration of the run that rollouts, V and M come from.

    It has the base's folder and seed, and all else as configured here: where the base was made with
    other settings, its stages complain when they are opened.

    Raises:
        UsageError: the base is not there, or its world model is not finished.
    """
    if config.base is None:
        return config
    last = "joint" if config.joint.steps else "memory"
    if not (config.base / last / "done.json").exists():
        raise UsageError(f"base: {config.base}: {last} is not done: finish that run first")
    collected = json.loads((config.base / "collect" / "settings.json").read_text())
    return dataclasses.replace(config, out=config.base, base=None, seed=collected["seed"])


def fingerprint(config: PretrainConfig) -> str:
    """Tells this world model from others."""
    return joint.last_stage(base_of(config)).fingerprint


def load(config: PretrainConfig) -> tuple[Vision, Memory]:
    """The trained V and M."""
    return joint.load(base_of(config))
