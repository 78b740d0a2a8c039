"""Configurations of the laboratory: what to record, and how one method is run on it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import pydantic

from lab.body import BODIES, HOME
from retro_common.config import FORBID_UNKNOWN, NotNegative, Positive, Rate

Seed = Annotated[int, pydantic.Field(ge=0, lt=1 << 63)]
Count = Annotated[int, pydantic.Field(ge=0)]


@dataclasses.dataclass
class RecordConfig:
    """A data set: who plays, where, and for how long. Equal settings give equal bytes."""

    out: Path
    """folder of the data set"""
    levels: str = "pangolin-train"
    """acts of Pangolin Dash: a level set's name, or levels"""
    bundle: Path = Path("bundles/pangolin")
    """its V and M make the features, its C is the behaviour `controller`"""
    behaviours: dict[str, NotNegative] = dataclasses.field(
        default_factory=lambda: {"controller": 0.3, "noisy": 0.3, "random": 0.2, "hold-right": 0.2}
    )
    """how the episodes are played, by weight; see `lab.record`"""
    parts: Positive = 12
    """parts that are recorded one after the other"""
    held_back: Count = 2
    """the last parts, which nothing is trained on"""
    worlds: Positive = 1
    """worlds of each act in a part"""
    timesteps: Positive = 2048
    """timesteps of each world in a part"""
    body: str = HOME.name
    """what the worlds are seen and steered through, see `lab.body`"""
    seed: Seed = 0

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        if self.held_back >= self.parts:
            raise ValueError("held_back must be smaller than parts")
        if self.body not in BODIES:
            raise ValueError(f"no such body: {self.body}; there are {', '.join(BODIES)}")


@dataclasses.dataclass
class EmbodyConfig:
    """A data set of several bodies, made from recorded ones; see `lab.embody`."""

    out: Path
    """folder of the data set"""
    bodies: list[str]
    """see `lab.body.BODIES`"""
    source: Path = Path("runs/lab/data")
    """folder of the recorded data set"""
    own: dict[str, Path] = dataclasses.field(default_factory=dict)
    """folders of data sets that bodies have recorded themselves, by name: a body of other timesteps
    cannot be given what was recorded at home"""
    bundle: Path = Path("bundles/pangolin")
    """its V and M make the features: the bundle that recorded"""
    timesteps: Positive = 1536
    """timesteps of each act and body, and as many that are held back"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class OnlineConfig:
    """Playing while learning: the method's policy plays, and what it played is learnt from. PPO
    learns from its newest rollout, and takes the numbers of timesteps and worlds alone."""

    timesteps: Positive
    """timesteps over all worlds"""
    worlds: Positive = 26
    """worlds side by side, spread evenly over the acts"""
    every: Positive = 4
    """timesteps for each gradient step"""
    warm_up: Count = 2_000
    """first timesteps without gradient steps"""
    capacity: Positive = 300_000
    """timesteps that are kept"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class LabConfig:
    """A run of a method."""

    method: str
    """see `lab.__main__.METHODS`"""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """the method's own, see the dataclass `Config` of its module"""
    out: Path = Path("runs/lab")
    """the run's folder is OUT/NAME-SEED, NAME being the configuration file's"""
    results: Path = Path("lab/results/runs")
    """folder that the run's figures are written to"""
    data: Path = Path("runs/lab/data")
    """folder of the data set"""
    other: Path | None = None
    """folder of a data set of other acts that nothing is learnt from: the method's measures are
    taken on it at the end, too, and a method that adapts to rewards finds those of `held_out`
    there"""
    bundle: Path = Path("bundles/pangolin")
    """its V and M look at the worlds that are played"""
    start: str = ""
    """what the weights begin with: the name of another configuration, for its run of the same seed;
    or `bundle`, for the bundle's C and M; of a run that has made an agent, that agent's. The curve
    then begins before the first step"""
    seed: Seed = 0
    steps: Count = 20_000
    """gradient steps on the recorded data"""
    batch: Positive = 256
    """timesteps in a gradient step"""
    learning_rate: Rate = 3e-4
    """Adam's step size"""
    online: OnlineConfig | None = None
    """learn while playing, not from the recorded data"""
    episodes: Count = 16
    """episodes of each act in a score; 0 for none"""
    held_out: str = ""
    """levels that are played at the end as well, for a score that nothing is chosen by"""
    curve: list[Count] = dataclasses.field(default_factory=list)
    """steps, or timesteps, after which measures and score are taken; those of the end always are"""

    __pydantic_config__ = FORBID_UNKNOWN
