"""The game around an act, as a person meets it: title, pause, a lost life, the next act."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import stable_retro as retro

from pangolin_dash.acts import SHIPPED
from pangolin_dash.movies import FOLDER
from retro_common.movies import Movie
from tests.pangolin_dash.conftest import INTEGRATIONS

Hold = Callable[..., dict[str, int]]


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> Iterator[Hold]:
    """Press buttons for some frames; returns the RAM variables after them."""
    retro.data.Integrations.add_custom_path(str(INTEGRATIONS.resolve()))
    env = retro.make(
        SHIPPED,
        state=getattr(request, "param", retro.State.NONE),
        inttype=retro.data.Integrations.CUSTOM_ONLY,
        render_mode="rgb_array",
    )
    env.reset()

    def press(*names: str, frames: int, until: str = "") -> dict[str, int]:
        mask = np.zeros(len(env.buttons), np.uint8)
        for name in names:
            mask[env.buttons.index(name)] = 1
        for _ in range(frames):
            env.em.set_button_mask(mask, 0)  # past the filter: START works
            env.em.step()
            env.data.update_ram()
            if until and env.data.lookup_value(until):
                break
        return env.data.lookup_all()

    yield press
    env.close()


def test_start_on_the_title_begins_the_chosen_act(hold: Hold) -> None:
    assert not hold(frames=60)["playing"]
    hold("RIGHT", frames=2)
    hold(frames=5)
    hold("START", frames=2)
    info = hold(frames=300, until="playing")
    assert (info["playing"], info["zone"], info["act"], info["lives"]) == (1, 0, 1, 3)


@pytest.mark.parametrize("hold", ["FernHollow.Act1"], indirect=True)
def test_start_pauses_and_goes_on(hold: Hold) -> None:
    before = hold("RIGHT", frames=60)
    paused = hold("START", frames=4)
    assert before["x"] <= paused["x"] <= before["x"] + 12
    assert hold("RIGHT", frames=60)["frame"] == paused["frame"]
    hold("START", frames=2)
    after = hold("RIGHT", frames=60)
    assert after["frame"] > paused["frame"] + 50 and after["x"] > paused["x"] + 20


@pytest.mark.parametrize("hold", ["EmberWorks.Act1"], indirect=True)
def test_a_lost_life_starts_the_act_again_and_the_last_one_ends_the_game(hold: Hold) -> None:
    lives = []
    for _ in range(2600):
        info = hold("RIGHT", frames=1)
        if not lives or info["lives"] != lives[-1]:
            lives.append(info["lives"])
        if not info["playing"]:
            break
    assert lives == [3, 2, 1, 0]
    assert not info["playing"]  # the title again


@pytest.mark.parametrize("hold", ["FernHollow.Act3"], indirect=True)
def test_the_end_of_an_act_leads_to_the_next(hold: Hold) -> None:
    for held, frames in Movie.load(FOLDER / "FernHollow.Act3.json").inputs:
        info = hold(*held, frames=frames)
    assert hold(frames=4)["level_end"]
    for _ in range(600):
        info = hold(frames=1)
        if not info["level_end"]:
            break
    assert (info["zone"], info["act"], info["x"]) == (1, 0, 96)
