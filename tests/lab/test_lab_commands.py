"""Every committed configuration of the laboratory, run for a few steps."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from lab_kit import LEVELS

from lab import __main__ as command
from lab import bodies, clone, compress, peer, qr_sac, rows, values
from lab.config import LabConfig
from lab.data import DataSet
from retro_common.config import load
from retro_common.errors import UsageError

CONFIGS = Path(__file__).parents[2] / "configs/lab"
HELD_OUT = "PangolinDash-Genesis-v0/FernHollow.Act3"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml") if not path.stem.startswith("data"))


def method_of(name: str) -> str:
    return load(LabConfig, CONFIGS / f"{name}.yaml").method


def tiny(name: str, folder: Path, bundle: Path) -> Path:
    """A configuration that differs from the committed one in length only."""
    text = {
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
    if committed.online:
        text["online"] = {"timesteps": 64, "worlds": 2, "warm_up": 8, "every": 16}
    if method_of(name) == "ppo":
        text["settings"] = {"rollout_length": 32}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


def run(name: str, tmp_path: Path, bundle: Path, data: Path) -> dict:
    words = [method_of(name), "--config", str(tiny(name, tmp_path, bundle))]
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


@pytest.fixture(autouse=True)
def few_timesteps_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bodies, clone, compress, peer, qr_sac, values):
        monkeypatch.setattr(module, "MEASURED", 64)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_runs_and_writes_its_figures(
    name: str, tmp_path: Path, tiny_bundle: Path, tiny_data: Path, tiny_bodies: Path
) -> None:
    tiny_data = tiny_bodies if method_of(name) == "bodies" else tiny_data
    start = load(LabConfig, CONFIGS / f"{name}.yaml").start
    if start not in ("", "bundle"):
        run(start, tmp_path, tiny_bundle, tiny_data)
    if method_of(name) == "peer":
        stand_in_for_the_peer(name, tmp_path / "runs", tiny_data)
    found = run(name, tmp_path, tiny_bundle, tiny_data)
    assert (found["name"], found["seed"]) == (name, 0) and found["commit"]
    assert len(found["data"]["sha256"]) == 64
    first, last = found["curve"][0], found["curve"][-1]
    assert (first["step"] == 0) == bool(start), "what goes on is measured before, too"
    if load(LabConfig, CONFIGS / f"{name}.yaml").episodes:
        assert last["score"] == pytest.approx(sum(last["acts"]) / len(last["acts"]), abs=0.1)
    else:
        assert len(last) > 1 and "score" not in last, "measures alone"
    if method_of(name) != "peer" and last["step"]:
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
        text = yaml.safe_load(tiny(name, tmp_path, tiny_bundle).read_text())
        texts[name] = {**text, **places, "data": str(data)}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(text))
    command.run_all(tmp_path)
    found = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert found == ["clone-0.json", "clone-1.json"]
    assert "peer-clone, seed 0: not trained yet" in capsys.readouterr().out
    command.run_all(tmp_path)
    assert capsys.readouterr().out.count("already done") >= 4
