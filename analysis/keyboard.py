"""A window that shows small frames and tells which of the game's buttons a person holds down."""

from __future__ import annotations

import numpy as np

from gym_remote.spaces import BUTTONS
from retro_common.errors import UsageError

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
SIZE = (960, 672)
"""width and height of the window: three times the Mega Drive's screen"""


def nearest_action(table: np.ndarray, buttons: np.ndarray) -> int:
    """The action of a table (A, 12) that differs from what is pressed (12,) in fewest buttons."""
    return int(np.abs(table.astype(np.int16) - buttons).sum(axis=1).argmin())


class Window:
    """A window on the screen of this machine. Escape closes it, R asks to start again.

    Raises:
        UsageError: there is no display.
    """

    def __init__(self, title: str):
        try:
            import pyglet

            self._window = pyglet.window.Window(*SIZE, caption=title)
        except Exception as error:  # pyglet raises its own errors, without a common parent
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UsageError(
                f"no window can be opened here ({reason}): --keys needs a display"
            ) from None
        self._pyglet = pyglet
        self._keys = pyglet.window.key.KeyStateHandler()
        self._window.push_handlers(self._keys)

    @property
    def closed(self) -> bool:
        """Whether the person has closed it."""
        self._window.dispatch_events()
        return self._window.has_exit

    @property
    def again(self) -> bool:
        """Whether R is held down."""
        return bool(self._keys[self._pyglet.window.key.R])

    def pressed(self) -> np.ndarray:
        """The buttons held down, int8 (12,)."""
        buttons = np.zeros(len(BUTTONS), np.int8)
        for key, button in KEYS.items():
            if self._keys[getattr(self._pyglet.window.key, key)]:
                buttons[BUTTONS.index(button)] = 1
        return buttons

    def show(self, frame: np.ndarray) -> None:
        """Fill the window with a frame, uint8 (H, W, 3)."""
        gl, (height, width, _) = self._pyglet.gl, frame.shape
        data = np.ascontiguousarray(frame).tobytes()
        image = self._pyglet.image.ImageData(width, height, "RGB", data, pitch=-3 * width)
        texture = image.get_texture()
        gl.glBindTexture(texture.target, texture.id)
        gl.glTexParameteri(texture.target, gl.GL_TEXTURE_MAG_FILTER, gl.GL_NEAREST)
        self._window.clear()
        texture.blit(0, 0, width=self._window.width, height=self._window.height)
        self._window.flip()

    def close(self) -> None:
        self._window.close()
