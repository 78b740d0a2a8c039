"""Dreams and films."""

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.player import Models, Player
from pretrain.dream import DreamEnv, film_dream
from pretrain.watch import Moment, film


@pytest.fixture
def models() -> Models:
    torch.manual_seed(0)
    return Models.build(
        AgentConfig(
            actions=("", "RIGHT", "B"),
            vision=VisionConfig(latent=6, channels=(2, 4, 4, 4)),
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
    player = Player(models, envs=1, seed=0)
    for frame, action in zip(FRAMES, [*actions, 0], strict=True):
        features = player.observe(frame[None])
        h = features.h
        player.remember(features, torch.tensor([action]), np.array([False]))
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
