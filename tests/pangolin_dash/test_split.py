"""The level sets: 13 acts to train on, 5 held out, nothing in the held-out ones that is new."""

from __future__ import annotations

from pangolin_dash.levels.generator import Act
from pangolin_dash.levels.themes import THEMES
from retro_contest import levels


def test_split_is_fair(acts: list[Act]) -> None:
    by_name = {act.name: act for act in acts}
    train = [by_name[level.state] for level in levels.find("pangolin-train")]
    test = [by_name[level.state] for level in levels.find("pangolin-test")]
    assert (len(train), len(test)) == (13, 5)
    assert {act.name for act in train} | {act.name for act in test} == set(by_name)
    assert len({act.zone for act in test}) == 5  # each from another zone
    assert {act.zone for act in train} == set(THEMES)
    trained = {name for act in train for _, name in act.sections}
    assert {name for act in test for _, name in act.sections} <= trained
    for theme in THEMES.values():  # every zone's own mechanics occur in its training acts
        own = {name for act in train if act.zone == theme.name for _, name in act.sections}
        assert set(theme.own) <= own, theme.name
