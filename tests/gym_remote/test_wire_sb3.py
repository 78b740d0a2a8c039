"""Our client below stable-baselines3, as an entrant would use it: no wrapper, no setting."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from wire_peers import Serving

from gym_remote import ContestOver, RemoteEnv
from gym_remote.exceptions import ResetError


class SmallFrames(gymnasium.Env):
    """Episodes of 7 steps; frames are small enough for a quick network."""

    action_space = spaces.MultiBinary(12)
    observation_space = spaces.Box(0, 255, (36, 36, 3), np.uint8)

    def __init__(self):
        self.resets = 0
        self.actions = []

    def reset(self, *, seed=None, options=None):
        self.resets += 1
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.steps += 1
        self.actions.append(action)
        return self.observation_space.sample(), 1.0, self.steps == 7, False, {}


def test_stable_baselines3_learns_over_the_wire(tmp_path, monkeypatch):
    from stable_baselines3 import PPO

    monkeypatch.setenv("RETRO_CONTEST_SOCKET", str(tmp_path))
    small = SmallFrames()
    with Serving(small, tmp_path, timestep_limit=60) as serving:
        env = RemoteEnv(connect_timeout=20, timeout=20)
        agent = PPO("CnnPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0, device="cpu")
        agent.learn(16)
        with pytest.raises(ResetError):  # in an episode: learn() begins with a reset
            agent.learn(16)
        agent.learn(16, reset_num_timesteps=False)
        with pytest.raises(ContestOver, match="60 timesteps played"):
            agent.learn(1000, reset_num_timesteps=False)
        assert serving.result().timesteps == 60
    assert len(small.actions) + small.resets == 60
    assert any(action.any() for action in small.actions)
