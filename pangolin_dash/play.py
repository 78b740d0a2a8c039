"""`python -m pangolin_dash.play`: play Pangolin Dash by hand, in a window."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from pangolin_dash.acts import INTEGRATIONS, SHIPPED, check_act
from pangolin_dash.cli import exit_code
from pangolin_dash.replay import open_act
from pangolin_dash.window import Window
from retro_common.errors import UsageError

FRAME = 1 / 60  # seconds
KEYS = {
    "LEFT": "LEFT",
    "RIGHT": "RIGHT",
    "UP": "UP",
    "DOWN": "DOWN",
    "Z": "A",
    "X": "B",
    "C": "C",
    "ENTER": "START",
}
"""the keyboard's keys and the buttons they stand for"""


@dataclass
class Arguments:
    """Play one act by hand, in a window.

    Arrow keys run and duck, Z, X or C jumps, Enter is START (pause), R starts the act again, Escape
    ends.
    """

    act: str = "FernHollow.Act1"
    """name of the save-state"""
    folder: Path = INTEGRATIONS / SHIPPED
    """the game's integration folder"""


def main() -> int:
    """The command line; returns its exit code."""
    arguments = tyro.cli(Arguments, prog="python -m pangolin_dash.play")
    check_act(arguments.folder, arguments.act)
    try:
        window = Window("Pangolin Dash")
    except UsageError as error:
        raise UsageError(
            f"{error}; python -m pangolin_dash.replay --film FILE.mp4 films an act without one"
        ) from None
    _play(window, arguments)
    return 0


def _play(window: Window, arguments: Arguments) -> None:
    """Keys to buttons, one frame, the picture; 60 times a second until the window is closed."""
    env = open_act(arguments.folder.name, arguments.act, arguments.folder.parent)
    env.reset()
    next_frame = time.perf_counter()
    try:
        while not window.closed:
            if window.holds("R"):
                env.reset()
            mask = np.zeros(len(env.buttons), np.uint8)
            for key, button in KEYS.items():
                mask[env.buttons.index(button)] = window.holds(key)
            env.em.set_button_mask(mask, 0)  # not env.step: START is not an agent's button
            env.em.step()
            window.show(env.em.get_screen())
            next_frame += FRAME
            time.sleep(max(0.0, next_frame - time.perf_counter()))
    finally:
        env.close()
        window.close()


if __name__ == "__main__":
    sys.exit(exit_code(main))
