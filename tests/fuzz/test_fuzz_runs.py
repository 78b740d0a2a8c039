"""Files of a pretraining run, damaged or hostile: one line, or the result of the good ones."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import example, given

from pretrain.data.shards import open_arrays, save_arrays
from tests.fuzz.kit import Tally, examples
from tests.fuzz.mutate import JSON_RAW, damaged, mutated, to_json
from tests.fuzz.sandbox import Sandbox
from tests.fuzz.special import SPECIAL, put
from tests.fuzz.test_fuzz_bundles import one_line, packed, tensors

SHARD = "collect/shards/00000.safetensors"
OTHER_SHARD = "collect/shards/00001.safetensors"
LATENT = "memory/latents/00000.safetensors"
OF_VISION = "vision/checkpoint.pt"
OF_MEMORY = "memory/checkpoint.pt"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("tests.fuzz.targets") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def good(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose rollouts, V and M are finished."""
    folder = tmp_path_factory.mktemp("run")
    for stage in ("collect", "vision", "memory"):
        # collect waits for its workers.
        outcome = sandbox.call("run_stage", stage, str(folder), patience=100, megabytes=None)
        assert outcome.kind == "done", outcome.text
    return folder


@pytest.fixture(scope="module")
def weights(sandbox: Sandbox, good: Path) -> dict[str, str]:
    """For V and M a hash of the weights that they end with."""
    return {
        stage: sandbox.call("run_stage", stage, str(good)).value for stage in ("vision", "memory")
    }


@pytest.fixture
def attack(
    sandbox: Sandbox, good: Path, weights: dict[str, str], tmp_path: Path, tally: Tally
) -> Callable[..., None]:
    """Copies the run, lets a function change it, and runs a stage again.

    The stage is the first one that reads the file. Where it is the one that wrote the file, it
    goes on from there; else it begins anew.
    """

    def attack(name: str, change: Callable[[Path], object]) -> None:
        run = tmp_path / "run"
        if run.exists():
            shutil.rmtree(run)
        shutil.copytree(good, run)
        stage = "vision" if name.startswith(("collect", "vision")) else "memory"
        (run / stage / "done.json").unlink()
        if name.startswith("collect"):
            (run / stage / "checkpoint.pt").unlink()
        change(run / name)
        outcome = sandbox.call("run_stage", stage, str(run), seconds=15)
        unchanged = outcome.kind == "done" and outcome.value == weights[stage]
        tally["unchanged" if unchanged else outcome.word] += 1
        if outcome.kind == "refused":
            one_line(outcome.text)
        else:
            assert outcome.kind == "done", f"{outcome.kind}: {outcome.text}"
            assert unchanged, "the damage went unnoticed into the weights"

    return attack


def test_the_good_run_is_finished_again(attack: Callable[..., None], tally: Tally) -> None:
    attack(SHARD, lambda path: None)
    attack(OF_VISION, lambda path: None)
    attack(OF_MEMORY, lambda path: None)
    assert tally == {"unchanged": 3}


