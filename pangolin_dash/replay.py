"""Plays an input movie on the real ROM in the emulator, with the contest's reward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stable_retro as retro

from pangolin_dash.movies import BUTTONS, Movie, letters


@dataclass(frozen=True)
class Outcome:
    """What a movie came to.

    Attributes:
        finished: the level's end was reached and the episode ended there.
        reward: sum of the contest's rewards.
        frames: emulator frames played after the reset.
        cpu_lines: scanlines of 262 that the worst frame's work took.
        lag_frames: frames whose work did not fit.
        info: the RAM variables at the end.
    """

    finished: bool
    reward: float
    frames: int
    cpu_lines: int
    lag_frames: int
    info: dict[str, int]


def open_act(game: str, state: str, integrations: Path, scenario: str = "contest"):
    """stable-retro's own environment of one act; close() it before another is opened."""
    retro.data.Integrations.add_custom_path(str(integrations.resolve()))
    return retro.make(
        game,
        state=state,
        scenario=scenario,
        inttype=retro.data.Integrations.CUSTOM_ONLY,
        render_mode="rgb_array",
    )


def replay(
    env, movie: Movie, watch: Callable[[np.ndarray, dict[str, int]], None] | None = None
) -> Outcome:
    """Reset the environment and press the movie's buttons until the episode ends.

    Args:
        env: from ``open_act``.
        movie: what to press.
        watch: called with every frame's picture (224, 320, 3) and RAM variables.
    """
    buttons = {name: i for i, name in enumerate(env.buttons) if name}
    env.reset()
    reward, frames, lines, info = 0.0, 0, 0, {}
    # The game shows its numbers one frame late, so the last inputs are followed by idle frames.
    for pad, count in (*movie.inputs, (0, 4)):
        action = np.zeros(len(env.buttons), np.uint8)
        for letter in letters(pad).strip("-"):
            action[buttons[BUTTONS[letter]]] = 1
        for _ in range(count):
            picture, points, done, _, info = env.step(action)
            reward += points
            frames += 1
            lines = max(lines, info["cpu_lines"])
            if watch is not None:
                watch(picture, info)
            if done:
                ended = bool(info["level_end"])
                return Outcome(ended, reward, frames, lines, info["lag_frames"], info)
    return Outcome(False, reward, frames, lines, info["lag_frames"], info)
