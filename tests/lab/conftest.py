"""A tiny bundle and a tiny data set, recorded once for all tests of the laboratory."""

from pathlib import Path

import pytest
import torch
from lab_kit import AGENT, EIGHT, LEVELS

from agent import bundle
from agent.config import AgentConfig
from agent.models.actor import Models
from lab import embody, record
from lab.body import BODIES
from lab.config import EmbodyConfig, RecordConfig

RECORDED = {"parts": 3, "held_back": 1, "worlds": 2, "timesteps": 96}


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(AGENT, tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="session")
def body_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For bodies, one of which plays another game with six actions."""
    return save(EIGHT, tmp_path_factory.mktemp("bodies"))


def save(agent: AgentConfig, folder: Path) -> Path:
    torch.manual_seed(0)
    bundle.save(Models.build(agent), folder / "bundle", {})
    return folder / "bundle"


@pytest.fixture(scope="session")
def tiny_record(tiny_bundle: Path) -> RecordConfig:
    return RecordConfig(tiny_bundle.parent / "data", LEVELS, tiny_bundle, **RECORDED)


@pytest.fixture(scope="session")
def tiny_data(tiny_record: RecordConfig) -> Path:
    record.run(tiny_record)
    return tiny_record.out


@pytest.fixture(scope="session")
def body_data(body_bundle: Path) -> Path:
    config = RecordConfig(body_bundle.parent / "data", LEVELS, body_bundle, **RECORDED)
    record.run(config)
    return config.out


@pytest.fixture(scope="session")
def tiny_bodies(body_bundle: Path, body_data: Path) -> Path:
    folder = body_bundle.parent / "data-bodies"
    slow, ship = (body_bundle.parent / name for name in ("slow", "airstriker"))
    sizes = {"parts": 2, "held_back": 1, "timesteps": 64}
    record.run(RecordConfig(slow, LEVELS, body_bundle, body="slow", **sizes))
    played = {"levels": "airstriker", "worlds": 2, "behaviours": {"random": 1, "firing": 1}}
    record.run(RecordConfig(ship, bundle=body_bundle, body="airstriker", **played, **sizes))
    alone = {"slow": slow, "airstriker": ship}
    given = {"own": alone, "source": body_data, "bundle": body_bundle, "timesteps": 64}
    embody.run(EmbodyConfig(folder, list(BODIES), **given))
    return folder
