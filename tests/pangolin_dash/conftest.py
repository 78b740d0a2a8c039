"""What the game's tests share: the acts, and their logic compiled for this machine."""

from __future__ import annotations

import pytest

from pangolin_dash.acts import INTEGRATIONS, SHIPPED, Options, make_acts
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import Simulator

FOLDER = INTEGRATIONS / SHIPPED


@pytest.fixture(scope="session")
def acts() -> list[Act]:
    return make_acts(Options())


@pytest.fixture(scope="session")
def simulator(acts: list[Act]) -> Simulator:
    return Simulator(acts)
