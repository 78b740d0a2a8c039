"""From the contest's frame to what V sees."""

from __future__ import annotations

import cv2
import gymnasium
import numpy as np
import torch

SIZE = 64
"""height and width of a shrunk frame in pixels"""


def shrink(frame: np.ndarray) -> np.ndarray:
    """Shrink one uint8 RGB frame (H, W, 3) to (64, 64, 3), each pixel the mean of its area."""
    return cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def to_input(frames: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """Shrunk uint8 frames (B, 64, 64, 3) as floats (B, 3, 64, 64) in 0..1, channels last in memory.

    Bytes travel to the device; the conversion happens there.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    return tensor.permute(0, 3, 1, 2).float().div_(255)


class ShrinkFrames(gymnasium.ObservationWrapper):
    """An environment whose observations are shrunk frames, uint8 (64, 64, 3)."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return shrink(observation)
