"""How rollouts are played: each behaviour alone, the mix, and the mix in the emulator."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.actions import action_table
from pretrain.config import CollectConfig
from pretrain.data import recorder
from pretrain.data.behaviours import Behaviours, HoldRight, Jerk, NoisyMovie, nearest_actions
from pretrain.data.movies import find_movie
from pretrain.data.shards import Shard
from retro_common.errors import UsageError
from retro_contest.levels import find

ACTIONS = ("", "RIGHT", "RIGHT B", "B", "LEFT", "LEFT B", "DOWN", "RIGHT DOWN")
RIGHT, LEFT = {1, 2}, {4, 5}
FRAME = np.zeros((64, 64, 3), np.uint8)


def play(behaviour, rewards) -> list[int]:
    return [behaviour.act(FRAME, reward) for reward in rewards]


def draw(name: str, movie: np.ndarray | None = None, **settings):
    config = CollectConfig(behaviours={name: 1.0}, **settings)
    return Behaviours(config, ACTIONS, np.random.default_rng(0)).draw(movie)


def test_hold_right_walks_and_jumps_and_never_turns() -> None:
    played = play(draw("hold-right"), np.zeros(500))
    assert set(played) == RIGHT
    assert 0.03 < np.mean(np.array(played) == 2) < 0.6


def test_jerk_goes_back_only_where_going_right_brought_nothing() -> None:
    behaviour = draw("jerk")
    assert isinstance(behaviour, Jerk)
    assert set(play(behaviour, np.ones(400))) == RIGHT
    stuck = np.array(play(draw("jerk"), np.zeros(540)))
    assert set(stuck[:100]) <= RIGHT and set(stuck[100:170]) <= LEFT
    assert set(stuck[170:270]) <= RIGHT and set(stuck[270:340]) <= LEFT


def test_a_movie_without_noise_is_followed_and_then_goes_on_at_random() -> None:
    movie = action_table(ACTIONS)[[1, 1, 2, 6, 7, 1]]
    assert nearest_actions(movie, ACTIONS).tolist() == [1, 1, 2, 6, 7, 1]
    behaviour = draw("noisy-movie", movie, movie_noise=0.0)
    assert isinstance(behaviour, NoisyMovie)
    assert play(behaviour, np.zeros(6)) == [1, 1, 2, 6, 7, 1]
    assert set(play(behaviour, np.zeros(300))) <= set(range(len(ACTIONS)))


def test_buttons_that_the_agent_lacks_become_the_nearest_action() -> None:
    row = np.maximum(*action_table(("RIGHT DOWN", "B")))
    assert nearest_actions(row[None], ("", "RIGHT", "RIGHT DOWN")).tolist() == [2]


def test_noise_leads_astray_now_and_then() -> None:
    movie = np.repeat(action_table(("RIGHT",)), 4000, axis=0)
    rng = np.random.default_rng(3)
    behaviours = Behaviours(CollectConfig(behaviours={"noisy-movie": 1}), ACTIONS, rng)
    followed = [
        np.mean(np.array(play(behaviours.draw(movie), np.zeros(300))) == 1) for _ in range(20)
    ]
    assert 0.3 < np.mean(followed) < 0.99 and np.std(followed) > 0.02


def test_the_mix_has_the_shares_of_the_weights() -> None:
    config = CollectConfig(behaviours={"random": 1, "hold-right": 3, "jerk": 0})
    behaviours = Behaviours(config, ACTIONS, np.random.default_rng(0))
    kinds = [type(behaviours.draw(None)) for _ in range(400)]
    assert Jerk not in kinds
    assert 0.68 < np.mean([kind is HoldRight for kind in kinds]) < 0.82


@pytest.mark.parametrize(
    ("settings", "actions", "complaint"),
    [
        ({"behaviours": {"random": 0}}, ACTIONS, "at least one weight"),
        ({"behaviours": {"hold-right": 1}}, ("", "LEFT"), "'RIGHT B'"),
    ],
)
def test_a_mix_that_cannot_be_played_says_why(settings, actions, complaint) -> None:
    with pytest.raises(UsageError, match=complaint):
        Behaviours(CollectConfig(**settings), actions, np.random.default_rng(0)).draw(None)


@pytest.fixture
def one_emulator() -> Iterator[None]:
    """The recorder keeps its emulator, of which a process can have but one, for the next shard."""
    yield
    recorder.close_environment()


@pytest.mark.usefixtures("one_emulator")
def test_a_noisy_movie_is_recorded_in_the_emulator(tmp_path: Path) -> None:
    level = find("PangolinDash-Genesis-v0/FernHollow.Act1")[0]
    movies = Path(__file__).parents[2] / "pangolin_dash" / "movies"
    config = CollectConfig(
        shard=256,
        movies=movies,
        movie_share=1.0,
        movie_timesteps=64,
        behaviours={"noisy-movie": 1.0},
    )
    recorder.record(tmp_path / "shard", level, 5, ACTIONS, config, False, {})
    shard = Shard(tmp_path / "shard")
    assert len(shard) == 256 and len(np.flatnonzero(shard.starts)) >= 4
    assert find_movie(movies, level.state) is not None
    # Along the movie: far beyond what play from the start reaches in 64 timesteps.
    assert shard.variables[:, shard.variable_names.index("x")].max() > 1000
