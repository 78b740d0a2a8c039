"""Every committed configuration of the laboratory, run for a few steps."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from lab_kit import LEVELS

from lab import __main__ as command
from lab import record, rows
from lab.config import LabConfig, RecordConfig
from lab.data import DataSet
from lab.dreams import judged
from lab.methods import (
    bodies,
    clone,
    compress,
    peer,
    prompts,
    qr_sac,
    reach,
    ridge,
    skills,
    soar,
    values,
)
from retro_common.config import load
from retro_common.errors import UsageError

CONFIGS = Path(__file__).parents[2] / "configs/lab"
HELD_OUT = "PangolinDash-Genesis-v0/FernHollow.Act3"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml") if not path.stem.startswith("data"))


def method_of(name: str) -> str:
    return load(LabConfig, CONFIGS / f"{name}.yaml").method


def tiny(name: str, folder: Path, bundle: Path, data: Path) -> Path:
    """A configuration that differs from the committed one in length only."""
    text: dict = {
        "extends": str(CONFIGS / f"{name}.yaml"),
        "bundle": str(bundle),
        "batch": 16,
        "curve": [2],
    }
    committed = load(LabConfig, CONFIGS / f"{name}.yaml")
    if committed.steps:
        text["steps"] = 3
    if committed.episodes:
        text["episodes"] = 1
    if committed.held_out:
        text["held_out"] = HELD_OUT
    if committed.other:
        new = committed.other.name == "data-new"
        text["other"] = str(bundle.parent / "new" if new else data)
    if committed.online:
        text["online"] = {"timesteps": 64, "worlds": 2, "warm_up": 8, "every": 16}
    if method_of(name) in ("ppo", "u2o"):
        text["settings"] = {"rollout_length": 32}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


@pytest.fixture(scope="module", autouse=True)
def tiny_new(tiny_bundle: Path) -> None:
    """A data set of the held-out act, beside the bundle."""
    sizes = {"parts": 1, "held_back": 0, "worlds": 1, "timesteps": 96}
    out = tiny_bundle.parent / "new"
    record.run(RecordConfig(out=out, levels=HELD_OUT, bundle=tiny_bundle, seed=1, **sizes))


def run(name: str, tmp_path: Path, bundle: Path, data: Path) -> dict:
    words = [method_of(name), "--config", str(tiny(name, tmp_path, bundle, data))]
    places = {"--out": tmp_path / "runs", "--data": data, "--results": tmp_path / "results"}
    assert command.main([*words, *(str(x) for pair in places.items() for x in pair)]) == 0
    return json.loads((tmp_path / "results" / f"{name}-0.json").read_text())


def stand_in_for_the_peer(name: str, out: Path, data: Path) -> None:
    """A file as the peer's environment writes it, which tests do not have."""
    out.mkdir()
    generator = torch.Generator().manual_seed(0)
    outputs = 3 * 4 if name == "peer-scaled" else 3
    layers = {
        "0.weight": torch.randn(8, 21, generator=generator),
        "0.bias": torch.zeros(8),
        "1.weight": torch.randn(outputs, 8, generator=generator),
        "1.bias": torch.zeros(outputs),
    }
    facts = {
        "activation": "relu",
        "temperature": 2.0,
        "version": "stand-in",
        "data": DataSet.open(data).sha256,
        "steps": 5,
        "processor_seconds": 1.5,
    }
    path = out / f"{name}-0.safetensors"
    safetensors.torch.save_file(layers, path, {"facts": json.dumps(facts)})


def stand_in_for_the_ode(out: Path, data: Path) -> None:
    """A file as the environment of the peers writes it: players who stand in the middle."""
    out.mkdir()
    held_back = DataSet.open(data)
    rows = np.concatenate([judged(held_back.held_back, act) for act in range(2)])
    places = torch.tensor([160.0, 112.0]).repeat(5, len(rows), 1)
    facts = {
        "version": "stand-in",
        "data": held_back.sha256,
        "steps": 5,
        "weights": 1,
        "fitting_seconds": 1.5,
    }
    arrays = {"rows": torch.from_numpy(rows), "places": places}
    path = out / "peer-ode-0.safetensors"
    safetensors.torch.save_file(arrays, path, {"facts": json.dumps(facts)})


