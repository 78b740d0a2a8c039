"""The bundle: one folder that holds a whole agent, ``config.yaml`` + ``*.safetensors``.

``config.yaml`` holds the agent's configuration, the name and SHA-256 of every weight file, and the
bundle's origin. Only networks that the agent uses are saved. The file is written last, in one step,
and weight files carry their hash in their name: a process that is killed while saving leaves the
old bundle or the new one, never a mixture.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError

from agent.actions import action_table
from agent.config import AgentConfig
from agent.models.actor import MAX_PARAMETERS, Actor, Models
from agent.models.frames import SIZE
from retro_common.config import FORBID_UNKNOWN, read_yaml, to_dict, validate
from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_plain, write_atomically
from retro_common.text import clean, shown

FORMAT = 2
CONFIG = "config.yaml"
MAX_BYTES = 4 * MAX_PARAMETERS + (1 << 20)
"""bytes that a weight file may have"""
PARTS = ("vision", "memory", "scene", "controller")


@dataclasses.dataclass
class WeightFile:
    """A weight file of the bundle."""

    file: str
    sha256: str

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Manifest:
    """The content of a bundle's ``config.yaml``."""

    format: int
    agent: AgentConfig
    weights: dict[str, WeightFile]
    origin: dict[str, Any] = dataclasses.field(default_factory=dict)

    __pydantic_config__ = FORBID_UNKNOWN


def save(models: Models, folder: Path, origin: dict[str, Any], *, half: bool = False) -> None:
    """Write the bundle of these models into `folder`, replacing the one that is there.

    Args:
        half: store weights with half precision (float16). They are rounded by 0.05% at most, and
            the files have half the size.

    Raises:
        OSError: the folder cannot be written; what was there stays whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, module in models.parts().items():
        tensors = {
            key: _stored(value, half).contiguous() for key, value in module.state_dict().items()
        }
        content = safetensors.torch.save(tensors)
        digest = hashlib.sha256(content).hexdigest()
        weights[name] = WeightFile(f"{name}-{digest[:12]}.safetensors", digest)
        if not (folder / weights[name].file).exists():
            write_atomically(folder / weights[name].file, content)
    manifest = to_dict(Manifest(FORMAT, models.config, weights, origin))
    write_atomically(folder / CONFIG, yaml.safe_dump(manifest, sort_keys=False).encode())
    current = {weight.file for weight in weights.values()}
    for name in PARTS:
        for stale in folder.glob(f"{name}-*.safetensors"):
            if stale.name not in current:
                stale.unlink()


def read_manifest(folder: Path) -> Manifest:
    """Read and check a bundle's ``config.yaml``.

    Raises:
        UsageError: there is no bundle, or it is not one this version can read.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise UsageError(f"{folder}: no bundle there (no such folder)")
    try:
        values = read_yaml(path)
    except UnreadableFile as error:
        if error.missing:
            raise UsageError(f"{folder}: not a bundle: it has no {CONFIG}") from None
        raise UsageError(f"{path}: cannot be read: {error.why}") from None
    if not isinstance(values, dict) or "format" not in values:
        raise UsageError(f"{path}: not a bundle's configuration: no key `format`")
    # Not `==`: true and 1.0 are no formats.
    if type(values["format"]) is not int or values["format"] != FORMAT:
        raise UsageError(
            f"{path}: bundle format {shown(values['format'])}, but this version reads format"
            f" {FORMAT}: pretrain again, or use the version of the kit that wrote it"
        )
    return validate(Manifest, values, str(path))


def load(folder: Path, device: torch.device | str = "cpu") -> tuple[Models, Manifest]:
    """Load a bundle.

    All files are checked against the configuration before a network is built.

    Raises:
        UsageError: it is missing, truncated, changed, its weights do not fit its configuration, or
            it cannot act with them.
    """
    manifest = read_manifest(folder)
    action_table(manifest.agent.actions)
    weights = {}
    for name, module in Models.plan(manifest.agent).parts().items():
        if name not in manifest.weights:
            raise UsageError(f"{folder}: the bundle has no weights for {name}")
        weight = manifest.weights[name]
        if Path(weight.file).name != weight.file:
            raise UsageError(f"{folder}: weight file {shown(weight.file)} lies outside the bundle")
        weights[name] = _read_weights(folder / weight.file, weight.sha256, module)
    models = Models.build(manifest.agent)
    for name, module in models.parts().items():
        module.load_state_dict(weights[name])
    if not _can_act(models):
        raise UsageError(f"{folder}: the weights are so large that the agent cannot act with them")
    return models.to(device), manifest


def _read_weights(path: Path, sha256: str, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a file; `module` gives their names, shapes and types."""
    try:
        content = read_plain(path, MAX_BYTES)
    except UnreadableFile as error:
        raise UsageError(
            f"{clean(path, 400)}: the bundle's weights cannot be read: {error.why}"
        ) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UsageError(f"{path}: truncated or changed: its SHA-256 is not the bundle's")
    try:
        tensors = {
            key: value.float() if value.dtype == torch.float16 else value
            for key, value in safetensors.torch.load(content).items()
        }
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{path}: not a safetensors file: {clean(error)}") from None
    expected = {key: _kind(value) for key, value in module.state_dict().items()}
    found = {key: _kind(value) for key, value in tensors.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise UsageError(
                f"{path}: weights do not fit the configuration: {clean(key, 80)} is"
                f" {found.get(key, 'missing')}, should be {expected.get(key, 'absent')}"
            )
        if not torch.isfinite(tensors[key]).all():
            raise UsageError(f"{path}: damaged: {key} holds numbers that are not finite")
    return tensors


def _stored(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    return tensor.half() if half and tensor.is_floating_point() else tensor


def _kind(tensor: torch.Tensor) -> str:
    return clean(f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}")


def _can_act(models: Models) -> bool:
    """Whether a timestep gives finite numbers; finite weights may be too large for that."""
    actor = Actor(models, envs=1, seed=0)
    frame = np.random.default_rng(0).integers(256, size=(1, SIZE, SIZE, 3), dtype=np.uint8)
    features = actor.observe(frame)
    with torch.inference_mode():
        log_probs, values = models.controller(features)
    actor.remember(features, torch.zeros(1, dtype=torch.int64), np.zeros(1), np.array([False]))
    results = (features.z, log_probs, values, actor.state.h, actor.state.c)
    return all(bool(torch.isfinite(each).all()) for each in results)
