"""A window that shows the game's frames and says which keys a person holds down."""

from __future__ import annotations

import os
import sys

import numpy as np

from retro_common.errors import UsageError

SIZE = (960, 672)
"""width and height: three times the Mega Drive's screen"""


class Window:
    """A window on the screen of this machine. Escape closes it.

    Raises:
        UsageError: no window can be opened here.
    """

    def __init__(self, title: str):
        if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
            raise UsageError("DISPLAY is not set: a window needs a display")
        try:
            import pyglet

            self._window = pyglet.window.Window(*SIZE, caption=title)
        except Exception as error:  # pyglet raises its own errors, without a common parent
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UsageError(f"no window can be opened here ({reason})") from None
        self._pyglet = pyglet
        self._keys = pyglet.window.key.KeyStateHandler()
        self._window.push_handlers(self._keys)

    @property
    def closed(self) -> bool:
        """Whether the person has closed it; takes in the keys pressed since the last call."""
        self._window.dispatch_events()
        return self._window.has_exit

    def holds(self, key: str) -> bool:
        """Whether a key, by pyglet's name (`LEFT`, `Z`, `ENTER`), is held down."""
        return bool(self._keys[getattr(self._pyglet.window.key, key)])

    def show(self, frame: np.ndarray) -> None:
        """Fill the window with a frame, uint8 (H, W, 3)."""
        gl, (height, width, _) = self._pyglet.gl, frame.shape
        data = np.ascontiguousarray(frame).tobytes()
        image = self._pyglet.image.ImageData(width, height, "RGB", data, pitch=-3 * width)
        texture = image.get_texture()
        gl.glBindTexture(texture.target, texture.id)
        # square pixels, not a blur
        gl.glTexParameteri(texture.target, gl.GL_TEXTURE_MAG_FILTER, gl.GL_NEAREST)
        self._window.clear()
        texture.blit(0, 0, width=self._window.width, height=self._window.height)
        self._window.flip()

    def close(self) -> None:
        self._window.close()