@pytest.mark.parametrize("name", [SHARD, LATENT, OF_VISION, OF_MEMORY])
def test_damaged_files(good: Path, attack: Callable[..., None], name: str) -> None:
    content = (good / name).read_bytes()

    @examples(4)
    @given(damaged(content))
    @example(b"")
    @example(bytes(len(content)))
    @example(content[: len(content) // 2] + b"\x01" + content[len(content) // 2 + 1 :])
    def load(damage: bytes) -> None:
        attack(name, lambda path: path.write_bytes(damage))

    load()


@pytest.mark.parametrize("name", [SHARD, LATENT])
def test_changed_headers(good: Path, attack: Callable[..., None], name: str) -> None:
    header, data = tensors((good / name).read_bytes())
    # The kit's own metadata are JSON inside of JSON.
    header["__metadata__"]["metadata"] = json.loads(header["__metadata__"]["metadata"])

    def write(path: Path, changed: dict[str, Any]) -> None:
        metadata = changed.get("__metadata__")
        if isinstance(metadata, dict) and "metadata" in metadata:
            metadata = {**metadata, "metadata": to_json(metadata["metadata"])}
            changed = {**changed, "__metadata__": metadata}
        path.write_bytes(packed(to_json(changed), data))

    @examples(6)
    @given(mutated(header, JSON_RAW))
    def load(changed: dict[str, Any]) -> None:
        attack(name, lambda path: write(path, changed))

    load()


def bomb(path: Path) -> None:
    """A shard whose frames stand for 1 GiB each; every checksum is right."""
    arrays, metadata = open_arrays(path)
    frame = zstandard.ZstdCompressor().compress(bytes(2**30))
    count = len(arrays["actions"])
    changed = {
        **arrays,
        "frames": np.frombuffer(frame * count, np.uint8),
        "offsets": np.arange(count + 1, dtype=np.int64) * len(frame),
    }
    save_arrays(path, changed, metadata)


def short(path: Path) -> None:
    """A shard whose frames lie outside of it."""
    arrays, metadata = open_arrays(path)
    save_arrays(path, {**arrays, "offsets": arrays["offsets"] * 2 - 5}, metadata)


def unequal(path: Path) -> None:
    """A shard with more actions than frames."""
    arrays, metadata = open_arrays(path)
    save_arrays(path, {**arrays, "actions": np.tile(arrays["actions"], 3)}, metadata)


def no_action(path: Path) -> None:
    """A shard with actions that the agent does not have."""
    arrays, metadata = open_arrays(path)
    save_arrays(path, {**arrays, "actions": arrays["actions"] + 1000}, metadata)


def of_another_level(path: Path) -> None:
    """A shard of another level."""
    arrays, metadata = open_arrays(path)
    save_arrays(path, arrays, {**metadata, "level": "Game/State"})


def swapped(path: Path) -> None:
    """Another shard of the same run."""
    shutil.copy(path.parents[2] / OTHER_SHARD, path)


@pytest.mark.parametrize(
    "change", [bomb, short, unequal, no_action, of_another_level, swapped], ids=lambda c: c.__name__
)
def test_hostile_shards(attack: Callable[..., None], change: Callable[[Path], None]) -> None:
    attack(SHARD, change)


class Pickled:
    def __reduce__(self) -> tuple:
        return eval, ("__import__('os').abort()",)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Pickled()))


def pickled_by_torch(path: Path) -> None:
    torch.save({"model": Pickled(), "done": 1}, path)


def of_another_stage(path: Path) -> None:
    names = (OF_MEMORY, OF_VISION)
    (other,) = (path.parents[1] / name for name in names if not str(path).endswith(name))
    shutil.copy(other, path)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    path.write_bytes(buffer.getvalue())


def not_a_number(path: Path) -> None:
    edit(path, lambda c: [value.fill_(float("nan")) for value in c["model"].values()])


def from_the_future(path: Path) -> None:
    edit(path, lambda c: c.update(done=10**9))


def without_a_model(path: Path) -> None:
    edit(path, lambda c: c.pop("model"))


def of_another_type(path: Path) -> None:
    edit(path, lambda c: c.update(done="two", carried=[]))


@pytest.mark.parametrize("name", [OF_VISION, OF_MEMORY])
@pytest.mark.parametrize(
    "change",
    [
        pickled,
        pickled_by_torch,
        of_another_stage,
        not_a_number,
        from_the_future,
        without_a_model,
        of_another_type,
    ],
    ids=lambda c: c.__name__,
)
def test_hostile_checkpoints(
    attack: Callable[..., None], name: str, change: Callable[[Path], None]
) -> None:
    attack(name, change)


@pytest.mark.parametrize("name", ["collect/settings.json", "vision/settings.json"])
def test_changed_settings(good: Path, attack: Callable[..., None], name: str) -> None:
    document = json.loads((good / name).read_text())

    @examples(4)
    @given(
        mutated(document, JSON_RAW).map(to_json).map(lambda text: text.encode())
        | damaged((good / name).read_bytes())
    )
    @example(b"")
    @example(b"{")
    @example(b"[]")
    @example(b"null")
    @example(b"[" * 100_000)
    def load(content: bytes) -> None:
        attack("vision/checkpoint.pt", lambda path: (path.parents[1] / name).write_bytes(content))

    load()


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", [SHARD, OF_VISION, "vision/settings.json"])
def test_what_is_no_file(attack: Callable[..., None], name: str, kind: str) -> None:
    attack(name, lambda path: put(kind, path))
