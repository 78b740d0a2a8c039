"""The recorded data set, and the samplers on it."""

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT

from agent import bundle
from agent.models.memory import State
from lab import record
from lab.config import RecordConfig
from lab.data import Data, DataSet
from pretrain.data.shards import Shard, open_arrays
from pretrain.stage import Stopped
from retro_common.errors import UsageError


def test_the_parts_are_whole_episodes_seen_by_v_and_m(tiny_data: Path, tiny_bundle: Path) -> None:
    data = DataSet.open(tiny_data)
    assert len(data.training) == 2 * 4 * 96 and len(data.held_back) == 4 * 96
    arrays, facts = open_arrays(tiny_data / "features/00-001.safetensors")
    shard = Shard(tiny_data / "shards/00-001.safetensors")
    assert facts["act"] == 1 and shard.level == data.levels[1]
    np.testing.assert_array_equal(data.training.frames(np.array([96])), shard.frames(0, 1))
    models, _ = bundle.load(tiny_bundle)
    latent, goes_on = AGENT.vision.latent, ~shard.ends[:-1]
    with torch.no_grad():
        z = torch.from_numpy(arrays["features"][:, :latent].astype(np.float32))
        zeros = torch.zeros(1, AGENT.memory.hidden)
        hidden, _ = models.memory(
            z[None], torch.from_numpy(shard.actions.copy())[None], State(zeros, zeros.clone())
        )
    # Until the first episode's end, h is M's answer to the latents before.
    first = int(np.argmin(np.append(goes_on, False)))
    known = arrays["features"][1 : first + 1, latent:].astype(np.float32)
    assert first > 10 and np.abs(known - hidden[0, :first].numpy()).max() < 5e-3
    assert np.abs(known).max() > 0.01 and len(np.unique(shard.actions)) > 1


def test_a_seed_gives_the_same_bytes(tiny_record: RecordConfig, tiny_data: Path) -> None:
    known = DataSet.open(tiny_data).sha256
    again = dataclasses.replace(tiny_record, out=tiny_data.parent / "again")
    record.run(again)
    assert DataSet.open(again.out).sha256 == known
    other = dataclasses.replace(tiny_record, out=tiny_data.parent / "other", seed=1)
    record.run(other)
    assert DataSet.open(other.out).sha256 != known


def test_a_missing_or_damaged_data_set_is_refused(
    tiny_record: RecordConfig, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="python -m lab record"):
        DataSet.open(tmp_path)
    with pytest.raises(UsageError, match="behaviours: choose from"):
        unknown = dataclasses.replace(tiny_record, out=tmp_path, behaviours={"sleep": 1.0})
        record.run(unknown)
    with pytest.raises(UsageError, match="made with other settings"):
        record.run(dataclasses.replace(tiny_record, seed=5))


@pytest.mark.parametrize("change", [b"", b"[]", b"{}", b'{"training": 3}', b'{"training": ["x"]}'])
def test_a_damaged_index_is_one_line(tiny_data: Path, tmp_path: Path, change: bytes) -> None:
    (tmp_path / "data.json").write_bytes(change)
    with pytest.raises(UsageError) as caught:
        DataSet.open(tmp_path)
    assert "\n" not in str(caught.value)


def numbered(size: int, stride: int = 1) -> Data:
    """Timesteps whose features are their number, and whose reward is 1."""
    data = Data(size, 1, 1, stride=stride)
    data.features[:, 0] = np.arange(size)
    data.shaped[:] = 1
    data.count = size
    return data


def test_returns_over_several_timesteps_stop_at_ends_and_cuts() -> None:
    data = numbered(12)
    data.ends[5] = True
    data.cuts[[9, 11]] = True
    batch = data.batch(np.random.default_rng(0), 500, n=3, gamma=0.5)
    at = batch.seen.features[:, 0].long()
    assert set(at.tolist()) == set(range(12)) - {9, 11}, "behind a cut nothing is known"
    by = {int(t): i for i, t in enumerate(at)}

    def row(t: int) -> tuple[float, float, float]:
        i = by[t]
        return tuple(
            float(x[i]) for x in (batch.rewards, batch.discounts, batch.following.features[:, 0])
        )

    assert row(0) == (1.75, 0.125, 3)
    assert row(3)[:2] == (1.75, 0) and row(4)[:2] == (1.5, 0) and row(5)[:2] == (1, 0)
    assert row(8) == (1, 0.5, 9), "the value of the last known timestep stands for the rest"


def test_data_that_grows_keeps_the_newest_and_never_crosses_from_new_to_old() -> None:
    data = Data(12, 1, 1, stride=2)
    for t in range(9):
        data.add(
            features=np.array([[t], [t]], np.float16),
            memory=np.zeros((2, 1), np.float16),
            actions=np.zeros(2, np.int64),
            acts=np.array([0, 1]),
            rewards=np.zeros(2, np.float32),
            shaped=np.ones(2, np.float32),
            ends=np.array([False, t == 6]),
            cuts=np.array([t == 5, False]),
        )
    batch = data.batch(np.random.default_rng(0), 400, n=1)
    pairs = set(
        zip(
            batch.seen.acts.tolist(),
            batch.seen.features[:, 0].tolist(),
            batch.following.features[:, 0].tolist(),
            strict=True,
        )
    )
    # Timesteps 3 to 8 are kept; world 0's episode was cut with 5, world 1's ended with 6.
    assert {p for p in pairs if p[0] == 0} == {(0, t, t + 1) for t in (3, 4, 6, 7)}
    assert {p[:2] for p in pairs if p[0] == 1} == {(1, t) for t in (3, 4, 5, 6, 7)}


def test_the_best_episodes_of_each_act() -> None:
    data = numbered(40)
    data.acts[20:] = 1
    data.ends[9::10] = True
    data.rewards[:] = np.repeat([1, 5, 3, 2], 10)
    assert data.returns()[::10].tolist() == [10, 50, 30, 20]
    best = data.best(0.5)
    assert sorted(best) == list(range(10, 30))


def test_a_recording_that_was_stopped_goes_on_to_the_same_bytes(
    tiny_record: RecordConfig, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(tiny_record, out=tiny_data.parent / "stopped")
    calls = iter(range(10_000))

    class Stopping(record.Players):
        def after_step(self, ended: np.ndarray) -> None:
            super().after_step(ended)
            if next(calls) == 150:  # within the second part
                signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(record, "Players", Stopping)
        with pytest.raises(Stopped):
            record.run(config)
    assert len(list((config.out / "shards").iterdir())) == 4
    record.run(config)
    assert DataSet.open(config.out).sha256 == DataSet.open(tiny_data).sha256
