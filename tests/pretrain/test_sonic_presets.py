"""The presets for Sonic: what they ask for, what docs/sonic.md says about it, and that they run."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from agent.models.actor import Models
from pretrain.__main__ import stages
from pretrain.config import PretrainConfig
from pretrain.data.shards import FRAME_BYTES
from pretrain.stages import collect
from retro_common.config import load
from retro_contest import levels

ROOT = Path(__file__).parents[2]
PRESETS = ["sonic", "sonic-laptop"]
RESULTS = {"sonic": ("training-gpu.json", "cuda"), "sonic-laptop": ("training.json", "cpu")}
LATENT_BYTES = 2 * 2  # mean and log-variance of a unit, float16


def preset(name: str) -> PretrainConfig:
    return load(PretrainConfig, ROOT / f"configs/{name}.yaml")


def figure(pattern: str, page: str) -> float:
    """The number that a page says where the pattern has its group."""
    (found,) = re.findall(pattern, (ROOT / page).read_text())
    return float(found.replace(",", ""))


@pytest.mark.parametrize("name", PRESETS)
def test_they_train_on_the_47_levels_and_nothing_held_out(name: str) -> None:
    config = preset(name)
    training, heldout = (set(levels.find(text)) for text in (config.levels, config.heldout))
    assert len(training) == 47 and len(heldout) == 11 and not training & heldout
    assert collect.collected_timesteps(config) == config.collect.timesteps, "whole rounds of levels"
    assert config.collect.movies is None and "noisy-movie" not in config.collect.behaviours
    assert stages("all", config) == ["collect", "find_player", "vision", "memory", "controller"]
    assert config.controller.ppo.rollout_length % config.controller.envs == 0
    Models.plan(config.agent)


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_says_what_they_cost_at_measured_rates(name: str) -> None:
    config = preset(name)
    page = (ROOT / "docs/sonic.md").read_text()
    (header,) = re.findall(r"^\| +\|(.*configs/sonic\.yaml.*)\|$", page, re.MULTILINE)
    column = 1 + next(i for i, cell in enumerate(header.split("|")) if f"/{name}.yaml" in cell)

    def cell(row: str) -> str:
        (found,) = re.findall(rf"^\| {row}(.*)$", page, re.MULTILINE)
        return found.split("|")[column]

    def numbers(text: str) -> list[float]:
        return [float(word.replace(",", "")) for word in re.findall(r"\d[\d,.]*\d|\d", text)]

    timesteps = config.collect.timesteps
    assert numbers(cell("recorded timesteps")) == [timesteps]
    latents = config.agent.vision.latent * LATENT_BYTES
    frame = figure(r"a recorded timestep.*\| ([\d.]+) kB \|", "docs/speed.md") * 1000
    disk = [timesteps * (size + latents) / 1e9 for size in (frame, FRAME_BYTES)]
    assert numbers(cell("disk")) == pytest.approx(disk, abs=0.06)

    file, device = RESULTS[name]
    measured = json.loads((ROOT / "benchmarks/results" / file).read_text())
    assert measured["device"] == device
    rate = measured["timesteps_per_second_ours"]
    hours = config.controller.timesteps / rate / 3600
    said = numbers(cell("C"))
    assert said[0] == config.controller.timesteps
    assert said[1] == pytest.approx(hours, abs=0.06) and said[2] == pytest.approx(rate, abs=0.6)


def test_the_recording_runs_with_their_actions_and_behaviours(tmp_path: Path) -> None:
    """On the free game, which lies where Sonic would: only the levels and the amount differ."""
    config = preset("sonic-laptop")
    config = dataclasses.replace(
        config,
        out=tmp_path,
        levels="PangolinDash-Genesis-v0/FernHollow.Act1",
        collect=dataclasses.replace(config.collect, timesteps=384, shard=128),
    )
    collect.run(config)
    shards = collect.open_shards(config).shards
    assert [len(shard) for shard in shards] == [128, 128, 128]
    used = {int(action) for shard in shards for action in shard.actions}
    assert len(used) > 3 and max(used) < len(config.agent.actions) == 10
