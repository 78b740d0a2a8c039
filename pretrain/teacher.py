"""The teacher: a policy that reads the game's memory, and labels the states that others come to.

It is small, has no memory, and gives one answer for each state: a distribution over the same
actions that C chooses from, and a value. It plays `pangolin_dash.simulator.Worlds`, never the
contest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from agent.models.controller import Features
from agent.models.precision import computes_in_bfloat16
from pangolin_dash.simulator import FINISHED, Worlds, pad_of
from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_plain, write_atomically
from retro_common.text import clean, shown

HIDDEN = (512, 256)
"""units of the two hidden layers, which policy and value share"""
SCALE = 0.001
"""factor on points: a whole level is worth about 10"""
GAMMA = 0.997
"""discount for a timestep"""
MAX_BYTES = 64 << 20
"""bytes that a teacher's file may have"""


def training_rewards(worlds: Worlds) -> np.ndarray:
    """What the last timestep was worth, float32 (N,); `pretrain.stages.teacher` says why."""
    points = 0.5 * (worlds.ground + worlds.along)
    # What the end of a level pays beyond the last ground is the bonus for the time.
    points += np.where(worlds.over == FINISHED, worlds.rewards - worlds.ground, 0)
    return np.float32(SCALE) * points


class Teacher(nn.Module):
    """Policy and value on an observation of the game's memory.

    Its input is `Features.z`, so that `agent.learning.ppo.PPO` trains it as it trains C.
    """

    def __init__(self, observation_size: int, actions: tuple[str, ...]):
        """
        Args:
            observation_size: numbers in an observation, O.
            actions: button combinations as in `agent.config.AgentConfig.actions`.

        Raises:
            UsageError: the simulator has no such button.
        """
        super().__init__()
        self.observation_size, self.actions = observation_size, tuple(actions)
        try:
            pads = [pad_of(combination.split()) for combination in actions]
        except KeyError as error:
            raise UsageError(
                f"agent.actions: the simulator has no button {error.args[0]}"
            ) from None
        self.pads = np.array(pads, np.uint8)
        """pad bits of each action, (A,)"""
        self.origin: dict[str, Any] = {}
        """where its file says that it came from"""
        self.trunk = nn.Sequential(
            nn.Linear(observation_size, HIDDEN[0]),
            nn.ReLU(),
            nn.Linear(HIDDEN[0], HIDDEN[1]),
            nn.ReLU(),
        )
        self.policy = nn.Linear(HIDDEN[1], len(actions))
        self.value = nn.Linear(HIDDEN[1], 1)
        gains = {self.trunk[0]: math.sqrt(2), self.trunk[2]: math.sqrt(2)}
        # A small last layer makes the first policy nearly uniform.
        for layer, gain in {**gains, self.policy: 0.01, self.value: 1.0}.items():
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Features) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the actions (B, A), and values (B,) in units of scaled reward.

        In training mode the trunk computes in bfloat16 where the hardware does: three times faster.
        """
        bfloat16 = self.training and computes_in_bfloat16("auto", features.z.device)
        with torch.autocast(features.z.device.type, torch.bfloat16, enabled=bfloat16):
            hidden = self.trunk(features.z)
        hidden = hidden.float()
        return self.policy(hidden).log_softmax(dim=1), self.value(hidden).squeeze(1)

    @torch.inference_mode()
    def label(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities (N, A) and values (N,) for observations (N, O) of `Worlds.observe`."""
        log_probs, values = self(features_of(torch.from_numpy(observations)))
        return log_probs.numpy(), values.numpy()

    def save(self, path: Path, origin: dict[str, Any]) -> None:
        """Write weights, actions and origin into one safetensors file."""
        tensors = {key: value.contiguous() for key, value in self.state_dict().items()}
        facts = {"actions": json.dumps(self.actions), "origin": json.dumps(origin)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, safetensors.torch.save(tensors, facts))

    @staticmethod
    def sha256(path: Path) -> str:
        """The hash of a teacher's file.

        Raises:
            UsageError: it cannot be read.
        """
        return hashlib.sha256(_read(path)).hexdigest()

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Read a teacher's file.

        Raises:
            UsageError: it cannot be read, or is not a teacher of this version of the simulator.
        """
        content = _read(path)
        try:
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            actions = tuple(json.loads(header["__metadata__"]["actions"]))
            origin = dict(json.loads(header["__metadata__"]["origin"]))
            tensors = safetensors.torch.load(content)
            size = tensors["trunk.0.weight"].shape[1]
            teacher = cls(size, actions)
            teacher.load_state_dict(tensors)
            teacher.origin = origin
            teacher.eval()
        except (
            safetensors.SafetensorError,
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            raise UsageError(f"{path}: not a teacher: {clean(error)}") from None
        if not all(torch.isfinite(weight).all() for weight in tensors.values()):
            raise UsageError(f"{path}: damaged: weights are not finite")
        return teacher

    def check(self, worlds: Worlds, actions: Sequence[str] | None = None) -> None:
        """Refuse worlds whose observations this teacher does not know.

        Args:
            actions: those of the agent that learns from it; its labels mean nothing for others.

        Raises:
            UsageError: it was trained with another version of the simulator, or other actions.
        """
        if actions is not None and tuple(actions) != self.actions:
            raise UsageError(
                f"agent.actions: the teacher chooses from {shown(list(self.actions))}:"
                " give the agent the same actions, in the same order"
            )
        if worlds.observation_size != self.observation_size:
            raise UsageError(
                f"the teacher reads observations of {shown(self.observation_size)} numbers, the"
                f" simulator's have {worlds.observation_size}: train it again"
            )


def _read(path: Path) -> bytes:
    try:
        return read_plain(path, MAX_BYTES)
    except UnreadableFile as error:
        raise UsageError(f"{path}: the teacher cannot be read: {error.why}") from None


def features_of(observations: torch.Tensor) -> Features:
    """Observations (B, O) as the features that a controller takes."""
    return Features(observations, observations.new_zeros(len(observations), 0))
