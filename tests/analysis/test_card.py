"""A bundle's card: its figures are those of the results; published, cloned and loaded again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Models
from analysis.__main__ import main as analysis
from retro_contest.cli.main import main

ORIGIN = {
    "commit": "0123456789ab",
    "created": "2026-01-02T03:04:05+00:00",
    "versions": {"python": "3.11", "torch": "2.13"},
    "seed": 7,
    "levels": ["PangolinDash-Genesis-v0/FernHollow.Act1"],
    "pretraining_timesteps": {"collect": 1024, "controller": 2048},
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Path:
    """A folder with a bundle and its results on Airstriker, two runs."""
    folder = tmp_path_factory.mktemp("card")
    torch.manual_seed(0)
    vision = VisionConfig(
        latent=16, grid=4, player_units=0, channels=(2, 4), decoder_channels=(2, 4)
    )
    config = AgentConfig(
        actions=("", "RIGHT"),
        vision=vision,
        memory=MemoryConfig(hidden=5, mixtures=2),
        controller=ControllerConfig(hidden=8),
    )
    bundle.save(Models.build(config), folder / "mine", ORIGIN)
    agent = f"{sys.executable} -m agent --bundle {folder / 'mine'} --no-learn"
    words = ["evaluate", "--levels", "airstriker", "--agent", agent, "--timesteps", "300"]
    assert main([*words, "--seeds", "2", "--jobs", "2", "--results", str(folder / "results")]) == 0
    return folder


@pytest.fixture
def folder(evaluated: Path, tmp_path: Path) -> Path:
    return shutil.copytree(evaluated, tmp_path / "copy")


def card(*words: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["analysis", "card", *map(str, words)])
        return analysis()


def head(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_the_card_says_what_was_measured(folder: Path) -> None:
    mine, results = folder / "mine", folder / "results"
    words = ["--bundle", mine, "--results", results, "--licence", "mit"]
    assert card(*words) == 0
    summary = json.loads((results / "summary.json").read_text())
    content = head(mine)
    assert content["license"] == "mit" and content["pipeline_tag"] == "reinforcement-learning"
    (entry,) = content["model-index"][0]["results"]
    (metric,) = entry["metrics"]
    assert metric["value"] == pytest.approx(summary["score"], abs=0.05)
    assert "95% interval" in metric["name"]
    assert entry["task"]["name"] == "Retro Contest, 300 timesteps, without learning"
    text = (mine / "README.md").read_text()
    assert f"| Airstriker-Genesis-v0/Level1 | held out | {summary['score']:,.0f} | 2 |" in text
    for fact in ("0123456789ab", "| seed | 7 |", "2,048", "FernHollow.Act1", "vision "):
        assert fact in text
    # Once more, now that the bundle has a card.
    assert card(*words) == 0 and (mine / "README.md").read_text() == text


def test_the_hub_s_own_library_reads_the_card(folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    assert card("--bundle", folder / "mine", "--results", folder / "results") == 0
    loaded = hub.ModelCard.load(folder / "mine" / "README.md")
    (result,) = loaded.data.eval_results
    assert result.metric_type == "mean_reward" and result.dataset_name == "airstriker"
    assert loaded.data.library_name == "retro-contest-kit"


def test_results_of_another_bundle_are_refused(folder: Path, capsys) -> None:
    mine = folder / "mine"
    config = yaml.safe_load((mine / "config.yaml").read_text())
    config["origin"]["seed"] = 8
    (mine / "config.yaml").write_text(yaml.safe_dump(config))
    assert card("--bundle", mine, "--results", folder / "results") == 2
    assert "was not earned by the bundle" in capsys.readouterr().err
    assert not (mine / "README.md").exists()
    assert card("--bundle", mine) == 0
    assert "Not measured." in (mine / "README.md").read_text()


def test_changed_results_are_refused(folder: Path, capsys) -> None:
    summary = json.loads((folder / "results" / "summary.json").read_text())
    summary["levels"][0]["score"] = 9000.0
    (folder / "results" / "summary.json").write_text(json.dumps(summary))
    assert card("--bundle", folder / "mine", "--results", folder / "results") == 2
    assert "changed" in capsys.readouterr().err


def test_a_dry_run_shows_what_would_go_up(folder: Path, capsys) -> None:
    mine = folder / "mine"
    publish = ["publish", str(mine), "--hub", "someone/pangolin"]
    assert main([*publish, "--dry-run"]) == 2
    assert "a model card is needed" in capsys.readouterr().err
    assert card("--bundle", mine, "--results", folder / "results") == 0
    (mine / ".git").mkdir()
    (mine / ".git" / "config").touch()
    (mine / "secret.json").touch()
    capsys.readouterr()
    assert main([*publish, "--dry-run"]) == 0
    output = capsys.readouterr().out
    listed = [line.split()[1] for line in output.splitlines()[:-3]]
    weights = sorted(path.name for path in mine.glob("*.safetensors"))
    assert listed == sorted(["README.md", "config.yaml", *weights])
    assert f"in {len(listed)} files to someone/pangolin" in output
    assert "dry run: nothing was uploaded" in output
    assert main(["publish", str(mine), "--hub", "no slash", "--dry-run"]) == 2
    (mine / "README.md").write_text("# no head\n")
    assert main([*publish, "--dry-run"]) == 2
    assert "has no YAML head" in capsys.readouterr().err


def test_without_a_hub_nothing_is_published(folder: Path, monkeypatch, capsys) -> None:
    mine = folder / "mine"
    assert card("--bundle", mine) == 0
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "huggingface_hub", None)
        assert main(["publish", str(mine), "--hub", "someone/pangolin"]) == 2
        assert "pip install 'retro-contest-kit[hub]'" in capsys.readouterr().err
    pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "retro_contest", "publish", mine, "--hub", "someone/pangolin"],
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_none"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: nothing was published: ")


def test_a_clone_of_the_repository_is_a_bundle(folder: Path, tmp_path: Path) -> None:
    mine = folder / "mine"
    assert card("--bundle", mine, "--results", folder / "results") == 0
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-C", str(mine)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "Publish"]):
        subprocess.run([*git, *command], check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(mine), str(clone)], check=True)
    first, second = bundle.load(mine)[0], bundle.load(clone)[0]
    for name, part in first.parts().items():
        weights = second.parts()[name].state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in part.state_dict().items())