@pytest.fixture(autouse=True)
def few_timesteps_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measuring = (bodies, clone, compress, peer, prompts, qr_sac, reach, ridge, skills, soar, values)
    for module in measuring:
        monkeypatch.setattr(module, "MEASURED", 64)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_runs_and_writes_its_figures(
    name: str,
    tmp_path: Path,
    tiny_bundle: Path,
    tiny_data: Path,
    body_bundle: Path,
    tiny_bodies: Path,
) -> None:
    if method_of(name) == "bodies":
        tiny_bundle, tiny_data = body_bundle, tiny_bodies
    committed = load(LabConfig, CONFIGS / f"{name}.yaml")
    start = committed.start
    if start not in ("", "bundle"):
        run(start, tmp_path, tiny_bundle, tiny_data)
    if method_of(name) == "peer":
        stand_in_for_the_peer(name, tmp_path / "runs", tiny_data)
    if method_of(name) == "peer-ode":
        stand_in_for_the_ode(tmp_path / "runs", tiny_data)
    found = run(name, tmp_path, tiny_bundle, tiny_data)
    assert (found["name"], found["seed"]) == (name, 0) and found["commit"]
    assert len(found["data"]["sha256"]) == 64
    first, last = found["curve"][0], found["curve"][-1]
    assert (first["step"] == 0) == bool(start), "what goes on is measured before, too"
    if committed.episodes:
        assert last["score"] == pytest.approx(sum(last["acts"]) / len(last["acts"]), abs=0.1)
    else:
        assert len(last) > 1 and "score" not in last, "measures alone"
    if committed.other:
        assert found["other"].keys() > {"sha256"} and len(found["other"]["sha256"]) == 64
    without_steps = method_of(name) == "ridge" or method_of(name).startswith("peer")
    if not without_steps and last["step"]:
        assert any((tmp_path / "runs" / f"{name}-0" / "log").iterdir()), "scalars for TensorBoard"


def test_wrong_words_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no method 'dqn'"):
        command.main(["dqn", "--config", "x.yaml"])
    with pytest.raises(UsageError, match="--config FILE is missing"):
        command.main(["clone"])
    with pytest.raises(UsageError, match="a configuration of clone, not of values"):
        command.main(["values", "--config", str(CONFIGS / "clone.yaml")])
    with pytest.raises(UsageError, match="python -m lab record"):
        command.main(["clone", "--config", str(CONFIGS / "clone.yaml"), "--data", str(tmp_path)])


def test_all_records_the_data_and_runs_every_seed_once(
    tmp_path: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rows, "ROWS", [rows.same("ILQL", "clone")])
    monkeypatch.setattr(rows, "SEEDS", (0, 1))
    data = tmp_path / "runs/data"
    places = {"out": str(tmp_path / "runs"), "results": str(tmp_path / "results")}
    tiny_set = {"levels": LEVELS, "parts": 1, "held_back": 0, "worlds": 1, "timesteps": 40}
    texts = {"data": {"out": str(data), "bundle": str(tiny_bundle), **tiny_set}}
    for name in rows.names():
        text = yaml.safe_load(tiny(name, tmp_path, tiny_bundle, data).read_text())
        texts[name] = {**text, **places, "data": str(data), "other": str(tmp_path / "runs/new")}
    texts["new"] = {**texts["data"], "out": str(tmp_path / "runs/new"), "seed": 1}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(text))
    command.run_all(tmp_path)
    found = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert found == ["clone-0.json", "clone-1.json"]
    assert "peer-clone, seed 0: not trained yet" in capsys.readouterr().out
    clones = json.loads((tmp_path / "results/clone-0.json").read_text())
    hashes = DataSet.open(data).sha256, DataSet.open(tmp_path / "runs/new").sha256
    assert (clones["data"]["sha256"], clones["other"]["sha256"]) == hashes
    assert clones["other"]["nll"] > 0
    command.run_all(tmp_path)
    assert capsys.readouterr().out.count("already done") >= 4
