"""Checkpoints and the marks of a stage: damage is noticed, named, and can be thrown away."""

import json
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pretrain.loop import Loop
from pretrain.stage import Diverged, Stage, finite
from retro_common.errors import UsageError

STEPS = 10


def stage(folder: Path, **settings: object) -> Stage:
    return Stage("vision", folder / "vision", {"seed": 0, **settings})


def train(work: Stage, spoil: int | None = None, total: int = STEPS) -> torch.nn.Module:
    """Fit a line; the weights become NaN in step `spoil`."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    with Loop(work, total, model=model, optimizer=optimizer) as loop:
        for step in loop:
            loop.descend(model(torch.ones(1, 2)).square().mean(), optimizer, 0.1)
            if step == spoil:
                model.weight.data.fill_(torch.nan)
    return model


@pytest.fixture
def done(tmp_path: Path) -> Stage:
    """A stage that is trained and marked as done."""
    work = stage(tmp_path).open()
    train(work)
    work.finish(quality=1.5)
    return stage(tmp_path)


def test_what_was_trained_is_read_and_torch_reads_it_too(done: Stage) -> None:
    assert done.finished
    expected = train(Stage("other", done.folder / "again", {}).open()).state_dict()
    known = torch.load(done.folder / "checkpoint.pt", weights_only=True)["model"]
    for weights in (done.trained(), known):
        assert all(torch.equal(value, expected[key]) for key, value in weights.items())
    model = torch.nn.Linear(2, 1)
    done.load_trained(model)
    assert torch.equal(model.weight, expected["weight"])
    with pytest.raises(UsageError, match=r"checkpoint\.pt: damaged: it does not fit"):
        done.load_trained(torch.nn.Linear(3, 1))


def test_every_changed_byte_is_noticed(done: Stage) -> None:
    path = done.folder / "checkpoint.pt"
    content = path.read_bytes()
    places = random.Random(0).sample(range(len(content)), 200)
    for place in (*places, 0, len(content) - 1, len(content) - 72, len(content) - 73):
        changed = bytearray(content)
        changed[place] ^= 1 << random.Random(place).randrange(8)
        path.write_bytes(changed)
        with pytest.raises(UsageError, match="its checksum is wrong"):
            done.restore()
    path.write_bytes(content)
    assert done.restore()["done"] == STEPS


def write(content: bytes):
    return lambda path: path.write_bytes(content)


def hole(path: Path) -> None:
    os.truncate(path, 1 << 40)


def again_as(make):
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


@pytest.mark.parametrize("name", ["checkpoint.pt", "settings.json", "done.json"])
@pytest.mark.parametrize(
    "damage",
    [
        write(b""),
        write(bytes(1000)),
        write(b"garbage" * 1000),
        write(pickle.dumps({"model": 1})),
        write(b"[]"),
        write(b"{"),
        write(b"[" * 100_000),
        lambda path: path.write_bytes(path.read_bytes()[:-5]),
        hole,
        again_as(os.mkfifo),
        again_as(Path.mkdir),
        again_as(lambda path: path.symlink_to("/dev/zero")),
        again_as(lambda path: path.symlink_to("nowhere")),
    ],
)
def test_damage_is_a_line_that_says_what_to_do_and_fresh_does_it(
    done: Stage, tmp_path: Path, name: str, damage
) -> None:
    damage(done.folder / name)
    with pytest.raises(UsageError, match="--fresh") as caught:
        stage(tmp_path).open().trained()
    message = str(caught.value)
    assert str(done.folder) in message and "\n" not in message and len(message) < 1000
    work = stage(tmp_path).open(fresh=True)
    assert not work.finished and work.restore() is None
    train(work)


def test_a_missing_checkpoint_of_a_stage_that_is_done(done: Stage) -> None:
    (done.folder / "checkpoint.pt").unlink()
    with pytest.raises(UsageError, match=r"checkpoint\.pt: damaged: it is missing.*--fresh"):
        done.trained()


def test_the_mark_of_another_run_does_not_count(done: Stage) -> None:
    record = json.loads((done.folder / "done.json").read_text())
    (done.folder / "done.json").write_text(json.dumps({**record, "fingerprint": "0" * 16}))
    with pytest.raises(UsageError, match="it is of another run"):
        _ = done.finished


def test_fresh_throws_away_folders_of_any_depth(done: Stage, tmp_path: Path) -> None:
    fd = os.open(done.folder, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    stage(tmp_path).open(fresh=True)
    assert os.listdir(done.folder) == ["settings.json"]


@pytest.mark.parametrize("step", [3, STEPS - 1])
def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, step: int) -> None:
    work = stage(tmp_path).open()
    with pytest.raises(Diverged, match=r"not finite|nan"):
        train(work, spoil=step)
    assert work.restore() is None and not work.finished
    train(work, total=5)
    good = (work.folder / "checkpoint.pt").read_bytes()
    with pytest.raises(Diverged):
        train(work, spoil=STEPS - 1)
    assert (work.folder / "checkpoint.pt").read_bytes() == good


def test_a_result_that_is_not_finite_is_not_done(tmp_path: Path) -> None:
    work = stage(tmp_path).open()
    with pytest.raises(Diverged, match="validation_psnr is nan"):
        work.finish(validation_psnr=float("nan"))
    assert not work.finished


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.update(done=10**9), "written after 1000000000 of 10 steps"),
        (lambda c: c.update(done=-1), "written after -1"),
        (lambda c: c.update(done="x" * 10**5), "written after 'xxx"),
        (lambda c: c.update(done=None), "written after None"),
        (lambda c: c.pop("optimizer"), "not of this stage"),
        (lambda c: c.update(carried={"a": 1}), "not of this stage"),
        (lambda c: c.update(carried=3), "not of this stage"),
        (lambda c: c.update(optimizer=3), "does not fit"),
        (lambda c: c.update(model={"weight": torch.zeros(7)}), "does not fit"),
        (lambda c: c["model"]["weight"].fill_(torch.nan), "not finite"),
    ],
)
def test_a_checkpoint_that_cannot_be_is_refused(done: Stage, change, complaint: str) -> None:
    checkpoint = done.restore()
    change(checkpoint)
    done.save(checkpoint)
    with pytest.raises(UsageError, match=complaint) as caught:
        train(done)
    assert "--fresh" in str(caught.value) and len(str(caught.value)) < 1000


def test_finite_looks_into_containers() -> None:
    assert finite({"a": [torch.ones(2), (1, 2.0, "x", None)], "b": torch.tensor([1])})
    assert not finite({"a": [torch.ones(2), (torch.tensor([1.0, torch.inf]),)]})


COLLECT = """
out: {out}
levels: airstriker
agent: {{actions: ["", "LEFT", "RIGHT", "B"]}}
collect: {{timesteps: 256, shard: 128, workers: 1, behaviours: {{random: 1}}}}
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_work_goes_on_later(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(COLLECT.format(out=tmp_path / "run"))
    command = [sys.executable, "-m", "pretrain", "collect", "--config", str(config)]

    def full() -> None:  # no file may grow beyond 20,000 bytes
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    failed = subprocess.run(command, capture_output=True, text=True, preexec_fn=full, timeout=200)
    assert failed.returncode == 1, failed.stderr
    assert failed.stderr.count("\n") == 1 and "File too large" in failed.stderr
    assert list((tmp_path / "run").rglob("*.safetensors")) == []
    again = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stderr
    assert len(list((tmp_path / "run").rglob("*.safetensors"))) == 2
