"""A tiny bundle and a tiny data set, recorded once for all tests of the laboratory."""

from pathlib import Path

import pytest
import torch
from lab_kit import AGENT, LEVELS

from agent import bundle
from agent.models.actor import Models
from lab import embody, record
from lab.body import BODIES
from lab.config import EmbodyConfig, RecordConfig


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("lab") / "bundle"
    bundle.save(Models.build(AGENT), folder, {})
    return folder


@pytest.fixture(scope="session")
def tiny_record(tiny_bundle: Path) -> RecordConfig:
    return RecordConfig(
        out=tiny_bundle.parent / "data",
        levels=LEVELS,
        bundle=tiny_bundle,
        parts=3,
        held_back=1,
        worlds=2,
        timesteps=96,
    )


@pytest.fixture(scope="session")
def tiny_data(tiny_record: RecordConfig) -> Path:
    record.run(tiny_record)
    return tiny_record.out


@pytest.fixture(scope="session")
def tiny_bodies(tiny_bundle: Path, tiny_data: Path) -> Path:
    folder = tiny_bundle.parent / "data-bodies"
    slow, sizes = tiny_bundle.parent / "slow", {"parts": 2, "held_back": 1, "timesteps": 64}
    record.run(RecordConfig(slow, LEVELS, tiny_bundle, body="slow", **sizes))
    own = {"own": {"slow": slow}, "source": tiny_data, "bundle": tiny_bundle, "timesteps": 64}
    embody.run(EmbodyConfig(folder, list(BODIES), **own))
    return folder
