"""V, M, C and, where C reads it, the scene put together: frames in, actions out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from agent.config import AgentConfig
from agent.models.controller import Controller, Features, Proprioception
from agent.models.memory import Memory, State
from agent.models.scene import Scene
from agent.models.vision import Vision, to_input
from retro_common.errors import UsageError

MAX_PARAMETERS = 100_000_000
"""weights of V, M and C together (the shipped agent has 2.4 million)"""


@dataclass
class Models:
    """The networks and the configuration they are built from."""

    config: AgentConfig
    vision: Vision
    memory: Memory
    controller: Controller
    scene: Scene | None = None
    """only for a C that reads it"""

    @classmethod
    def build(cls, config: AgentConfig) -> Models:
        """Untrained networks; the weights depend on torch's global seed only."""
        return cls(
            config,
            Vision(config.vision),
            Memory(config.memory, config.vision, len(config.actions)),
            Controller(config),
            Scene() if "scene" in config.controller.features else None,
        )

    @classmethod
    def plan(cls, config: AgentConfig) -> Models:
        """The networks without their weights, to know shapes and sizes before memory is taken.

        Raises:
            UsageError: they would have more than `MAX_PARAMETERS` weights.
        """
        # Tensors on torch's device `meta` have a shape and a type, and no content.
        with torch.device("meta"):
            models = cls.build(config)
        count = sum(weight.numel() for part in models.all() for weight in part.parameters())
        if count > MAX_PARAMETERS:
            raise UsageError(
                f"agent: its networks would have {count:,} weights, more than {MAX_PARAMETERS:,}"
            )
        return models

    def parts(self) -> dict[str, torch.nn.Module]:
        """The networks that the agent uses, by their names in a bundle.

        A C that sees only pixels uses neither V nor M.
        """
        wanted = self.config.controller.features
        parts: dict[str, torch.nn.Module] = {}
        if "z" in wanted or "h" in wanted:
            parts["vision"] = self.vision
        if "h" in wanted:
            parts["memory"] = self.memory
        if self.scene is not None:
            parts["scene"] = self.scene
        return {**parts, "controller": self.controller}

    def read_scene(self, frames: torch.Tensor) -> torch.Tensor | None:
        """What C is told of frames (B, 3, 64, 64) in 0..1, (B, S), if it reads that."""
        return None if self.scene is None else self.scene.read(self.scene(frames))

    def all(self) -> list[torch.nn.Module]:
        """All networks, those that the agent does not use included."""
        found = (self.vision, self.memory, self.controller, self.scene)
        return [network for network in found if network is not None]

    def to(self, device: torch.device | str) -> Models:
        for network in self.all():
            network.to(device)
        return self


class Decision(NamedTuple):
    """Actions int64, their log-probabilities and the values, each (B,)."""

    actions: torch.Tensor
    log_probs: torch.Tensor
    values: torch.Tensor


class Actor:
    """Acts in `envs` environments in step, and holds M's state of each.

    A timestep is ``observe`` the frames, ``act`` on the features, and, once the environment has
    answered, ``remember`` the latent, the action and the reward.
    """

    def __init__(self, models: Models, envs: int, *, seed: int, device: torch.device | str = "cpu"):
        self.models, self.device = models, torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.state = models.memory.initial_state(envs, self.device)
        self.uses = models.parts().keys()
        wanted = models.config.controller.features
        self.needs_pixels = "pixels" in wanted
        self.proprioception: Proprioception | None = None
        if "proprioception" in wanted:
            actions = len(models.config.actions)
            self.proprioception = Proprioception(envs, actions, self.device)

    @torch.inference_mode()
    def observe(self, frames: np.ndarray) -> Features:
        """Features of shrunk uint8 frames (B, 64, 64, 3); z is 0 for an agent without V."""
        inputs = to_input(frames, self.device)
        if "vision" in self.uses:
            z, _ = self.models.vision.encode(inputs)
        else:
            z = inputs.new_zeros(len(inputs), self.models.config.vision.latent)
        own = self.proprioception and self.proprioception.features()
        scene = self.models.read_scene(inputs)
        pixels = inputs if self.needs_pixels else None
        return Features(z, self.state.h, own, scene, pixels)

    @torch.inference_mode()
    def act(self, features: Features) -> Decision:
        """Sample actions from the policy."""
        log_probs, values = self.models.controller(features)
        actions = torch.multinomial(log_probs.exp(), 1, generator=self.generator)
        return Decision(actions.squeeze(1), log_probs.gather(1, actions).squeeze(1), values)

    @torch.inference_mode()
    def remember(
        self, features: Features, actions: torch.Tensor, rewards: np.ndarray, ended: np.ndarray
    ) -> None:
        """Advance M by the timestep; where an episode ended (bool (B,)) its state becomes 0.

        Args:
            actions: int64 (B,), those that were taken.
            rewards: (B,), the contest's.
        """
        if self.proprioception is not None:
            self.proprioception.remember(actions, rewards, ended)
        if "memory" not in self.uses:
            return
        self.state = self.models.memory.step(features.z, actions, self.state)
        if ended.any():
            keep = torch.from_numpy(~ended).to(self.device).float().unsqueeze(1)
            self.state = State(self.state.h * keep, self.state.c * keep)

    def keep(self, kept: np.ndarray) -> None:
        """Go on in some of the environments only, bool (B,)."""
        rows = torch.from_numpy(kept).to(self.device)
        self.state = State(self.state.h[rows], self.state.c[rows])
        if self.proprioception is not None:
            self.proprioception.keep(kept)
