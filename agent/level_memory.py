"""What the agent knows of the level because it is the same in every episode.

Only what comes over the wire: frames and rewards. Both parts are off unless the configuration turns
them on.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from agent.config import LevelMemoryConfig
from agent.rewards import level_end_bonus

GRID, SHADES = 8, 8
"""a coarse frame: 8 x 8 pixels of 8 shades of gray"""
KEPT = 64
"""solutions kept; the worst one makes room"""


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


@dataclass
class Solution:
    """Actions from the start of the level, and what episodes that began with them earned."""

    actions: list[int]
    results: list[float]
    finished: bool = False
    """whether they ended the level"""

    @property
    def mean(self) -> float:
        return sum(self.results) / len(self.results)


@dataclass
class Replays:
    """Begins episodes with the best actions so far, as JERK does (arXiv 1804.03720), from where the
    policy goes on.

    Of every episode of the policy the actions up to its highest sum of rewards are kept: a
    solution. With sticky actions a replay can fail, so its result is averaged in. With
    `replay_extends` an episode in which the policy went on from a replay to a higher sum gives a
    solution as well: the best so far grows from its end, not from the start of the level each time.
    The highest sum is often reached on the way into a pit, hence `replay_margin`.
    """

    config: LevelMemoryConfig
    rng: np.random.Generator
    solutions: list[Solution] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_policy: deque[float] = deque(maxlen=self.config.replay_window)
        self._begin(None)

    def _begin(self, replayed: Solution | None) -> None:
        self._replayed, self._until = replayed, 0
        if replayed is not None:
            margin = 0 if replayed.finished else self.config.replay_margin
            self._until = len(replayed.actions) - int(self.rng.integers(margin + 1))
        self._actions: list[int] = []
        self._earned, self._peak, self._peak_length = 0.0, 0.0, 0

    def start_episode(self, progress: float) -> bool:
        """Decide how the next episode begins; True if with a replay.

        Args:
            progress: share of the budget that is used, 0..1.
        """
        self._begin(None)
        if not self.solutions or not self._by_policy or self.config.replay == 0:
            return False
        best = max(self.solutions, key=lambda solution: solution.mean)
        policy = sum(self._by_policy) / len(self._by_policy)
        chance = self.config.replay * min(1.0, progress / self.config.replay_ramp)
        if policy >= best.mean or self.rng.random() >= chance:
            return False
        self._begin(best)
        return True

    def action(self) -> int | None:
        """The action to replay on this timestep, or None: the policy decides."""
        t = len(self._actions)
        if self._replayed is None or t >= self._until:
            return None
        return self._replayed.actions[t]

    def record(self, action: int, reward: float, ended: bool) -> None:
        """Take note of a timestep."""
        if self.config.replay == 0:
            return
        self._actions.append(action)
        self._earned += reward
        if self._earned > self._peak:
            self._peak, self._peak_length = self._earned, len(self._actions)
        if not ended:
            return
        if self._replayed is not None:
            self._replayed.results.append(self._earned)
            further = self._peak > self._replayed.results[0]
            if not (self.config.replay_extends and further):
                return
        else:
            self._by_policy.append(self._earned)
        if self._peak_length:
            finished = reward >= 0.9 * level_end_bonus(len(self._actions))
            solution = Solution(self._actions[: self._peak_length], [self._peak], finished)
            self.solutions.append(solution)
        if len(self.solutions) > KEPT:
            self.solutions.remove(min(self.solutions, key=lambda solution: solution.mean))
