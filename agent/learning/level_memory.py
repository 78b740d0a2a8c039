"""What was seen seldom in the level, which is the same in every episode, earns a bonus.

Only what comes over the wire counts: frames and rewards.
"""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np

from agent.config import LevelMemoryConfig

GRID, SHADES = 8, 8
"""a coarse frame: 8 x 8 pixels of 8 shades of gray"""


class Novelty:
    """Counts what was seen in the whole contest; what was seen seldom earns a bonus.

    A latent is told from others by the signs of a few random projections (SimHash, as in
    arXiv 1611.04717), a frame by its coarse copy.
    """

    def __init__(self, config: LevelMemoryConfig, latent: int, seed: int):
        self.config = config
        self._projection = np.random.default_rng(seed).normal(size=(config.novelty_bits, latent))
        self._visits: Counter[tuple[bytes, int]] = Counter()

    def bonus(self, z: np.ndarray, frame: np.ndarray, earned: float) -> float:
        """Count a visit and give its bonus, scale / sqrt(visits), in units of scaled reward.

        Args:
            z: V's latent, (Z,).
            frame: shrunk frame, uint8 (64, 64, 3).
            earned: contest reward of the episode so far, which tells how far it has come.
        """
        config = self.config
        if config.novelty == 0:
            return 0.0
        if config.novelty_of == "latent":
            seen = np.packbits(self._projection @ z > 0).tobytes()
        else:
            gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            coarse = cv2.resize(gray, (GRID, GRID), interpolation=cv2.INTER_AREA)
            seen = (coarse // (256 // SHADES)).tobytes()
        place = int(earned // config.novelty_bin) if config.novelty_bin else 0
        self._visits[seen, place] += 1
        return config.novelty / self._visits[seen, place] ** 0.5
