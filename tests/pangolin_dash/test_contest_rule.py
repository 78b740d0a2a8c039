"""The contest scenario gives exactly the reward of the Retro Contest's rule for Sonic."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pangolin_dash.acts import SHIPPED
from pangolin_dash.movies import FOLDER
from pangolin_dash.replay import open_act
from retro_common.movies import Movie
from tests.pangolin_dash.conftest import INTEGRATIONS

# The rule written again in Lua, as the contest states it: 9000 points for the whole
# way, back costs, at the end 1000 x (1 - frames / 18000); over at a lost life or the level's end.
RULE = """
data.before, data.lives_before = 0, 3
function progress()
    return math.min(math.max((data.x - 96) / (data.end_x - 96), 0), 1)
end
function rule_reward()
    local now = progress()
    local points = 9000 * (now - data.before)
    data.before = now
    if now >= 1 then
        points = points + 1000 * (1 - math.min(scenario.frame / 18000, 1))
    end
    return points
end
function rule_done()
    return data.lives < data.lives_before or progress() >= 1
end
"""


@pytest.fixture
def with_rule(tmp_path: Path) -> Path:
    shutil.copytree(INTEGRATIONS / SHIPPED, tmp_path / SHIPPED)
    (tmp_path / SHIPPED / "rule.lua").write_text(RULE)
    (tmp_path / SHIPPED / "rule.json").write_text(
        json.dumps(
            {
                "reward": {"script": "lua:rule_reward"},
                "done": {"script": "lua:rule_done"},
                "scripts": ["rule.lua"],
            }
        )
    )
    return tmp_path


def _play(scenario: str, act: str, parent: Path, inputs) -> list[list[tuple[float, bool]]]:
    """Rewards and ends of two episodes with the same inputs."""
    env = open_act(SHIPPED, act, parent, scenario)
    buttons = {name: i for i, name in enumerate(env.buttons) if name}
    episodes = []
    try:
        for _ in range(2):
            env.reset()
            seen: list[tuple[float, bool]] = []
            for held, frames in inputs:
                action = np.zeros(len(env.buttons), np.uint8)
                action[[buttons[name] for name in held]] = 1
                for _ in range(frames):
                    _, reward, done, _, _ = env.step(action)
                    seen.append((reward, done))
                    if done:
                        break
                if seen[-1][1]:
                    break
            episodes.append(seen)
    finally:
        env.close()
    return episodes


def _inputs(kind: str):
    if kind == "finish":
        return (*Movie.load(FOLDER / "FernHollow.Act1.json").inputs, ((), 4))
    if kind == "back and forth":  # left of the start, far right, back again
        return ((("LEFT",), 40), (("RIGHT",), 120), (("LEFT",), 150), (("RIGHT",), 60))
    return ((("RIGHT",), 900),)  # die in the first pit


@pytest.mark.parametrize("kind", ["finish", "back and forth", "die"])
def test_same_reward_as_the_rule_in_lua(kind: str, with_rule: Path) -> None:
    act = "EmberWorks.Act1" if kind == "die" else "FernHollow.Act1"
    ours = _play("contest", act, with_rule, _inputs(kind))
    rule = _play(str(with_rule / SHIPPED / "rule.json"), act, with_rule, _inputs(kind))
    for mine, theirs in zip(ours, rule, strict=True):
        assert [end for _, end in mine] == [end for _, end in theirs]
        np.testing.assert_allclose(
            [reward for reward, _ in mine], [reward for reward, _ in theirs], atol=1e-3
        )
    first, second = ours
    assert first == second  # nothing is left over from the episode before
    assert first[-1][1] == (kind != "back and forth")
    rewards = [reward for reward, _ in first]
    if kind == "back and forth":
        assert min(rewards) < 0
    if kind == "finish":
        assert sum(rewards) > 9000
