"""PPO of stable-baselines3, which learns while it plays.

It begins with the model in model.zip beside this file, if there is one: pretrain with the same
`Contest` wrapper and the same hyper-parameters, save, and copy the file here. When the budget is
used up, the model is saved into the folder of the run's output.
"""

import os
from pathlib import Path

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from gym_remote import BUTTONS, ContestOver, RemoteEnv

ACTIONS = ["LEFT", "RIGHT", "LEFT B", "RIGHT B", "RIGHT DOWN", "DOWN", "B"]
MODEL = Path(__file__).with_name("model.zip")
OUT = Path(os.environ.get("RETRO_CONTEST_OUT", "out"))
SEED = int(os.environ.get("RETRO_CONTEST_SEED", "0"))
TIMESTEPS = int(os.environ.get("RETRO_CONTEST_TIMESTEPS", "1000000"))
# Timesteps per update: 4,096 as in the contest's public baseline, fewer where the budget is small.
ROLLOUT = 8 * min(512, max(8, TIMESTEPS // 64))


class Contest(gymnasium.Wrapper):
    """7 actions in place of 12 buttons, grey frames of a quarter of the size, small rewards."""

    def __init__(self, env):
        super().__init__(env)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self.observation_space = gymnasium.spaces.Box(0, 255, (56, 80, 1), np.uint8)
        self._table = [[name in keys.split() for name in BUTTONS] for keys in ACTIONS]

    def reset(self, **options):
        observation, info = self.env.reset(**options)
        return self._shrink(observation), info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(self._table[action])
        return self._shrink(observation), 0.01 * reward, terminated, truncated, info

    def _shrink(self, observation):
        """The mean of each 4 by 4 pixels and of their colours."""
        grey = observation.reshape(56, 4, 80, 4, 3).mean(axis=(1, 3, 4), dtype=np.float32)
        return grey[..., None].astype(np.uint8)


def main():
    torch.set_num_threads(1)  # on few cores more threads are slower
    env = VecFrameStack(DummyVecEnv([lambda: Contest(RemoteEnv())]), 4)
    if MODEL.exists():
        model = PPO.load(MODEL, env, n_steps=ROLLOUT, batch_size=ROLLOUT // 8, seed=SEED)
    else:
        model = PPO(
            "CnnPolicy",
            env,
            n_steps=ROLLOUT,
            batch_size=ROLLOUT // 8,
            n_epochs=3,
            learning_rate=2e-4,
            clip_range=0.1,
            ent_coef=0.01,
            seed=SEED,
            verbose=1,
        )
    try:
        # Once: another call of learn() resets the environment, which the contest allows only at
        # the end of an episode.
        model.learn(10**9)
    except ContestOver as end:
        print(end)
    OUT.mkdir(exist_ok=True)
    model.save(OUT / "model.zip")


if __name__ == "__main__":
    main()
