"""PPO from scratch with stable-baselines3, set up as the contest's public baseline of 2018.

    python -m benchmarks.agents.sb3 --socket DIR

The hyper-parameters and wrappers are those of openai/retro-baselines, `agents/ppo2_agent.py` and
`sonic_util.py`: 84×84 grey frames, 4 stacked, rewards × 0.01, 7 actions, rollouts of 4096
timesteps, 8 minibatches, 3 epochs, learning rate 2e-4, clip 0.1 (of the value function, too, as
OpenAI's implementation does), entropy 0.01. Trains until the contest ends.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium.wrappers import TransformReward
from stable_baselines3 import PPO
from stable_baselines3.common.atari_wrappers import WarpFrame
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from agent.actions import action_table
from gym_remote.client import RemoteEnv
from gym_remote.exceptions import GymRemoteError, TimestepTimeoutError, WallClockTimeoutError

# The baseline's are LEFT, RIGHT, LEFT DOWN, RIGHT DOWN, DOWN, DOWN B (Sonic's spin dash) and B. The
# pangolin has no spin dash and needs a direction to jump somewhere: jumping left and right
# stand for DOWN B and LEFT DOWN.
ACTIONS = ("LEFT", "RIGHT", "LEFT B", "RIGHT DOWN", "DOWN", "RIGHT B", "B")
FOREVER = 10**9


@dataclasses.dataclass
class Args:
    """Play a contest with PPO from scratch."""

    socket: str = os.environ.get("RETRO_CONTEST_SOCKET", "tmp/sock")
    """directory that the contest's socket is in"""
    seed: int = int(os.environ.get("RETRO_CONTEST_SEED", "0"))
    """seed of the networks and of the policy's choices"""
    threads: int = 1
    """threads for the networks"""
    rollout: int = 4096
    """timesteps per update"""


class Actions(gymnasium.ActionWrapper):
    """Numbers in place of the 12 buttons."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self._table = action_table(ACTIONS)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))

    def action(self, action: int) -> np.ndarray:
        return self._table[action]


def wrapped(env: gymnasium.Env) -> gymnasium.Env:
    """The baseline's wrappers, but for the frame stack: observations are uint8 (84, 84, 1)."""
    return WarpFrame(TransformReward(Actions(env), lambda reward: 0.01 * float(reward)), 84, 84)


def main() -> int:
    args = tyro.cli(Args, prog="python -m benchmarks.agents.sb3", description=__doc__)
    torch.set_num_threads(args.threads)
    remote = RemoteEnv(args.socket)
    try:
        env = VecFrameStack(DummyVecEnv([lambda: wrapped(remote)]), 4)
        model = PPO(
            "CnnPolicy",
            env,
            n_steps=args.rollout,
            batch_size=args.rollout // 8,
            n_epochs=3,
            learning_rate=2e-4,
            clip_range=0.1,
            clip_range_vf=0.1,
            ent_coef=0.01,
            gamma=0.99,
            gae_lambda=0.95,
            vf_coef=0.5,
            max_grad_norm=0.5,
            seed=args.seed,
            device="auto",
            verbose=1,
        )
        model.learn(FOREVER)
    except (TimestepTimeoutError, WallClockTimeoutError):
        return 0
    except (GymRemoteError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        remote.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
