"""Level memory: seldom seen is rewarded."""

import numpy as np
import pytest

from agent.config import LevelMemoryConfig
from agent.learning.level_memory import Novelty

RNG = np.random.default_rng(0)
SHADES = [RNG.integers(8, size=(8, 8, 1)) * 32 + 16 for _ in range(2)]
FRAMES = [shades.repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.uint8) for shades in SHADES]
LATENTS = [RNG.normal(size=16), RNG.normal(size=16)]


@pytest.mark.parametrize("kind", ["latent", "frame"])
def test_the_bonus_falls_with_the_root_of_the_visits(kind: str) -> None:
    novelty = Novelty(LevelMemoryConfig(novelty=0.5, novelty_of=kind), latent=16, seed=0)

    def bonus(which: int, earned: float = 0.0) -> float:
        return novelty.bonus(LATENTS[which], FRAMES[which], earned)

    assert [bonus(0) for _ in range(4)] == pytest.approx([0.5 / n**0.5 for n in (1, 2, 3, 4)])
    assert bonus(1) == 0.5, "another sight"
    assert bonus(0, earned=5000.0) == 0.5, "the same sight elsewhere"
    # What differs by less than a shade is the same.
    noisy = FRAMES[0] + RNG.integers(-9, 10, size=(64, 64, 1)).astype(np.int8).view(np.uint8)
    if kind == "frame":
        assert novelty.bonus(LATENTS[0], noisy, 0.0) < 0.5


def test_off_by_default() -> None:
    config = LevelMemoryConfig()
    assert Novelty(config, latent=16, seed=0).bonus(LATENTS[0], FRAMES[0], 0.0) == 0
