"""M as an environment: dreamt episodes, with decoded frames as observations."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from agent.actions import action_table
from agent.models.actor import Models
from agent.models.controller import Features, Proprioception
from agent.models.frames import SIZE, shrink
from agent.models.memory import State
from agent.models.vision import to_input
from analysis.film import Film
from analysis.keyboard import Window, nearest_action
from pretrain.data.shards import Shard
from retro_contest.emulator.make import make
from retro_contest.levels import find


class DreamEnv(gymnasium.Env):
    """V and M as a game: M predicts the next latent, V's decoder shows it.

    Observations are uint8 (64, 64, 3); actions are indices into the agent's action list; rewards
    are M's expectations in units of the contest's reward. An episode ends when M gives an end at
    least the probability `end_threshold`, and is truncated after `time_limit` timesteps.

    ``reset(options={"frames": ..., "actions": ...})`` starts from real frames, uint8
    (T, 64, 64, 3), and the actions taken on all but the last, int64 (T - 1,), which M reads first.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(
        self,
        models: Models,
        frames: np.ndarray,
        *,
        temperature: float = 0.5,
        end_threshold: float = 0.5,
        time_limit: int = 4500,
    ):
        """
        Args:
            models: V and M of a bundle.
            frames: real frames to begin from where `reset` gets none, uint8 (N, 64, 64, 3).
            temperature: of M's samples; 0 takes the mean.
        """
        self.models, self.frames = models, frames
        self.temperature, self.end_threshold = temperature, end_threshold
        self.time_limit = time_limit
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(models.memory.actions)
        self.z = torch.zeros(1, models.memory.latent)
        self.state: State = models.memory.initial_state(1)
        self.own = Proprioception(1, models.memory.actions)
        self._timesteps = 0

    @torch.inference_mode()
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._generator = torch.Generator().manual_seed(int(self.np_random.integers(2**62)))
        memory, self._timesteps = self.models.memory, 0
        self.state = memory.initial_state(1)
        self.own = Proprioception(1, memory.actions)
        if options and "frames" in options:
            frames, actions = options["frames"], options["actions"]
        else:
            frames = self.frames[self.np_random.integers(len(self.frames))][None]
            actions = np.zeros(0, np.int64)
        latents, _ = self.models.vision.encode(to_input(frames))
        for z, action in zip(latents[:-1], actions, strict=True):
            self.state = memory.step(z[None], torch.tensor([action]), self.state)
        self.z = latents[-1:]
        return self.render(), {}

    @torch.inference_mode()
    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        memory = self.models.memory
        self.state = memory.step(self.z, torch.tensor([int(action)]), self.state)
        prediction = memory.predict(self.state.h, self.z)
        if self.temperature > 0:
            self.z = prediction.sample(self.temperature, self._generator)
        else:
            self.z = prediction.mean()
        self._timesteps += 1
        reward = prediction.reward.item() / self.models.config.reward.scale
        self.own.remember(torch.tensor([int(action)]), np.array([reward]), np.array([False]))
        terminated = bool(prediction.end_logit.sigmoid().item() >= self.end_threshold)
        truncated = not terminated and self._timesteps >= self.time_limit
        return self.render(), reward, terminated, truncated, {}

    @torch.inference_mode()
    def render(self) -> np.ndarray:
        """The current latent, decoded."""
        drawn = self.models.vision.decode(self.z)[0].permute(1, 2, 0)
        return (drawn * 255).round().to(torch.uint8).numpy()


@torch.inference_mode()
def policy_action(models: Models, env: DreamEnv, generator: torch.Generator) -> int:
    """C's action in the dream."""
    frames = models.vision.decode(env.z)
    scene = models.read_scene(frames)
    features = Features(env.z, env.state.h, env.own.features(), scene, frames)
    log_probs, _ = models.controller(features)
    return int(torch.multinomial(log_probs.exp(), 1, generator=generator))


def dream(
    models: Models, source: str, path: Path, timesteps: int, seed: int = 0, *, keys: bool = False
) -> None:
    """Write a film of an episode inside M, played by C.

    Args:
        source: a level or a shard (a path), whose frames begin the dream.
        keys: a person plays instead, in a window, as long as they like.

    Raises:
        UsageError: there is no such source; or `keys` without a display.
    """
    frames = first_frames(source, seed)
    if keys:
        window = Window("A dream: arrow keys, X or space jumps, R starts again, Escape ends")
        try:
            play_dream(DreamEnv(models, frames), window, seed)
        finally:
            window.close()
        return
    total = film_dream(models, frames, path, timesteps, seed)
    print(f"dream: reward {total:.0f}; {path}")


def first_frames(source: str, seed: int) -> np.ndarray:
    """Frames to begin a dream from, uint8 (N, 64, 64, 3): a shard's, or a level's first."""
    if source.endswith(".safetensors"):
        shard = Shard(Path(source))
        return shard.frames(0, len(shard))
    env = make(find(source)[0], seed=seed)
    try:
        return shrink(env.reset(seed=seed)[0])[None]
    finally:
        env.close()


def play_dream(env: DreamEnv, window: Window, seed: int, rate: float = 15.0) -> None:
    """Let the person at this window play, `rate` timesteps a second, until they close it."""
    table = action_table(env.models.config.actions)
    frame, _ = env.reset(seed=seed)
    total, following = 0.0, time.monotonic()
    while not window.closed:
        window.show(frame)
        action = nearest_action(table, window.pressed())
        frame, reward, terminated, truncated, _ = env.step(action)
        total += reward
        if terminated or truncated or window.again:
            print(f"dream: reward {total:.0f}")
            frame, _ = env.reset()
            total = 0.0
        following += 1 / rate
        time.sleep(max(0.0, following - time.monotonic()))


def film_dream(models: Models, frames: np.ndarray, path: Path, timesteps: int, seed: int) -> float:
    """The film itself; returns the dreamt reward."""
    env = DreamEnv(models, frames)
    generator = torch.Generator().manual_seed(seed)
    frame, _ = env.reset(seed=seed)
    total = 0.0
    with Film(path) as film:
        for _ in range(timesteps):
            action = policy_action(models, env, generator)
            film.add(
                {"dream": frame},
                {"z": env.z[0].numpy()},
                {"dreamt reward": total},
                caption=models.config.actions[action] or "no button",
            )
            frame, reward, terminated, truncated, _ = env.step(action)
            total += reward
            if terminated or truncated:
                break
    return total
