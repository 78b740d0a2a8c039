"""How fast does our PPO train in the emulator, and does it learn as much per timestep?

    python -m benchmarks.training [--quick] [--bundle DIR] [--json FILE]

Trained in turns on the same level, each with 8 environments, until all have had the same timesteps:

- stable-baselines3's PPO as people set it up: CnnPolicy on 84×84 grey frames, 4 stacked,
  SubprocVecEnv of stable-retro's environments, 128 steps, batches of 256, 4 epochs;
- ours on [z, h] of a frozen world model (`pretrain controller` does the same);
- ours on pixels, with an encoder that PPO trains from random weights.

A turn is a rollout and its update, end to end. Speeds are medians over turns, ratios medians of the
turns' ratios, in wall seconds; CPU seconds, which other work on the machine disturbs less, are
reported beside them. Learning is the mean reward of the episodes that ended in the last third.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import tyro
from stable_baselines3 import PPO as PeerPPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack, VecTransposeImage

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, PPOConfig
from agent.learning.ppo import PPO, Rollout
from agent.models.actor import Models
from agent.models.controller import Controller
from benchmarks import environment
from benchmarks.agents.sb3 import wrapped
from benchmarks.command import one_level, run
from benchmarks.report import report
from benchmarks.timing import median_ratio
from pretrain.sampler import Sampler
from pretrain.stage import choose_device
from retro_contest.levels import Level

ENVS, TURN = 8, 2048
"""environments of each arm, and timesteps of a turn"""
OURS = PPOConfig(rollout=TURN, anneal=False)
POINTS = 10
"""points of a learning curve"""


@dataclasses.dataclass
class Args:
    """Train against stable-baselines3."""

    level: str = "PangolinDash-Genesis-v0/FernHollow.Act1"
    """the level that all arms train on"""
    bundle: Path | None = Path("bundles/pangolin")
    """bundle with V and M for the arm on [z, h]; `None` takes untrained ones of the default size"""
    timesteps: int = 30_720
    """of each arm"""
    quick: bool = False
    """three turns only: enough for a speed, not for a comparison of learning"""
    device: str = "auto"
    """where our networks and stable-baselines3's compute"""
    seed: int = 0
    """of the networks, the environments and the policies' choices"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


@dataclasses.dataclass
class Arm:
    """The measurements of one trainer."""

    name: str
    turn: Callable[[], list[float]]
    """trains for TURN timesteps and returns the rewards of the episodes that ended"""
    wall: list[float] = dataclasses.field(default_factory=list)
    """seconds of each turn"""
    cpu: list[float] = dataclasses.field(default_factory=list)
    """CPU seconds of each turn, over all processes"""
    episodes: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    """(timestep, reward) of every episode that ended"""

    def run(self) -> None:
        cpu, began = cpu_seconds(), time.perf_counter()
        rewards = self.turn()
        self.wall.append(time.perf_counter() - began)
        self.cpu.append(cpu_seconds() - cpu)
        self.episodes += [(len(self.wall) * TURN, reward) for reward in rewards]

    @property
    def rate(self) -> float:
        """Timesteps per second, the median over turns; the first one warms up."""
        return TURN / statistics.median(self.wall[1:])

    def learnt(self) -> float | None:
        """Mean reward of the episodes that ended in the last third."""
        late = [reward for t, reward in self.episodes if t > len(self.wall) * TURN * 2 / 3]
        return round(statistics.mean(late), 1) if late else None

    def curve(self) -> list[list[float]]:
        """[timestep, mean reward of the episodes that ended since the point before]."""
        ends = np.linspace(0, len(self.wall) * TURN, POINTS + 1)
        points = []
        for first, last in itertools.pairwise(ends):
            within = [reward for t, reward in self.episodes if first < t <= last]
            if within:
                points.append([int(last), round(statistics.mean(within), 1)])
        return points


def cpu_seconds() -> float:
    """CPU seconds of this process and its descendants so far."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def peer_env(level: Level, seed: int) -> Callable:
    def make():
        env = wrapped(Monitor(environment.peer(level)))
        env.reset(seed=seed)
        return env

    return make


class Peer:
    """stable-baselines3; `turn` is one of Arm's."""

    def __init__(self, level: Level, seed: int, device: str):
        envs = SubprocVecEnv([peer_env(level, seed + i) for i in range(ENVS)])
        self.envs = VecTransposeImage(VecFrameStack(envs, 4))
        self.model = PeerPPO(
            "CnnPolicy",
            self.envs,
            n_steps=128,
            batch_size=256,
            n_epochs=4,
            seed=seed,
            device=device,
        )
        self.seen = 0

    def turn(self) -> list[float]:
        rewards: list[float] = []

        def note(local: dict, _: dict) -> bool:
            rewards.extend(info["episode"]["r"] for info in local["infos"] if "episode" in info)
            return True

        self.model.learn(TURN, callback=note, reset_num_timesteps=self.seen == 0)
        self.seen += TURN
        return rewards


