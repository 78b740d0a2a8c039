"""The arms of the score benchmark: the agents of `configs/score.yaml`, made ready to play.

An arm is an agent (a built-in one of the contest, or a command) and, where the command has the
placeholder `{bundle}`, the bundle that it loads. The benchmark plays with a copy of the bundle
from when it starts: a pretraining may overwrite the original meanwhile.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import torch
import yaml

from agent import bundle
from agent.config import AgentConfig
from agent.models.actor import Models
from retro_common.config import FORBID_UNKNOWN, Positive, Rate, merge, read_yaml, to_dict
from retro_common.errors import UsageError
from retro_common.provenance import provenance

PLACEHOLDER = "{bundle}"
NUMBER = "{pretraining}"
Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$")]


@dataclasses.dataclass
class Arm:
    """One agent of the benchmark."""

    description: str
    """the agent in a sentence or two, for docs/results.md"""
    agent: str
    """built-in agent of the contest (random, hold-right, jerk) or a command, in which `{bundle}`
    stands for the bundle and `{socket}`, `{out}`, `{seed}`, `{timesteps}`, `{wallclock}` for
    the same values as in `python -m retro_contest evaluate`"""
    bundle: Path | None = None
    """pretrained bundle; while it is missing, the arm is skipped"""
    pretrainings: Positive = 1
    """so many bundles, from one pretraining each: `{pretraining}` in `bundle` stands for 0, 1, ...,
    and the run with seed s plays number s modulo this. Intervals then cover pretrainings, too"""
    untrained: AgentConfig | None = None
    """in place of `bundle`: an untrained one of this configuration, its weights drawn from the
    seed of each run"""
    online: dict[str, Any] = dataclasses.field(default_factory=dict)
    """settings of the bundle's `agent.online` that are different in this arm"""
    variant_of: Name | None = None
    """the arm that this one differs from in one part and is compared with; a variant has a group of
    its own in the bar chart, and no learning curve"""
    track: Literal["strict", "open", "both"] = "strict"
    """pretrained on the 13 training acts only, or on generated ones, too; `both` for agents that
    are not pretrained"""
    label: str | None = None
    """name in README.md's short table; without it the arm is not in that table"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class ScoreConfig:
    """The mini-contest."""

    arms: dict[Name, Arm]
    """the agents by name; tables have them in this order"""
    levels: str = "pangolin-test"
    """level set"""
    seeds: Positive = 3
    """runs per arm and level, numbered 0, 1, ...; the agent is given the number as its seed"""
    timesteps: Positive = 100_000
    """budget of each run, resets included"""
    wallclock: Rate = 12 * 3600.0
    """budget of each run in seconds"""
    reference: Name = "world-model"
    """the arm with which all others are compared, except the variants of another arm"""
    pretrained: Name = "world-model-zero-shot"
    """the reference without learning: does learning ever make it worse?"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass(frozen=True)
class Contestant:
    """An arm that is ready to play with one seed."""

    arm: str
    command: str
    """agent as `retro_contest.runs.processes.ProcessRunner` takes it"""
    settings: dict[str, Any]
    """all that identifies this contestant: a finished run of other settings is stale"""
    bundle: dict[str, Any] | None
    """where its bundle comes from, for the record"""


def check(config: ScoreConfig) -> None:
    """Raise UsageError for the first arm whose settings contradict each other."""
    for name, arm in config.arms.items():
        if arm.variant_of is not None and arm.variant_of not in config.arms:
            raise UsageError(f"arms.{name}: `variant_of`: there is no arm {arm.variant_of!r}")
        if arm.bundle is not None and arm.untrained is not None:
            raise UsageError(f"arms.{name}: `bundle` and `untrained` exclude each other")
        if arm.online and arm.bundle is None:
            raise UsageError(f"arms.{name}: `online` changes a `bundle`, and there is none")
        if (arm.pretrainings > 1) != (NUMBER in str(arm.bundle)):
            raise UsageError(f"arms.{name}: {NUMBER} in `bundle` and `pretrainings` go together")
        has_bundle = arm.bundle is not None or arm.untrained is not None
        if has_bundle != (PLACEHOLDER in arm.agent):
            raise UsageError(
                f"arms.{name}: {PLACEHOLDER} in `agent` and a `bundle` (or `untrained`) go together"
            )


