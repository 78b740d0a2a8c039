"""Dreams and films."""

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from agent.actions import action_table
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Actor, Models
from analysis.dream import DreamEnv, film_dream, first_frames, play_dream
from analysis.keyboard import Window, nearest_action
from analysis.watch import Moment, film
from gym_remote.spaces import BUTTONS
from retro_common.errors import UsageError


@pytest.fixture
def models() -> Models:
    torch.manual_seed(0)
    return Models.build(
        AgentConfig(
            actions=("", "RIGHT", "B"),
            vision=VisionConfig(
                latent=20, grid=4, player_units=4, channels=(2, 4), decoder_channels=(2, 4)
            ),
            memory=MemoryConfig(hidden=8, mixtures=2),
            controller=ControllerConfig(hidden=8),
        )
    )


FRAMES = np.random.default_rng(0).integers(256, size=(5, 64, 64, 3), dtype=np.uint8)


@pytest.mark.filterwarnings("ignore:.*(render|spec).*")
def test_a_dream_is_a_gymnasium_environment(models: Models) -> None:
    check_env(DreamEnv(models, FRAMES, time_limit=50), skip_render_check=True)


def test_the_same_seed_dreams_the_same(models: Models) -> None:
    dreams = []
    for _ in range(2):
        env = DreamEnv(models, FRAMES, temperature=1.0, end_threshold=1.1, time_limit=7)
        seen = [env.reset(seed=4)[0]]
        for action in (0, 1, 2, 1, 0, 0, 1):
            frame, reward, terminated, truncated, _ = env.step(action)
            assert np.isfinite(reward) and not terminated
            seen.append(frame)
        assert truncated
        dreams.append(np.stack(seen))
    assert (dreams[0] == dreams[1]).all()


def test_m_watches_real_frames_first_as_the_player_does(models: Models) -> None:
    actions = np.array([1, 2, 0, 1])
    env = DreamEnv(models, FRAMES)
    env.reset(options={"frames": FRAMES, "actions": actions})
    player = Actor(models, envs=1, seed=0)
    for frame, action in zip(FRAMES, [*actions, 0], strict=True):
        features = player.observe(frame[None])
        h = features.h
        player.remember(features, torch.tensor([action]), np.zeros(1), np.array([False]))
    torch.testing.assert_close(env.state.h, h, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(env.z, features.z, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_films_can_be_played(models: Models, tmp_path: Path, name: str) -> None:
    film_dream(models, FRAMES, tmp_path / name, timesteps=6, seed=0)
    frames = imageio.mimread(tmp_path / name)
    assert 1 <= len(frames) <= 6 and frames[0].shape[1] > 300


def test_a_film_of_the_game_has_its_four_panels(models: Models, tmp_path: Path) -> None:
    big = np.random.default_rng(1).integers(256, size=(224, 320, 3), dtype=np.uint8)
    moments = (Moment(big, t % 3, 1.0, t == 3) for t in range(10))
    film(models, moments, tmp_path / "w.mp4", timesteps=6)
    frames = imageio.mimread(tmp_path / "w.mp4")
    assert len(frames) == 6 and frames[0].shape[1] > 4 * 320


class Scripted:
    """A person at a window: holds these buttons, one row per timestep, then closes it."""

    def __init__(self, rows: list[str], again_at: int = -1):
        self.rows, self.again_at, self.shown = rows, again_at, []

    @property
    def closed(self) -> bool:
        return len(self.shown) == len(self.rows)

    @property
    def again(self) -> bool:
        return len(self.shown) == self.again_at

    def pressed(self) -> np.ndarray:
        row = np.zeros(len(BUTTONS), np.int8)
        row[[BUTTONS.index(button) for button in self.rows[len(self.shown) - 1].split()]] = 1
        return row

    def show(self, frame: np.ndarray) -> None:
        self.shown.append(frame)


def test_a_person_can_play_a_dream(models: Models, capsys: pytest.CaptureFixture) -> None:
    env = DreamEnv(models, FRAMES, end_threshold=1.1)
    taken = []
    step = env.step
    env.step = lambda action: taken.append(action) or step(action)
    person = Scripted(["", "RIGHT", "B", "RIGHT", "", "B"], again_at=4)
    play_dream(env, person, seed=3, rate=1000)
    assert taken == [0, 1, 2, 1, 0, 2]
    assert capsys.readouterr().out.count("dream: reward") == 1
    frame, _ = DreamEnv(models, FRAMES).reset(seed=3)
    assert np.array_equal(person.shown[0], frame)
    assert all(f.shape == (64, 64, 3) for f in person.shown)


def test_buttons_without_an_action_become_the_nearest() -> None:
    table = action_table(("", "RIGHT", "RIGHT B", "DOWN"))
    pressed = np.zeros(12, np.int8)
    pressed[[BUTTONS.index("RIGHT"), BUTTONS.index("B"), BUTTONS.index("UP")]] = 1
    assert nearest_action(table, pressed) == 2
    assert [nearest_action(table, row) for row in table] == [0, 1, 2, 3]


def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UsageError, match="needs a display") as caught:
        Window("title")
    assert "\n" not in str(caught.value)


def test_a_dream_begins_with_a_levels_first_frame() -> None:
    frames = first_frames("PangolinDash-Genesis-v0/FernHollow.Act1", seed=0)
    assert frames.shape == (1, 64, 64, 3) and len(np.unique(frames)) > 20
