"""The peers' programs, which import nothing of ours, get the same arrays and as many steps."""

from pathlib import Path

import numpy as np
import pytest

from lab.config import LabConfig
from lab.data import DataSet
from lab.peers import minari_export, train
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