def bundle_of(arm: Arm, seed: int) -> Path | None:
    """The bundle that the run with this seed plays."""
    if arm.bundle is None:
        return None
    return Path(str(arm.bundle).replace(NUMBER, str(seed % arm.pretrainings)))


def missing(arm: Arm) -> Path | None:
    """The first bundle that the arm needs and that does not exist."""
    for number in range(arm.pretrainings):
        path = bundle_of(arm, number)
        if path is not None and not (path / bundle.CONFIG).exists():
            return path
    return None


def contestant(name: str, arm: Arm, seed: int, work: Path) -> Contestant:
    """Make an arm ready: its bundle is copied, or built, into a folder below `work`.

    Raises:
        UsageError: the bundle is damaged, or a setting of `online` is invalid.
    """
    settings: dict[str, Any] = {"arm": name, "agent": arm.agent, "untrained": None, "bundle": None}
    if arm.pretrainings > 1:
        settings["pretrainings"] = arm.pretrainings
    path = bundle_of(arm, seed)
    if path is None and arm.untrained is None:
        return Contestant(name, arm.agent, settings, None)
    if arm.untrained is not None:
        settings["untrained"] = to_dict(arm.untrained)
        folder = _build(arm.untrained, seed, work / name / f"untrained-{seed}")
    else:
        folder = _copy(path, work / name, arm.online)
    manifest = bundle.load(folder)[1]  # checks the weights, too
    settings["bundle"] = identity(folder)
    origin = {
        "path": None if path is None else path.as_posix(),
        "weights": {part: weight.sha256 for part, weight in manifest.weights.items()},
        "agent": to_dict(manifest.agent),
        "commit": manifest.origin.get("commit"),
        "pretraining_timesteps": manifest.origin.get("pretraining_timesteps", {}),
    }
    command = arm.agent.replace(PLACEHOLDER, shlex.quote(str(folder.resolve())))
    return Contestant(name, command, settings, origin)


def identity(folder: Path) -> str:
    """SHA-256 of a bundle's agent: its configuration as written, and the hashes of its weights."""
    return _identity(_values(folder))


def _identity(values: dict[str, Any]) -> str:
    content = json.dumps([values["agent"], values["weights"]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def pretraining_timesteps(counted: Any) -> int:
    """Sum of a bundle's `pretraining_timesteps`: the data of V and M counts like C's training."""
    if isinstance(counted, dict):
        return sum(pretraining_timesteps(value) for value in counted.values())
    return int(counted or 0)


def _build(config: AgentConfig, seed: int, folder: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        models = Models.build(config)
    bundle.save(models, folder, {**provenance(), "seed": seed, "pretraining_timesteps": {}})
    return folder


def _values(folder: Path) -> dict[str, Any]:
    """A bundle's configuration as it is written."""
    return read_yaml(folder / bundle.CONFIG)


def _copy(original: Path, work: Path, online: dict[str, Any]) -> Path:
    """Copy a bundle, with other settings for learning, into a folder named after its content."""
    manifest = bundle.read_manifest(original)
    values = _values(original)
    if online:
        values["agent"] = merge(values["agent"], {"online": online})
    folder = work / f"bundle-{_identity(values)[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for weight in manifest.weights.values():
            shutil.copyfile(original / weight.file, folder / weight.file)
        (folder / bundle.CONFIG).write_text(yaml.safe_dump(values, sort_keys=False))
    except OSError as error:
        raise UsageError(f"{original}: the bundle cannot be copied: {error}") from None
    return folder
