"""stable-baselines3's PPO: trained on three acts of Pangolin Dash, then entered into the contest.

    python examples/sb3_ppo.py train --timesteps 1000000 --to sb3.zip
    retro-contest evaluate --levels pangolin-test --timesteps 20000 \
        --agent "python examples/sb3_ppo.py play sb3.zip" --results results/sb3

`Levels` is the adapter from a vector environment of the contest to one of stable-baselines3; it
serves every algorithm of that library.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

import retro_contest  # noqa: F401 - registers the levels
from gym_remote import ContestOver, RemoteEnv
from retro_contest.emulator.preprocessing import Preprocessing

LEVELS = ("FernHollow.Act1", "AmberDunes.Act1", "FrostPeak.Act2")
VIEW = {
    "actions": ("RIGHT", "RIGHT B", "B", "LEFT", "LEFT B", "DOWN", "RIGHT DOWN"),
    "size": 64,
    "grey": True,
    "stack": 4,
}
"""what the agent sees and does, in training and in the contest"""
REWARD_SCALE = 0.01  # an act is worth 9,900


class Levels(VecEnv):
    """The contest's vector environment as stable-baselines3 expects it."""

    def __init__(self, num_envs: int, seed: int) -> None:
        self.envs = gymnasium.make_vec(
            "RetroContest-v1", num_envs=num_envs, levels=LEVELS, seed=seed, **VIEW
        )
        spaces = self.envs.single_observation_space, self.envs.single_action_space
        super().__init__(num_envs, *spaces)

    def reset(self) -> np.ndarray:
        return self.envs.reset()[0]

    def step_async(self, actions: np.ndarray) -> None:
        self.envs.step_async(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, infos = self.envs.step_wait()
        ended = terminated | truncated
        listed: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(ended):
            listed[i]["terminal_observation"] = infos["final_obs"][i]
            listed[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observations, rewards * REWARD_SCALE, ended, listed

    def close(self) -> None:
        self.envs.close()

    def _for_each(self, indices: Any, value: Any) -> list[Any]:
        return [value for _ in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return self._for_each(indices, getattr(self.envs, attr_name))

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return self._for_each(indices, False)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the environments are in other processes")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        raise NotImplementedError("the environments are in other processes")


def train(args: argparse.Namespace) -> None:
    env = VecMonitor(Levels(args.envs, args.seed))
    model = PPO(
        "CnnPolicy",
        env,
        n_steps=args.rollout,
        batch_size=args.rollout * args.envs // 4,
        n_epochs=3,
        learning_rate=2.5e-4,
        ent_coef=0.01,
        seed=args.seed,
        verbose=1,
    )
    model.learn(args.timesteps)
    env.close()
    model.save(args.to)
    print(f"wrote {args.to}")


def play(args: argparse.Namespace) -> None:
    model = PPO.load(args.model)
    model.set_random_seed(int(os.environ.get("RETRO_CONTEST_SEED", "0")))
    env = Preprocessing(**VIEW)(RemoteEnv())
    try:
        while True:
            observation, _ = env.reset()
            ended = False
            while not ended:
                action, _ = model.predict(observation)
                observation, _, ended, _, _ = env.step(action)
    except ContestOver as end:
        print(end)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train on three acts")
    training.add_argument("--timesteps", type=int, default=1_000_000)
    training.add_argument("--envs", type=int, default=6)
    training.add_argument("--rollout", type=int, default=128, help="timesteps per update")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--to", default="sb3.zip")
    training.set_defaults(run=train)
    playing = commands.add_parser("play", help="play in the contest")
    playing.add_argument("model")
    playing.set_defaults(run=play)
    args = parser.parse_args()
    torch.set_num_threads(1)  # faster on a machine with few cores: the emulators need the others
    args.run(args)


if __name__ == "__main__":
    main()
