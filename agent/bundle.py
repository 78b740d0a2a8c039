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

import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError

from agent.config import AgentConfig
from agent.models.actor import Models
from retro_common.config import FORBID_UNKNOWN, to_dict, validate
from retro_common.errors import UsageError
from retro_common.files import write_atomically

FORMAT = 2
CONFIG = "config.yaml"
PARTS = ("vision", "memory", "controller")


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


def save(models: Models, folder: Path, origin: dict[str, Any]) -> None:
    """Write the bundle of these models into `folder`, replacing the one that is there.

    Raises:
        OSError: the folder cannot be written; what was there stays whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, module in models.parts().items():
        tensors = {
            key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()
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
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"{folder}: not a bundle: it has no {CONFIG}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or "format" not in values:
        raise UsageError(f"{path}: not a bundle's configuration: no key `format`")
    if values["format"] != FORMAT:
        raise UsageError(
            f"{path}: bundle format {values['format']!r}, but this version reads format {FORMAT}:"
            " pretrain again, or use the version of the kit that wrote it"
        )
    return validate(Manifest, values, str(path))


def load(folder: Path, device: torch.device | str = "cpu") -> tuple[Models, Manifest]:
    """Load a bundle.

    Raises:
        UsageError: it is missing, truncated, changed, or its weights do not fit its configuration.
    """
    manifest = read_manifest(folder)
    models = Models.build(manifest.agent)
    for name, module in models.parts().items():
        if name not in manifest.weights:
            raise UsageError(f"{folder}: the bundle has no weights for {name}")
        weight = manifest.weights[name]
        if Path(weight.file).name != weight.file:
            raise UsageError(f"{folder}: weight file {weight.file!r} lies outside the bundle")
        module.load_state_dict(_read_weights(folder / weight.file, weight.sha256, module))
    return models.to(device), manifest


def _read_weights(path: Path, sha256: str, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: the bundle's weights cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UsageError(f"{path}: truncated or changed: its SHA-256 is not the bundle's")
    try:
        tensors = safetensors.torch.load(content)
    except SafetensorError as error:
        raise UsageError(f"{path}: not a safetensors file: {error}") from None
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise UsageError(
                f"{path}: weights do not fit the configuration: {key} is"
                f" {found.get(key, 'missing')}, should be {expected.get(key, 'absent')}"
            )
    return tensors
