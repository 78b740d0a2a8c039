"""The game must not slow the emulator: em.step is at least as fast as with Airstriker."""

from __future__ import annotations

import time

import numpy as np
import stable_retro as retro

from pangolin_dash.acts import SHIPPED
from tests.pangolin_dash.conftest import INTEGRATIONS


def _frames_per_second(game: str, state: str, frames: int = 500) -> float:
    """Frames per second of processor time, holding right."""
    retro.data.Integrations.add_custom_path(str(INTEGRATIONS.resolve()))
    env = retro.make(
        game, state=state, inttype=retro.data.Integrations.ALL, render_mode="rgb_array"
    )
    try:
        env.reset()
        mask = np.zeros(len(env.buttons), np.uint8)
        mask[env.buttons.index("RIGHT")] = 1
        env.em.set_button_mask(mask, 0)
        start = time.process_time()
        for _ in range(frames):
            env.em.step()
        return frames / (time.process_time() - start)
    finally:
        env.close()


def test_as_fast_as_airstriker() -> None:
    ratios = [
        _frames_per_second(SHIPPED, state) / _frames_per_second("Airstriker-Genesis-v0", "Level1")
        for state in ("FernHollow.Act1", "CoralGrotto.Act2", "EmberWorks.Act3")
    ]
    assert np.median(ratios) >= 1.0, ratios
