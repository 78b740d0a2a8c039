"""The peers' programs, which import nothing of ours, get the same arrays and as many steps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT

from lab.config import LabConfig
from lab.data import DataSet
from lab.dreams import judged
from lab.method import Shape
from lab.methods import motion
from lab.peers import minari_export, ode, train
from lab.table import CONFIGS
from retro_common.config import load


def test_a_peer_reads_the_arrays_that_ours_read(tiny_data: Path) -> None:
    data = DataSet.open(tiny_data)
    arrays = train.Arrays(tiny_data, np.random.default_rng(0), 32)
    mine = data.training
    assert arrays.sha256 == data.sha256 and arrays.count == 3
    for name in ("features", "actions", "ends", "cuts"):
        np.testing.assert_array_equal(getattr(arrays, name), getattr(mine, name))
    np.testing.assert_array_equal(arrays.rewards, mine.shaped)
    batch = arrays.batch()
    assert batch["features"].shape == (32, 21)
    assert not mine.cuts[arrays.rows].any()


def test_the_ode_reads_the_places_that_the_curves_read(tiny_data: Path) -> None:
    data = DataSet.open(tiny_data).held_back
    arrays = ode.Arrays(tiny_data, "held_back", latent=19)
    method = motion.build(motion.Config(), Shape(features=21, memory=2, acts=2, agent=AGENT))
    for act in range(2):
        rows = arrays.rows(act)[:: ode.EVERY]
        np.testing.assert_array_equal(rows, judged(data, act))
        places, actions = arrays.paths(rows)
        expected = method.paths(data, rows)
        torch.testing.assert_close(places, expected.places)
        assert torch.equal(actions, expected.actions)
    config = load(LabConfig, CONFIGS / "motion.yaml")
    assert (config.steps, config.batch) == (ode.STEPS, ode.BATCH)
    assert (ode.REST, ode.UNIT, ode.BETA) == (motion.REST, motion.UNIT, motion.BETA)


def test_the_odes_field_moves_places_by_their_speed() -> None:
    field = ode.Field(acts=2, actions=3)
    field.actions = torch.zeros(2, 4, 3)
    state = torch.randn(2, 4, 4)
    found = field(torch.tensor(0.0), state)
    assert torch.equal(found[..., :2], state[..., 2:]) and found.shape == state.shape


@pytest.mark.parametrize("peer", train.STEPS)
def test_a_peer_takes_the_steps_that_ours_take(peer: str) -> None:
    config = load(LabConfig, CONFIGS / f"{'scaled-256' if peer == 'scaled' else peer}.yaml")
    assert train.STEPS[peer] == config.steps
    assert (config.batch, config.learning_rate) == (train.BATCH, train.RATE)


def test_minaris_episodes_hold_every_timestep_once(tiny_data: Path) -> None:
    data = DataSet.open(tiny_data).training
    names = [f"0{part}-00{world}.safetensors" for part in range(2) for world in range(4)]
    found = [each for name in names for each in minari_export.episodes(tiny_data, name)]
    actions = np.concatenate([each["actions"] for each in found])
    np.testing.assert_array_equal(actions, data.actions)
    rewards = np.concatenate([each["infos"]["contest_reward"][:-1] for each in found])
    np.testing.assert_array_equal(rewards, data.rewards)
    ends = np.concatenate([each["terminations"] for each in found])
    np.testing.assert_array_equal(ends, data.ends)
    for each in found:
        steps = len(each["actions"])
        assert len(each["observations"]) == steps + 1 == len(each["infos"]["level"])
        assert each["terminations"][-1] != each["truncations"][-1]
