"""Shards: what is written is read, in any order; what is damaged is named, never read."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.data.latents import Lanes
from pretrain.data.movies import find_movie
from pretrain.data.shards import (
    DamagedShard,
    Origin,
    Shard,
    ShardSet,
    ShardWriter,
    open_arrays,
    save_arrays,
)
from retro_common.errors import UsageError


def frames(count: int, seed: int = 0) -> np.ndarray:
    """Frames as games have them: flat areas and some noise."""
    rng = np.random.default_rng(seed)
    images = np.repeat(rng.integers(256, size=(count, 64, 64, 1), dtype=np.uint8), 3, axis=3)
    images[:, 20:] = 40
    return images


def write(path: Path, lengths: list[int], seed: int = 0, cut: bool = True) -> np.ndarray:
    """A shard whose episodes have these lengths; with `cut`, the last one did not end."""
    images = frames(sum(lengths), seed)
    writer = ShardWriter("Game/State", ("x", "y"))
    t = 0
    for number, length in enumerate(lengths):
        for step in range(length):
            last = step == length - 1 and not (cut and number == len(lengths) - 1)
            values = {"x": t, "y": -t}
            writer.add(images[t], t % 5, float(t), step == 0, last, values)
            t += 1
    writer.write(path, {"seed": seed})
    return images


def test_what_is_written_is_read(tmp_path: Path) -> None:
    images = write(tmp_path / "a", [10, 20, 5])
    shard = Shard(tmp_path / "a")
    assert len(shard) == 35 and shard.level == "Game/State" and shard.metadata["seed"] == 0
    for t in np.random.default_rng(0).permutation(35):
        assert np.array_equal(shard.frame(t), images[t])
    assert np.array_equal(shard.frames(3, 9), images[3:9])
    assert shard.actions.tolist() == [t % 5 for t in range(35)]
    assert shard.rewards.tolist() == list(range(35))
    assert shard.variables[7].tolist() == [7, -7] and shard.variable_names == ["x", "y"]
    episodes = [(e.first, e.last, e.ended) for e in shard.episodes(0)]
    assert episodes == [(0, 10, True), (10, 30, True), (30, 35, False)]
    assert (tmp_path / "a").stat().st_size < images.nbytes / 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_anywhere_is_found(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    folder = tmp_path_factory.mktemp("shards")
    write(folder / "a", [8, 8])
    content = bytearray((folder / "a").read_bytes())
    if data.draw(st.booleans(), "truncate"):
        del content[data.draw(st.integers(0, len(content) - 1), "length") :]
    else:
        content[data.draw(st.integers(0, len(content) - 1), "place")] ^= data.draw(
            st.integers(1, 255), "bits"
        )
    (folder / "b").write_bytes(content)
    try:
        shard = Shard(folder / "b")
    except DamagedShard as error:
        assert str(folder / "b") in str(error) and "\n" not in str(error)
    else:  # the damage is in a place that carries nothing, such as white space of the header
        good = Shard(folder / "a")
        assert np.array_equal(shard.frames(0, 16), good.frames(0, 16))
        assert np.array_equal(shard.rewards, good.rewards)


def rewrite(path: Path, change) -> None:
    """Write a shard anew with changed arrays and metadata, and right checksums."""
    arrays, metadata = open_arrays(path)
    arrays = {name: np.array(array) for name, array in arrays.items()}
    change(arrays, metadata)
    save_arrays(path, arrays, metadata)


def bomb(arrays: dict, metadata: dict) -> None:
    """The first frame states that it is 256 MiB, and is."""
    blob = np.frombuffer(zstandard.ZstdCompressor().compress(bytes(256 << 20)), np.uint8)
    first = arrays["offsets"][1]
    arrays["frames"] = np.concatenate([blob, arrays["frames"][first:]])
    arrays["offsets"][1:] += len(blob) - first


def test_a_frame_that_is_a_bomb_is_not_decompressed(tmp_path: Path) -> None:
    write(tmp_path / "a", [8])
    rewrite(tmp_path / "a", bomb)
    shard = Shard(tmp_path / "a")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DamagedShard, match="frame 0 states another size"):
        shard.frame(0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
    assert shard.frame(1).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda a, m: a.pop("actions"),
        lambda a, m: a.update(actions=a["actions"].astype(np.float32)),
        lambda a, m: a.update(actions=a["actions"] - 5),
        lambda a, m: a.update(rewards=a["rewards"][:-1]),
        lambda a, m: a.update(rewards=np.full_like(a["rewards"], np.nan)),
        lambda a, m: a.update(offsets=a["offsets"][::-1]),
        lambda a, m: a.update(offsets=a["offsets"] + 1000),
        lambda a, m: a.update(starts=np.zeros_like(a["starts"])),
        lambda a, m: a.update({name: array[:0] for name, array in a.items()}),
        lambda a, m: m.update(level=3),
        lambda a, m: m.update(variables=7),
        lambda a, m: m.pop("level"),
    ],
)
def test_arrays_that_are_no_shard_are_refused(tmp_path: Path, change) -> None:
    write(tmp_path / "a", [8, 8])
    rewrite(tmp_path / "a", change)
    with pytest.raises(DamagedShard, match=r"/a: damaged") as caught:
        Shard(tmp_path / "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b'{"__metadata__": 3}',
        b'{"__metadata__": {"metadata": "[]"}}',
        b'{"__metadata__": {"metadata": "{\\"crc32\\": 3}"}, "a": 5}',
        b'{"__metadata__": {"metadata": "{\\"crc32\\": {}}"}, "a": {"dtype": "U8",'
        b' "shape": [-1], "data_offsets": [0, 9]}}',
        b'{"__metadata__": {"metadata": "{\\"crc32\\": {}}"}, "a": {"dtype": [],'
        b' "shape": [1], "data_offsets": [0, 1]}}',
        b'{"__metadata__": {"metadata": "{\\"crc32\\": {}}"}, "a": {"dtype": "U8",'
        b' "shape": [1], "data_offsets": [0, 999999999999999999999999]}}',
        b"[" * 10_000,
    ],
)
def test_a_header_of_other_types_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(100))
    with pytest.raises(DamagedShard, match=r"/a: damaged") as caught:
        Shard(tmp_path / "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_shard_that_is_no_plain_file_is_refused(tmp_path: Path, make) -> None:
    make(tmp_path / "a")
    with pytest.raises(DamagedShard, match="not a plain file"):
        Shard(tmp_path / "a")


def test_shards_of_another_run_level_or_set_of_actions_are_refused(tmp_path: Path) -> None:
    names = ["0", "1"]
    for seed, name in enumerate(names):
        write(tmp_path / name, [6], seed)
        rewrite(tmp_path / name, lambda arrays, metadata: metadata.update(run="this"))
    levels = ["Game/State"]
    assert len(ShardSet(tmp_path, names, Origin("this", levels, 5)).shards) == 2
    for origin, complaint in (
        (Origin("that", levels, 5), "/0: it is of another run"),
        (Origin("this", ["Game/State", "Game/Other"], 5), "/1: it is of level 'Game/State'"),
        (Origin("this", levels, 4), "it has an action 4"),
    ):
        with pytest.raises(DamagedShard, match=complaint):
            ShardSet(tmp_path, names, origin)


def test_validation_shards_are_not_trained_on(tmp_path: Path) -> None:
    names = [f"{k}.safetensors" for k in range(12)]
    images = {k: write(tmp_path / name, [6], seed=k) for k, name in enumerate(names)}
    shards = ShardSet(tmp_path, names)
    assert set(shards.training).isdisjoint(shards.validation) and shards.validation
    drawn = shards.sample_frames(shards.training, 1500, np.random.default_rng(0))
    known = {image.tobytes() for k in shards.training for image in images[k]}
    assert {image.tobytes() for image in drawn} == known, "every frame is drawn, and no other"


def test_lanes_play_every_timestep_of_an_epoch_once_and_in_order(tmp_path: Path) -> None:
    names = ["0", "1", "2"]
    lengths = [[30, 7, 12], [5, 64, 9], [10]]
    for k, name in enumerate(names):
        write(tmp_path / name, lengths[k], seed=k)
    shards = ShardSet(tmp_path, names)
    # A latent that tells which timestep it is.
    latents = [
        {
            "mean": np.arange(len(s), dtype=np.float16)[:, None] + 200 * k,
            "logvar": np.zeros((len(s), 1), np.float16),
        }
        for k, s in enumerate(shards.shards)
    ]
    lanes = Lanes(shards, [0, 1], latents, lanes=3, sequence=8, seed=1)
    seen, previous = [], [None] * 3
    for chunks in lanes.plan(0):
        batch = lanes.batch(chunks)
        for lane in range(3):
            steps = int(batch.mask[lane].sum())
            now = batch.mean[lane, :steps, 0].tolist()
            following = batch.mean[lane, 1 : steps + 1, 0]
            goes_on = batch.ends[lane, :steps] == 0
            assert (following[goes_on] == batch.mean[lane, :steps, 0][goes_on] + 1).all()
            if not batch.fresh[lane] and steps:
                assert now[0] == previous[lane] + 1, "the state is carried to what follows"
            previous[lane] = now[-1] if now else None
            seen += now
    # The last timestep of a shard that does not end its episode has no successor to predict.
    cut = {len(shards.shards[0]) - 1, len(shards.shards[1]) - 1 + 200}
    expected = {*range(49), *(200 + t for t in range(78))} - cut
    assert len(seen) == len(set(seen)) and set(seen) == expected
    assert lanes.plan(1) != lanes.plan(0)


def test_movies_are_read_by_timestep(tmp_path: Path) -> None:
    path = tmp_path / "Level.json"
    path.write_text('{"frames": 16, "reward": 1.0, "inputs": "R8 LB4 -4"}')
    movie = find_movie(tmp_path, "Level")
    assert movie.shape == (4, 12)
    pressed = [tuple(np.flatnonzero(row)) for row in movie]
    assert pressed == [(7,), (7,), (0, 6), ()]
    assert find_movie(tmp_path, "Other") is None and find_movie(None, "Level") is None
    for wrong in ("not json", '{"inputs": "Q4"}', "[]"):
        path.write_text(wrong)
        with pytest.raises(UsageError, match="not an input movie"):
            find_movie(tmp_path, "Level")
