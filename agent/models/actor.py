"""V, M and C put together: frames in, actions out, one timestep at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from agent.config import AgentConfig
from agent.models.controller import Controller, Features
from agent.models.memory import Memory
from agent.models.vision import Vision, to_input


@dataclass
class Models:
    """The three networks and the configuration they were built from."""

    config: AgentConfig
    vision: Vision
    memory: Memory
    controller: Controller

    @classmethod
    def build(cls, config: AgentConfig) -> Models:
        """Untrained networks; the weights depend on torch's global seed only."""
        return cls(
            config,
            Vision(config.vision),
            Memory(config.memory, config.vision, len(config.actions)),
            Controller(config),
        )

    def parts(self) -> dict[str, torch.nn.Module]:
        """The networks by their names in a bundle."""
        return {"vision": self.vision, "memory": self.memory, "controller": self.controller}

    def to(self, device: torch.device | str) -> Models:
        for part in self.parts().values():
            part.to(device)
        return self


class Decision(NamedTuple):
    """Actions int64, their log-probabilities and the values, each (B,)."""

    actions: torch.Tensor
    log_probs: torch.Tensor
    values: torch.Tensor


class Player:
    """Plays `envs` environments in step; holds M's state of each.

    A timestep is ``observe`` the frames, ``act`` on the features, and, once the environment has
    answered, ``remember`` what was seen and done.
    """

    def __init__(self, models: Models, envs: int, *, seed: int, device: torch.device | str = "cpu"):
        self.models, self.device = models, torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.state = models.memory.initial_state(envs, self.device)
        wanted = models.config.controller.features
        self.needs_memory, self.needs_pixels = "h" in wanted, "pixels" in wanted
        level = models.config.online.level
        counts_latents = level.novelty > 0 and level.novelty_of == "latent"
        self.needs_vision = "z" in wanted or "h" in wanted or counts_latents

    @torch.inference_mode()
    def observe(self, frames: np.ndarray) -> Features:
        """Features of shrunk uint8 frames (B, 64, 64, 3); z is 0 where nobody needs it."""
        inputs = to_input(frames, self.device)
        if self.needs_vision:
            z, _ = self.models.vision.encode(inputs)
        else:
            z = inputs.new_zeros(len(inputs), self.models.config.vision.latent)
        return Features(z, self.state.h, inputs if self.needs_pixels else None, self.state.c)

    @torch.inference_mode()
    def act(self, features: Features) -> Decision:
        """Draw actions from the policy."""
        log_probs, values = self.models.controller(features)
        actions = torch.multinomial(log_probs.exp(), 1, generator=self.generator)
        return Decision(actions.squeeze(1), log_probs.gather(1, actions).squeeze(1), values)

    @torch.inference_mode()
    def remember(self, features: Features, actions: torch.Tensor, ended: np.ndarray) -> None:
        """Advance M by the timestep; where the episode ended (bool (B,)) M starts afresh."""
        if not self.needs_memory:
            return
        self.state = self.models.memory.step(features.z, actions, self.state)
        if ended.any():
            keep = torch.from_numpy(~ended).to(self.device).float().unsqueeze(1)
            self.state = type(self.state)(self.state.h * keep, self.state.c * keep)
