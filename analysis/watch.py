"""A film of the agent playing, beside V's reconstructions and M's predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from agent.actions import action_table
from agent.models.actor import Actor, Models
from agent.models.controller import Features, Proprioception
from agent.models.frames import shrink
from agent.models.vision import to_input
from analysis.film import Film
from analysis.keyboard import nearest_action
from analysis.recordings import SUFFIXES, read_recording
from pretrain.data.shards import Shard
from retro_contest.emulator.make import make
from retro_contest.emulator.recordings import Recording, play
from retro_contest.levels import Level, find


@dataclass
class Moment:
    """One timestep of the game."""

    frame: np.ndarray
    """before the action, uint8 (224, 320, 3), or shrunk (64, 64, 3)"""
    action: int
    """index of the action taken on it"""
    reward: float
    """the contest's reward of the action"""
    ended: bool
    """whether the episode ended with it"""


def from_shard(shard: Shard) -> Iterator[Moment]:
    """A recorded rollout."""
    for t in range(len(shard)):
        reward, ended = float(shard.rewards[t]), bool(shard.ends[t])
        following = t + 1 < len(shard) and bool(shard.starts[t + 1])
        yield Moment(shard.frame(t), int(shard.actions[t]), reward, ended or following)


def from_game(models: Models, level: Level, seed: int) -> Iterator[Moment]:
    """The agent playing a level, live."""
    buttons = action_table(models.config.actions)
    actor = Actor(models, envs=1, seed=seed)
    env = make(level, seed=seed)
    try:
        frame, _ = env.reset(seed=seed)
        while True:
            features = actor.observe(shrink(frame)[None])
            decision = actor.act(features)
            action = int(decision.actions)
            shown = frame
            frame, reward, terminated, truncated, _ = env.step(buttons[action])
            ended = terminated or truncated
            rewards = np.array([reward])
            actor.remember(features, decision.actions, rewards, np.array([ended]))
            yield Moment(shown, action, reward, ended)
            if ended:
                frame, _ = env.reset()
    finally:
        env.close()


def from_movie(models: Models, recording: Recording) -> Iterator[Moment]:
    """A movie, played back; M gets the agent's action that is nearest to the buttons pressed."""
    table = action_table(models.config.actions)
    for timestep in play(recording):
        action = nearest_action(table, timestep.buttons)
        yield Moment(timestep.frame, action, timestep.reward, timestep.ended)


@torch.inference_mode()
def film(models: Models, moments: Iterator[Moment], path: Path, timesteps: int) -> None:
    """Write the film of at most `timesteps` timesteps."""
    memory = models.memory
    state, expected = memory.initial_state(1), None
    own = Proprioception(1, len(models.config.actions))
    total = 0.0
    with Film(path) as reel:
        for moment, _ in zip(moments, range(timesteps), strict=False):
            small = moment.frame if moment.frame.shape[0] == 64 else shrink(moment.frame)
            seen = to_input(small[None])
            z, _ = models.vision.encode(seen)
            drawn = picture(models, z)
            surprise = 0.0
            predicted, predicted_z = np.zeros_like(small), torch.zeros_like(z)
            if expected is not None:
                predicted_z = expected.mean()
                predicted = picture(models, predicted_z)
                surprise = -float(expected.log_prob(z).mean())
            difference = np.abs(predicted.astype(np.int16) - small).max(axis=2).astype(np.uint8)
            features = Features(z, state.h, own.features(), models.read_scene(seen), seen)
            value = float(models.controller(features)[1])
            total += moment.reward
            reel.add(
                {
                    "game": moment.frame,
                    "V: reconstruction": drawn,
                    "M: prediction of this frame": predicted,
                    "error of the prediction": np.repeat(difference[..., None], 3, axis=2),
                },
                {"z": z[0].numpy(), "z as M predicted it": predicted_z[0].numpy()},
                {"reward": total, "value": value, "surprise (nats per unit)": surprise},
                caption=models.config.actions[moment.action] or "no button",
                rings={
                    "game": place_in(models, z),
                    "M: prediction of this frame": place_in(models, predicted_z),
                },
            )
            action = torch.tensor([moment.action])
            state = memory.step(z, action, state)
            expected = memory.predict(state.h, z)
            own.remember(action, np.array([moment.reward]), np.array([moment.ended]))
            if moment.ended:
                state, expected, total = memory.initial_state(1), None, 0.0


def place_in(models: Models, z: torch.Tensor) -> tuple[float, float] | None:
    """The player's place in a latent (1, Z); None for a V without player units."""
    places = models.vision.places(z)
    return None if places is None else tuple(places[0].tolist())


def picture(models: Models, z: torch.Tensor) -> np.ndarray:
    """A latent (1, Z), decoded, uint8 (64, 64, 3)."""
    return (models.vision.decode(z)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def watch(models: Models, source: str, path: Path, timesteps: int, seed: int = 0) -> None:
    """Write a film of a shard or a movie (paths), or of the agent on a level (its name).

    Raises:
        UsageError: none of these exists, or the level of a movie does not.
    """
    if source.endswith(".safetensors"):
        moments = from_shard(Shard(Path(source)))
    elif source.endswith(SUFFIXES):
        moments = from_movie(models, read_recording(Path(source)))
    else:
        moments = from_game(models, find(source)[0], seed)
    film(models, moments, path, timesteps)
    print(f"watch: {path}")
