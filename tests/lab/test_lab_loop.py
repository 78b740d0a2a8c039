"""The worlds that policies play in, and the loop: stopped and continued."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agent import bundle
from lab import run
from lab.arena import PATIENCE, Arena, choose, scores
from lab.config import LabConfig, OnlineConfig
from lab.data import Seen
from lab.methods import clone
from lab.run import Run
from pangolin_dash.simulator import NO_NEW_GROUND
from pretrain.data.acts import Known, acts_of_levels
from pretrain.stage import Stopped
from retro_common.errors import UsageError


@pytest.fixture(scope="module")
def known() -> list[Known]:
    return acts_of_levels("pangolin-train")[:3]


def always(action: int) -> object:
    """A policy that hardly ever does anything else."""

    def policy(seen: Seen) -> torch.Tensor:
        logits = torch.zeros(len(seen.features), 3)
        logits[:, action] = 50.0
        return logits.log_softmax(1)

    return policy


def at_random(seen: Seen) -> torch.Tensor:
    return torch.zeros(len(seen.features), 3).log_softmax(1)


def test_an_arena_plays_each_act_and_sees_it(known: list[Known], tiny_bundle: Path) -> None:
    models, _ = bundle.load(tiny_bundle)
    arena = Arena(models, known, 6, seed=0)
    assert arena.acts.tolist() == [0, 1, 2, 0, 1, 2] and arena.seen.features.shape == (6, 21)
    total, episodes = np.zeros(6), 0
    for _ in range(PATIENCE + 60):
        outcome = arena.step(np.full(6, 1))
        total += outcome.rewards
        over = outcome.ends | outcome.cuts
        np.testing.assert_allclose(total[over], arena.worlds.scores[over], rtol=1e-4)
        assert (arena.features.h[torch.from_numpy(over)] == 0).all(), "M begins anew"
        total[over], episodes = 0, episodes + over.sum()
    assert episodes > 0


def test_scores_are_those_of_whole_episodes_and_repeatable(
    known: list[Known], tiny_bundle: Path
) -> None:
    models, _ = bundle.load(tiny_bundle)
    right = scores(models, known, always(1), 4, seed=1)
    assert right.shape == (3, 4) and right.mean() > 200
    assert right[0].std() == 0, "who only runs is stopped by the same wall"
    one, again, other = (scores(models, known, at_random, 2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and one.mean() > 0
    assert np.abs(scores(models, known, always(0), 1, seed=1)).max() < 100, "who stands earns none"


def test_an_episode_without_new_ground_is_cut_and_no_life_lost(
    known: list[Known], tiny_bundle: Path
) -> None:
    models, _ = bundle.load(tiny_bundle)
    arena = Arena(models, known[:1], 1, seed=0, restart=False)
    for _ in range(PATIENCE + 5):
        outcome = arena.step(np.zeros(1, np.int64))
        if outcome.cuts[0]:
            break
    assert outcome.cuts[0] and not outcome.ends[0] and not arena.playing[0]
    assert arena.worlds.over[0] == NO_NEW_GROUND and outcome.shaped[0] == 0
    assert not arena.step(np.zeros(1, np.int64)).cuts[0], "it is over once"


def test_actions_are_drawn_by_their_probability() -> None:
    log_probs = torch.tensor([[0.2, 0.8]]).log().repeat(4000, 1)
    chosen = choose(log_probs, torch.Generator().manual_seed(0))
    assert chosen.mean() == pytest.approx(0.8, abs=0.03)


def settings(tmp_path: Path, name: str, tiny_bundle: Path, tiny_data: Path, **more) -> LabConfig:
    return LabConfig(
        out=tmp_path / name,
        method="clone",
        results=tmp_path / "results",
        data=tiny_data,
        bundle=tiny_bundle,
        steps=12,
        batch=32,
        episodes=1,
        **more,
    )


def stopping(at: int) -> SimpleNamespace:
    """The clone, and a person who stops it after a step."""

    class Stopping(clone.Clone):
        def after_step(self, step: int) -> None:
            if step == at:
                os.kill(os.getpid(), signal.SIGTERM)

    return SimpleNamespace(Config=clone.Config, build=Stopping)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, tiny_bundle: Path, tiny_data: Path
) -> None:
    places = (tiny_bundle, tiny_data)
    whole, halves = (settings(tmp_path, name, *places) for name in ("whole", "halves"))
    run.run(clone, "clone", whole)
    with pytest.raises(Stopped):
        run.run(stopping(at=5), "clone", halves)
    run.run(clone, "clone", halves)
    weights = []
    for config in (whole, halves):
        checkpoint = torch.load(config.out / "clone-0/checkpoint.pt", weights_only=True)
        weights.append(checkpoint["model"])
        assert checkpoint["done"] == 12 and len(checkpoint["carried"]["curve"]) == 1
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name
    # Done is done; other settings are refused.
    run.run(stopping(at=0), "clone", whole)
    with pytest.raises(UsageError, match="made with other settings"):
        Run(clone, "clone", settings(tmp_path, "whole", *places, learning_rate=1.0), False)


def test_what_is_played_is_learnt_from(tmp_path: Path, tiny_bundle: Path, tiny_data: Path) -> None:
    online = OnlineConfig(timesteps=1200, worlds=2, every=8, warm_up=40, capacity=101)
    config = settings(tmp_path, "online", tiny_bundle, tiny_data, online=online, curve=[200])
    drawn = []

    class Watched(clone.Clone):
        def draw(self, data, rng, size):
            drawn.append(len(data))
            return super().draw(data, rng, size)

    module = SimpleNamespace(
        Config=clone.Config, build=lambda config, shape: Watched(config, shape)
    )
    run.run(module, "watched", config)
    assert len(drawn) == 145, "a step for each 8 of 1,160 timesteps"
    found = json.loads((tmp_path / "results/watched-0.json").read_text())
    episodes, rewards = found["played_episodes"], found["played_rewards"]
    assert sum(episodes) >= 2
    means = [reward / number for reward, number in zip(rewards, episodes, strict=True) if number]
    assert found["played"] == pytest.approx(np.mean(means), abs=0.1)
    assert [entry["step"] for entry in found["curve"]] == [200, 1200]
    assert drawn[0] == 48 and drawn[-1] == 100, "the store keeps whole timesteps of all worlds"


def test_a_start_that_was_not_run_is_refused(
    tmp_path: Path, tiny_bundle: Path, tiny_data: Path
) -> None:
    config = settings(tmp_path, "start", tiny_bundle, tiny_data, start="iql")
    with pytest.raises(UsageError, match=r"start: .*run that configuration first"):
        run.run(clone, "clone", config)


def test_a_run_begins_with_the_controller_of_the_bundle(
    tmp_path: Path, tiny_bundle: Path, tiny_data: Path
) -> None:
    config = settings(tmp_path, "start", tiny_bundle, tiny_data, start="bundle")
    heads = Run(clone, "clone", config, False).method.parts()["heads"].state_dict()
    models, _ = bundle.load(tiny_bundle)
    for name, weight in models.controller.state_dict().items():
        assert torch.equal(weight, heads[name]), name
