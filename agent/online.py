"""The contest, seen from the agent: play, learn, and keep what was learnt until the budget ends."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch

from agent import bundle
from agent.actions import action_table
from agent.frames import shrink
from agent.player import Models, Player
from agent.ppo import PPO, Rollout
from agent.rewards import RewardShaper
from gym_remote.exceptions import TimestepTimeoutError, WallClockTimeoutError

log = logging.getLogger("agent")


@dataclasses.dataclass
class Budget:
    """What the contest allows. Resets count as timesteps."""

    timesteps: int
    wallclock: float
    """seconds"""

    def used(self, timesteps: int, seconds: float) -> float:
        """Share of the budget that is used, 0..1, by whichever limit is nearer."""
        return min(1.0, max(timesteps / self.timesteps, seconds / self.wallclock))


@dataclasses.dataclass
class Progress:
    """What has happened so far, as the log and the saved bundle tell it."""

    timesteps: int = 0
    updates: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)
    rewards: list[float] = dataclasses.field(default_factory=list)
    """contest reward of every finished episode"""

    def seconds(self) -> float:
        return time.monotonic() - self.started


class Stopped(Exception):
    """Someone asked this process to end (SIGTERM, Ctrl-C)."""


def run(
    env: gymnasium.Env,
    models: Models,
    budget: Budget,
    *,
    learn: bool,
    seed: int,
    save: Callable[[Progress], None],
    save_seconds: float = 60.0,
) -> Progress:
    """Play until the contest ends, fine-tuning the controller on the way.

    Args:
        env: the contest's environment, with frames as observations and MultiBinary(12) actions.
        learn: False plays the models as they are.
        save: called every `save_seconds` and at the end, to keep what was learnt.

    Returns:
        What happened. A spent budget is the normal end.

    Raises:
        gym_remote.exceptions.GymRemoteError: the contest broke off for another reason; what was
            learnt has been saved.
        Stopped: the process was told to stop; what was learnt has been saved.
    """
    progress = Progress()
    try:
        _play(env, models, budget, progress, learn, seed, save, save_seconds)
    except (TimestepTimeoutError, WallClockTimeoutError) as end:
        log.info("the budget is spent: %s", type(end).__name__)
    finally:
        if learn:
            save(progress)
    return progress


def _play(
    env: gymnasium.Env,
    models: Models,
    budget: Budget,
    progress: Progress,
    learn: bool,
    seed: int,
    save: Callable[[Progress], None],
    save_seconds: float,
) -> None:
    """Rollout, update, rollout, update, ... until the environment raises that the contest ended."""
    config = models.config
    buttons = action_table(config.actions)
    player = Player(models, envs=1, seed=seed)
    shape_reward = RewardShaper(config.reward, envs=1)
    ppo = PPO(models.controller, config.online, seed=seed, device=torch.device("cpu"))
    length = config.online.rollout
    rollout = Rollout(length, 1, config.vision.latent, config.memory.hidden, player.needs_pixels)
    saved = time.monotonic()

    frame = _reset(env, progress)
    earned = 0.0
    while True:
        # Play one rollout.
        for t in range(length):
            frames = shrink(frame)[None]
            features = player.observe(frames)
            decision = player.act(features)
            frame, reward, terminated, truncated, _ = env.step(buttons[decision.actions.item()])
            progress.timesteps += 1
            earned += float(reward)
            ended = np.array([terminated or truncated])
            shaped = shape_reward(np.array([float(reward)]), ended)
            rollout.store(t, features, frames, decision, shaped, ended)
            player.remember(features, decision.actions, ended)
            if ended[0]:
                progress.rewards.append(earned)
                log.info(
                    "episode %d: reward %.1f, timestep %d",
                    len(progress.rewards),
                    earned,
                    progress.timesteps,
                )
                frame, earned = _reset(env, progress), 0.0

        # Learn from it.
        if not learn:
            continue
        features = player.observe(shrink(frame)[None])
        rollout.last_values = player.act(features).values.clone()
        try:
            metrics = ppo.update(rollout, budget.used(progress.timesteps, progress.seconds()))
        except FloatingPointError as error:
            log.warning("update left out: %s", error)
            continue
        progress.updates += 1
        log.info(
            "update %d: %.0f timesteps/s, entropy %.3f, kl %.4f, explained variance %.2f",
            progress.updates,
            progress.timesteps / progress.seconds(),
            metrics["entropy"],
            metrics["kl"],
            metrics["explained_variance"],
        )
        if time.monotonic() - saved > save_seconds:
            save(progress)
            saved = time.monotonic()


def _reset(env: gymnasium.Env, progress: Progress) -> np.ndarray:
    frame, _ = env.reset()
    progress.timesteps += 1
    return frame


def saver(models: Models, manifest: bundle.Manifest, out: Path, seed: int) -> Callable:
    """A `save` for `run` that writes the fine-tuned bundle into `out` and survives a full disk."""

    def save(progress: Progress) -> None:
        origin = {
            **manifest.origin,
            "fine_tuned": {
                "timesteps": progress.timesteps,
                "updates": progress.updates,
                "episodes": len(progress.rewards),
                "seed": seed,
            },
        }
        try:
            bundle.save(models, out, origin)
        except OSError as error:
            log.warning("what was learnt could not be saved to %s: %s", out, error)

    return save
