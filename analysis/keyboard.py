"""A window in which a person plays with the game's buttons."""

from __future__ import annotations

import numpy as np

from gym_remote.spaces import BUTTONS
from pangolin_dash import window

KEYS = {
    "LEFT": "LEFT",
    "RIGHT": "RIGHT",
    "UP": "UP",
    "DOWN": "DOWN",
    "Z": "A",
    "X": "B",
    "SPACE": "B",
    "C": "C",
}
"""the keyboard's keys and the buttons they stand for"""


def nearest_action(table: np.ndarray, buttons: np.ndarray) -> int:
    """The action of a table (A, 12) that differs from what is pressed (12,) in fewest buttons."""
    return int(np.abs(table.astype(np.int16) - buttons).sum(axis=1).argmin())


class Window(window.Window):
    """A window on the screen of this machine. Escape closes it, R asks to start again.

    Raises:
        UsageError: there is no display.
    """

    @property
    def again(self) -> bool:
        """Whether R is held down."""
        return self.holds("R")

    def pressed(self) -> np.ndarray:
        """The buttons held down, int8 (12,)."""
        buttons = np.zeros(len(BUTTONS), np.int8)
        for key, button in KEYS.items():
            if self.holds(key):
                buttons[BUTTONS.index(button)] = 1
        return buttons
