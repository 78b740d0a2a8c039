"""Policies that play without learning, natively: each world's episode is its own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from agent import bundle
from agent.models.actor import Models
from benchmarks.native import BundlePlayer, Player, TeacherPlayer, by_section, play
from pangolin_dash.simulator import FINISHED, RIGHT, B, Worlds
from pretrain.data import acts as data
from pretrain.teacher import Teacher
from tests.tiny import tiny_agent

ACTIONS = ("", "RIGHT B", "LEFT")


def always(head: torch.nn.Linear, action: int) -> None:
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    head.bias.data[action] = 100.0


def a_teacher(folder: Path) -> Player:
    known = data.acts_of_levels("pangolin-train")
    teacher = Teacher(Worlds([known[0].act], 1, on_screen=True).observation_size, ACTIONS)
    always(teacher.policy, 1)
    teacher.save(folder / "teacher.safetensors", {"timesteps": 7})
    return TeacherPlayer(folder / "teacher.safetensors", seed=3)


def a_bundle(folder: Path) -> Player:
    models = Models.build(tiny_agent("z", "h", "proprioception"))
    always(models.controller.policy[-1], 2)
    bundle.save(models, folder, {"pretraining_timesteps": {"controller": 7}})
    return BundlePlayer(folder, seed=3)


@pytest.mark.parametrize("kind", [a_teacher, a_bundle])
def test_holding_a_button_scores_as_it_does_in_each_world_alone(kind, tmp_path: Path) -> None:
    acts = [each.act for each in data.acts_of_levels("pangolin-train")[:2]]
    player = kind(tmp_path)
    scores, ends, furthest = play(player, acts, 2, seed=5)
    assert player.facts["timesteps"] == 7
    worlds = Worlds(acts, 4, seed=5)
    for world in range(4):
        worlds.load(world, world // 2)
    while not worlds.state["over"].all():
        worlds.step(np.full(4, RIGHT | B, np.uint8), restart=False)
    np.testing.assert_array_equal(scores.ravel(), worlds.state["score"])
    np.testing.assert_array_equal(ends.ravel(), worlds.state["over"])
    assert len(set(worlds.state["length"].tolist())) > 1
    sections = by_section(acts, ends == FINISHED, furthest)
    first = {act.sections[0][1] for act in acts}
    assert sum(count["failed"] for count in sections.values()) == 4
    assert sum(sections[name]["entered"] for name in first) >= 4


def test_sections_are_counted_where_episodes_end() -> None:
    act = data.acts_of_levels("pangolin-train")[0].act
    (_, start), (column, second) = act.sections[:2]
    reached = np.array([[column * 16 + 100, column * 16 - 40, 20_000]])
    sections = by_section([act], np.array([[False, False, True]]), reached)
    alone = [name for _, name in act.sections].count(start) == 1
    assert not alone or sections[start] == {"entered": 3, "failed": 1}
    assert sections[second]["failed"] == 1
    assert sum(count["failed"] for count in sections.values()) == 2
