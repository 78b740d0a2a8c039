"""PPO in one file: trained on three acts of Pangolin Dash, then entered into the contest.

    python examples/ppo.py train --timesteps 1000000 --to ppo.pt
    retro-contest evaluate --levels pangolin-test --timesteps 20000 \
        --agent "python examples/ppo.py play ppo.pt" --results results/ppo

The network is the convolutional one of DQN on 4 stacked grey frames (Mnih et al. 2015), the
algorithm that of Schulman et al. 2017 (arXiv 1707.06347). In the contest it plays what it learnt
and learns nothing more.
"""

from __future__ import annotations

import argparse
import os
import time

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

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
ACTIONS = len(VIEW["actions"])

REWARD_SCALE = 0.01  # an act is worth 9,900
GAMMA, LAMBDA = 0.99, 0.95
CLIP, ENTROPY, VALUE, MAX_NORM = 0.2, 0.01, 0.5, 0.5
EPOCHS, MINIBATCHES, LEARNING_RATE = 3, 4, 2.5e-4


class Agent(nn.Module):
    """Policy and value function on frames, uint8 `(B, 4, 64, 64)`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(4, 32, 8, stride=4), nn.ReLU()),
            *(nn.Conv2d(32, 64, 4, stride=2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, stride=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(64 * 4 * 4, 512), nn.ReLU()),
        )
        self.policy, self.value = nn.Linear(512, ACTIONS), nn.Linear(512, 1)
        nn.init.orthogonal_(self.policy.weight, 0.01)

    def forward(self, frames: np.ndarray | torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        """Distribution of the actions, and values `(B,)`."""
        hidden = self.body(torch.as_tensor(frames).float() / 255)
        return Categorical(logits=self.policy(hidden)), self.value(hidden).squeeze(-1)


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    envs = gymnasium.make_vec(
        "RetroContest-v1", num_envs=args.envs, levels=LEVELS, seed=args.seed, **VIEW
    )
    agent = Agent()
    optimizer = torch.optim.Adam(agent.parameters(), LEARNING_RATE, eps=1e-5)
    steps = args.rollout
    shape = (steps, args.envs)
    frames = np.zeros((*shape, 4, 64, 64), np.uint8)
    actions, log_probs = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    rewards, values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    ended = np.zeros(shape, bool)
    episodes: list[float] = []
    began = time.monotonic()

    observation, _ = envs.reset()
    for update in range(max(1, args.timesteps // (steps * args.envs))):
        for t in range(steps):
            with torch.inference_mode():
                distribution, value = agent(observation)
                action = distribution.sample()
            frames[t], actions[t], values[t] = observation, action, value
            log_probs[t] = distribution.log_prob(action)
            observation, reward, terminated, truncated, infos = envs.step(actions[t])
            rewards[t], ended[t] = reward * REWARD_SCALE, terminated | truncated
            # The time limit is no end of the game: count what would have followed.
            for i in np.flatnonzero(truncated):
                with torch.inference_mode():
                    rewards[t, i] += GAMMA * float(agent(infos["final_obs"][i][None])[1])
            episodes += [each.reward for each in infos.get("episodes", ()) if each is not None]

        with torch.inference_mode():
            following = agent(observation)[1].numpy()
        advantages = np.zeros(shape, np.float32)
        last = np.zeros(args.envs, np.float32)
        for t in reversed(range(steps)):
            goes_on = ~ended[t]
            delta = rewards[t] + GAMMA * following * goes_on - values[t]
            last = advantages[t] = delta + GAMMA * LAMBDA * goes_on * last
            following = values[t]
        returns = advantages + values
        learn(agent, optimizer, *map(flat, (frames, actions, log_probs, advantages, returns)))

        done = (update + 1) * steps * args.envs
        mean = np.mean(episodes[-20:]) if episodes else float("nan")
        speed = done / (time.monotonic() - began)
        print(f"{done:,} timesteps, {speed:.0f}/s, mean reward of 20 episodes {mean:.0f}")
    envs.close()
    torch.save(agent.state_dict(), args.to)
    print(f"wrote {args.to}")


def flat(array: np.ndarray) -> torch.Tensor:
    """`(T, N, ...)` to `(T * N, ...)`."""
    return torch.from_numpy(array.reshape(-1, *array.shape[2:]))


def learn(agent, optimizer, frames, actions, log_probs, advantages, returns) -> None:
    """PPO's update: some epochs of minibatches."""
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(actions)).chunk(MINIBATCHES):
            distribution, value = agent(frames[batch])
            ratio = (distribution.log_prob(actions[batch]) - log_probs[batch]).exp()
            advantage = advantages[batch]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
            value_loss = 0.5 * (value - returns[batch]).square().mean()
            loss = policy_loss + VALUE * value_loss - ENTROPY * distribution.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
            optimizer.step()


@torch.inference_mode()
def play(args: argparse.Namespace) -> None:
    torch.manual_seed(int(os.environ.get("RETRO_CONTEST_SEED", "0")))
    agent = Agent()
    agent.load_state_dict(torch.load(args.model, weights_only=True))
    env = Preprocessing(**VIEW)(RemoteEnv())
    try:
        while True:
            observation, _ = env.reset()
            ended = False
            while not ended:
                action = agent(observation[None])[0].sample()
                observation, _, ended, _, _ = env.step(int(action))
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
    training.add_argument("--to", default="ppo.pt")
    training.set_defaults(run=train)
    playing = commands.add_parser("play", help="play in the contest")
    playing.add_argument("model")
    playing.set_defaults(run=play)
    args = parser.parse_args()
    torch.set_num_threads(1)  # faster on a machine with few cores: the emulators need the others
    args.run(args)


if __name__ == "__main__":
    main()