class Ours:
    """Our PPO on frozen features, or on pixels; `turn` is one of Arm's."""

    def __init__(self, level: Level, models: Models, seed: int, device: torch.device):
        self.threads, self.updating = torch.get_num_threads(), 0.0
        self.config = models.config
        self.sampler = Sampler(models.to(device), [level], ENVS, seed=seed, device=device)
        self.ppo = PPO(models.controller, OURS, seed, device)
        self.rollout = Rollout.of(self.config, TURN // ENVS, ENVS)

    def turn(self) -> list[float]:
        torch.set_num_threads(1)
        episodes = self.sampler.play(self.rollout)
        torch.set_num_threads(self.threads)
        began = time.perf_counter()
        self.ppo.update(self.rollout, progress=0.0)
        self.updating += time.perf_counter() - began
        return [episode.reward for _, episode in episodes]

    def shares(self, total: float) -> dict[str, float]:
        """Shares of `total` seconds: waiting for emulators, networks that play, the update."""
        waited, updating = self.sampler.waited / total, self.updating / total
        return {
            "emulators": round(waited, 3),
            "playing": round(1 - waited - updating, 3),
            "update": round(updating, 3),
        }


def world_model(folder: Path | None, seed: int) -> Models:
    """V and M of a bundle, with a new C on [z, h]."""
    torch.manual_seed(seed)
    if folder is None:
        return Models.build(AgentConfig())
    models, _ = bundle.load(folder)
    models.config.controller = ControllerConfig()
    models.controller = Controller(models.config)
    return models


def pixels(config: AgentConfig, seed: int) -> Models:
    """An untrained agent that sees pixels alone."""
    torch.manual_seed(seed)
    config = dataclasses.replace(config, controller=ControllerConfig(features=("pixels",)))
    return Models.build(config)


def main() -> None:
    args = tyro.cli(Args, prog="python -m benchmarks.training", description=__doc__)
    level = one_level(args.level)
    device = choose_device(args.device)
    turns = 3 if args.quick else max(3, args.timesteps // TURN)
    seen = world_model(args.bundle, args.seed)
    peer = Peer(level, args.seed, device.type)
    ours = Ours(level, seen, args.seed, device)
    on_pixels = Ours(level, pixels(seen.config, args.seed), args.seed, device)
    arms = {
        "sb3": Arm("stable-baselines3, CnnPolicy", peer.turn),
        "ours": Arm("ours on z and h, V and M frozen", ours.turn),
        "ours_pixels": Arm("ours on pixels", on_pixels.turn),
    }
    with ours.sampler, on_pixels.sampler:
        for i in range(turns):
            for arm in list(arms.values())[:: 1 if i % 2 else -1]:  # drifts cancel out
                arm.run()
    peer.envs.close()

    shares = {
        "ours": ours.shares(sum(arms["ours"].wall)),
        "ours_pixels": on_pixels.shares(sum(arms["ours_pixels"].wall)),
    }
    reference = arms["sb3"]
    figures: dict[str, Any] = {
        "level": level.name,
        "quick": args.quick,
        "device": device.type,
        "cores": len(os.sched_getaffinity(0)),
        "world_model": None if args.bundle is None else str(args.bundle),
        "timesteps": turns * TURN,
        "ratio_to_sb3": median_ratio(reference.wall[1:], arms["ours"].wall[1:]),
        "ratio_to_sb3_cpu": median_ratio(reference.cpu[1:], arms["ours"].cpu[1:]),
        "ratio_to_sb3_pixels": median_ratio(reference.wall[1:], arms["ours_pixels"].wall[1:]),
        "ratio_to_sb3_pixels_cpu": median_ratio(reference.cpu[1:], arms["ours_pixels"].cpu[1:]),
    }
    rows: list[list] = [["", "timesteps/s", "CPU ms/timestep", "ratio", "late episode reward"]]
    for key, arm in arms.items():
        cpu = round(1000 * statistics.median(arm.cpu[1:]) / TURN, 2)
        ratio = median_ratio(reference.wall[1:], arm.wall[1:])
        rows.append([arm.name, round(arm.rate), cpu, ratio, arm.learnt()])
        figures[f"timesteps_per_second_{key}"] = round(arm.rate, 1)
        figures[f"cpu_ms_per_timestep_{key}"] = cpu
        figures[f"reward_{key}"] = arm.learnt()
        figures[f"curve_{key}"] = arm.curve()
    for key, share in shares.items():
        figures[f"shares_{key}"] = share
        figures[f"limited_by_{key}"] = max(share, key=share.get)
    report(f"Training by PPO, {ENVS} environments, {level.name}", rows, figures, args.json)


if __name__ == "__main__":
    run(main)
