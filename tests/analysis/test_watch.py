"""Watching movies: what was recorded is what is seen, with the same rewards."""

import json
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from agent.actions import action_table
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Models
from analysis import recordings
from analysis.film import PANEL, TEXT, Film
from analysis.watch import from_movie, place_in, watch
from retro_common.errors import UsageError
from retro_contest import levels
from retro_contest.emulator import recordings as emulator_recordings
from retro_contest.emulator.make import make

ACTIONS = ("", "RIGHT", "RIGHT B", "LEFT")


@pytest.fixture
def models() -> Models:
    torch.manual_seed(0)
    return Models.build(
        AgentConfig(
            actions=ACTIONS,
            vision=VisionConfig(
                latent=16, grid=4, player_units=0, channels=(2, 4), decoder_channels=(2, 4)
            ),
            memory=MemoryConfig(hidden=8, mixtures=2),
            controller=ControllerConfig(hidden=8),
        )
    )


@pytest.mark.parametrize(
    "name", ["PangolinDash-Genesis-v0/FernHollow.Act2", "Airstriker-Genesis-v0/Level1"]
)
def test_a_bk2_movie_shows_what_was_played(models: Models, tmp_path: Path, name: str) -> None:
    (level,) = levels.find(name)
    env = make(level, seed=0, record=tmp_path)  # sticky actions and all
    table, rng = action_table(ACTIONS), np.random.default_rng(0)
    frame, _ = env.reset(seed=0)
    seen, rewards, actions = [], [], []
    for _ in range(40):
        actions.append(int(rng.integers(len(ACTIONS))))
        seen.append(frame)
        frame, reward, *_ = env.step(table[actions[-1]])
        rewards.append(reward)
    env.close()
    (path,) = tmp_path.glob("*.bk2")
    recording = recordings.read_recording(path)
    assert recording.level == level and len(recording.buttons) == 4 * 40
    moments = list(from_movie(models, recording))
    assert [moment.action for moment in moments] == actions
    assert [moment.reward for moment in moments] == pytest.approx(rewards)
    assert all(np.array_equal(m.frame, s) for m, s in zip(moments, seen, strict=True))


def test_a_solver_movie_reaches_the_end(models: Models) -> None:
    path = Path("pangolin_dash/movies/FernHollow.Act1.json")
    moments = list(from_movie(models, recordings.read_recording(path)))
    assert moments[-1].ended and not any(moment.ended for moment in moments[:-1])
    expected = json.loads(path.read_text())["reward"]
    assert sum(moment.reward for moment in moments) == pytest.approx(expected, rel=0.01)


def test_a_film_of_a_movie(models: Models, tmp_path: Path) -> None:
    movie = "pangolin_dash/movies/FernHollow.Act1.json"
    watch(models, movie, tmp_path / "w.mp4", timesteps=5)
    assert len(imageio.mimread(tmp_path / "w.mp4")) == 5


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("nowhere.bk2", None, "no such file"),
        ("wrong.bk2", b"not a zip", "wrong.bk2"),
        ("wrong.json", b"[]", "not an input movie"),
        ("Atlantis.json", b'{"inputs": "R8"}', "no level named 'Atlantis'"),
    ],
)
def test_mistakes_name_the_file(
    tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=complaint):
        recordings.read_recording(tmp_path / name)


def test_a_movie_of_a_game_that_is_not_there(tmp_path: Path, monkeypatch) -> None:
    (level,) = levels.find("Airstriker-Genesis-v0/Level1")
    env = make(level, seed=0, record=tmp_path)
    env.reset()
    env.step(np.zeros(12, np.int8))
    env.close()
    (path,) = tmp_path.glob("*.bk2")
    monkeypatch.setattr(emulator_recordings, "known_levels", list)
    monkeypatch.setattr(levels, "states", lambda folder: [])
    with pytest.raises(UsageError, match="'Airstriker-Genesis-v0', a game that is not installed"):
        recordings.read_recording(path)


def test_a_ring_marks_a_place(tmp_path: Path) -> None:
    panels = {"game": np.zeros((64, 64, 3), np.uint8), "other": np.zeros((64, 64, 3), np.uint8)}
    with Film(tmp_path / "a.gif") as reel:
        plain = reel.add(panels, {}, {"c": 0.0})
    with Film(tmp_path / "b.gif") as reel:
        marked = reel.add(panels, {}, {"c": 0.0}, rings={"game": (0.5, -0.5), "other": None})
    rows, columns = (marked != plain).any(axis=2).nonzero()
    width, height = PANEL
    assert (columns.min() + columns.max()) / 2 == pytest.approx(8 + 0.75 * width, abs=2)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(TEXT + 0.25 * height, abs=2)


def test_places_are_those_of_a_v_with_a_player_units() -> None:
    def models(**vision: int) -> Models:
        sizes = {"latent": 20, "grid": 4, "channels": (2, 4), **vision}
        return Models.build(AgentConfig(vision=VisionConfig(**sizes)))

    z = torch.zeros(1, 20)
    z[0, -2:] = torch.tensor([1.0, -2.0])
    assert place_in(models(player_units=4), z) == (0.5, -1.0)
    assert place_in(models(latent=32, player_units=0), z) is None


@pytest.mark.parametrize("path", ["/proc/x.mp4", "/proc/x.gif", "/dev/null/x.mp4"])
def test_a_film_that_cannot_be_written_is_one_line(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be written") as caught:
        Film(Path(path))
    assert path in str(caught.value) and "\n" not in str(caught.value)
