"""``python -m pangolin_dash.play``: play Pangolin Dash by hand, in a window.

Arrow keys run and duck, Z, X or C jumps, Enter is START (pause), R starts the act again, Escape
ends.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from pangolin_dash.build import HERE, SHIPPED
from pangolin_dash.replay import open_act

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


@dataclass
class Arguments:
    """Play one act.

    Attributes:
        act: name of the save-state.
        folder: the integration's folder; the shipped game by default.
    """

    act: str = "FernHollow.Act1"
    folder: Path = HERE / "integration" / SHIPPED


def main() -> int:
    """The command line; returns its exit code."""
    arguments = tyro.cli(Arguments)
    if not (arguments.folder / f"{arguments.act}.state").exists():
        acts = ", ".join(sorted(path.stem for path in arguments.folder.glob("*.state")))
        print(f"no act {arguments.act} in {arguments.folder}; it has: {acts}", file=sys.stderr)
        return 2
    try:
        import pyglet

        window = pyglet.window.Window(960, 672, caption="Pangolin Dash")
    except Exception as error:  # pyglet raises its own errors, without a common parent
        print(f"no window can be opened here ({error}): play where there is a display",
              file=sys.stderr)  # fmt: skip
        return 1
    _play(window, arguments)
    return 0


def _play(window, arguments: Arguments) -> None:
    """The loop: keys to buttons, one frame, the picture three times its size."""
    import pyglet

    env = open_act(arguments.folder.name, arguments.act, arguments.folder.parent)
    keys = pyglet.window.key.KeyStateHandler()
    window.push_handlers(keys)
    env.reset()
    next_frame = time.perf_counter()
    try:
        while not window.has_exit:
            window.dispatch_events()
            if keys[pyglet.window.key.R]:
                env.reset()
            mask = np.zeros(len(env.buttons), np.uint8)
            for key, button in KEYS.items():
                mask[env.buttons.index(button)] = keys[getattr(pyglet.window.key, key)]
            env.em.set_button_mask(mask, 0)  # not env.step: START is not an agent's button
            env.em.step()
            picture = env.em.get_screen()
            height, width, _ = picture.shape
            image = pyglet.image.ImageData(
                width, height, "RGB", np.ascontiguousarray(picture).tobytes(), pitch=-3 * width
            )
            texture = image.get_texture()
            pyglet.gl.glBindTexture(texture.target, texture.id)
            pyglet.gl.glTexParameteri(  # square pixels, not a blur
                texture.target, pyglet.gl.GL_TEXTURE_MAG_FILTER, pyglet.gl.GL_NEAREST
            )
            window.clear()
            texture.blit(0, 0, width=window.width, height=window.height)
            window.flip()
            next_frame += FRAME
            time.sleep(max(0.0, next_frame - time.perf_counter()))
    finally:
        env.close()
        window.close()


if __name__ == "__main__":
    sys.exit(main())
