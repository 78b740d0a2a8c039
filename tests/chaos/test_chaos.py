"""A few kills of every long-running command; `make chaos` has many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.harness import Chaos
from tests.chaos.targets import Agent, Collect, Evaluate, Pretrain

SEED = 0


@pytest.fixture(scope="module")
def pretrain(tmp_path_factory: pytest.TempPathFactory) -> Chaos:
    return Chaos(Pretrain(), tmp_path_factory.mktemp("pretrain"), SEED)


@pytest.fixture(scope="module")
def pretrained(pretrain: Chaos) -> dict[str, Any]:
    """The result of an undisturbed pretraining."""
    return pretrain.reference()


@pytest.mark.slow
def test_pretrain(pretrain: Chaos, pretrained: dict[str, Any]) -> None:
    report = pretrain.kill(2, pretrained, chain_of=2)
    assert report.kills == 2 and report.faults == []


@pytest.mark.slow
def test_collect(pretrain: Chaos, pretrained: dict[str, Any], tmp_path: Path) -> None:
    chaos = Chaos(Collect(), tmp_path, SEED)
    shards = chaos.reference(pretrain.folder / "reference")
    assert len(shards) == 4 and shards.items() <= pretrained.items()
    report = chaos.kill(2, shards, within=pretrain.report.seconds / 2, chain_of=2)
    assert report.kills == 2 and report.faults == []


@pytest.mark.slow
def test_evaluate(tmp_path: Path) -> None:
    chaos = Chaos(Evaluate(timesteps=200), tmp_path, SEED)
    report = chaos.kill(2, chaos.reference(), chain_of=2)
    assert report.kills == 2 and report.faults == []


@pytest.mark.slow
def test_agent(pretrain: Chaos, pretrained: dict[str, Any], tmp_path: Path) -> None:
    chaos = Chaos(Agent(pretrain.folder / "reference/run/bundle", 100), tmp_path, SEED)
    report = chaos.kill(2, chaos.reference(), chain_of=2)
    assert report.kills == 2 and report.faults == []
