"""From the contest's frame to what V sees. Imports no torch: emulator processes use it, too."""

from __future__ import annotations

import cv2
import gymnasium
import numpy as np

SIZE = 64
"""height and width of a shrunk frame in pixels"""


def shrink(frame: np.ndarray) -> np.ndarray:
    """Shrink one uint8 RGB frame (H, W, 3) to (64, 64, 3), each pixel the mean of its area."""
    return cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


class ShrinkFrames(gymnasium.ObservationWrapper):
    """An environment whose observations are shrunk frames, uint8 (64, 64, 3)."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return shrink(observation)
