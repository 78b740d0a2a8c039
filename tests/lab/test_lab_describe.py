"""The words are true: the simulator does what they say."""

from pathlib import Path

import numpy as np
import pytest

from lab import __main__ as command
from lab.describe import FLOORS, WORDS, describe
from pangolin_dash.simulator import LEFT, RIGHT, B, Worlds
from pretrain.data.acts import acts_of_levels


@pytest.fixture
def worlds() -> Worlds:
    return Worlds([acts_of_levels("pangolin-train")[0].act], 1, sticky=0.0)


def said(worlds: Worlds, pads: list[int]) -> list[str]:
    """What is said after each of these timesteps."""
    words = []
    for pad in pads:
        worlds.step(np.array([pad], np.uint8), restart=False)
        words.append(WORDS[describe(worlds.observe())[0]])
    return words


def test_a_player_stands_walks_runs_and_jumps(worlds: Worlds) -> None:
    assert set(said(worlds, [0] * 5)) == {"stands"}
    going = said(worlds, [RIGHT] * 14)
    assert going[0] in ("stands", "walks") and "walks" in going and going[-1] == "runs"
    jump = said(worlds, [RIGHT | B] * 3 + [RIGHT] * 14)
    assert jump[0] == "rises" and "falls" in jump
    assert jump.index("rises") < jump.index("falls")


def test_words_agree_with_the_games_variables(worlds: Worlds) -> None:
    """Nearly always: the variables are those of the frame before."""
    rng, agree = np.random.default_rng(0), []
    for _ in range(500):
        pad = int(rng.choice([RIGHT, RIGHT, RIGHT | B, LEFT]))
        for _ in range(4):
            word, known = said(worlds, [pad])[0], worlds.state["variables"][0]
            speed = abs(int(known["speed_x"])) / 256
            facts = {
                "thrown back": known["hurt"],
                "rises": not known["on_ground"] and known["speed_y"] < 0,
                "falls": not known["on_ground"] and known["speed_y"] >= 0,
                "rolls": known["rolling"],
                "runs": known["on_ground"] and speed > 2.9,
                "walks": known["on_ground"] and 0.4 < speed < 3.1,
                "stands": known["on_ground"] and speed < 0.6,
            }
            if word in facts:
                agree.append((word, bool(facts[word])))
        if worlds.over[0]:
            worlds.load(0, 0)
    assert {"rises", "falls", "runs", "walks", "stands"} <= {word for word, _ in agree}
    for word in {word for word, _ in agree}:
        assert np.mean([true for each, true in agree if each == word]) > 0.9, word


def test_a_pit_is_seen_ahead_and_not_behind(worlds: Worlds) -> None:
    memory = worlds.observe()
    assert WORDS[describe(memory)[0]] == "stands"
    for column, word in ((8, "at a pit"), (4, "stands"), (12, "stands")):
        changed = memory.copy()
        changed[0, FLOORS + 2 * column + 1] = 1
        assert WORDS[describe(changed)[0]] == word, column


def test_the_command_says_how_often_each_word_is_true(
    tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["describe", "--data", str(tiny_data)]) == 0
    said = [line.split("%  ") for line in capsys.readouterr().out.splitlines()[-len(WORDS) :]]
    shares = [float(share) for share, _ in said]
    assert {word for _, word in said} == set(WORDS)
    assert sum(shares) == pytest.approx(100, abs=0.6) and shares == sorted(shares, reverse=True)
