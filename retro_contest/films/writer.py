"""The picture and the file of a film: panels with captions, MP4 and poster.

Nothing of the system is needed: FFmpeg comes with the library imageio-ffmpeg, the font with Pillow,
and no window is opened.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retro_common.errors import UsageError
from retro_common.text import clean

NEEDED = "films need the libraries imageio-ffmpeg and Pillow: pip install 'retro-contest-kit[film]'"
try:
    from PIL import Image, ImageDraw, ImageFont
except ModuleNotFoundError:
    raise UsageError(NEEDED) from None

FPS = 15
"""timesteps per second: the speed at which a person would play"""
SCALE = 2
"""size of the game's pixels in a film"""
MAX_BYTES = 3_000_000
"""size that a panel may add to a film"""
CRF = 26
"""quality that x264 aims at where the size allows it: 18 is excellent, 30 is poor"""
MOST_BITS = 2_000_000
"""bits per second above which no film gets"""

GAP = 8
CAPTION = 68
"""height of the two lines under a panel"""
TEXT_SIZE = 20
BAND = 40
"""height of the line across a panel that is over"""
BACKGROUND, INK, FAINT, ACCENT = (20, 22, 28), (236, 238, 242), (160, 166, 180), (255, 196, 61)


@dataclass(frozen=True)
class Panel:
    """One agent's part of a picture."""

    frame: np.ndarray
    """the game, uint8 `(H, W, 3)`"""
    agent: str
    episode: str
    """which level and which episode of it"""
    timestep: int
    reward: float
    over: str = ""
    """why the episode is over; empty while it is played"""


def check_encoder() -> None:
    """Raise UsageError where films cannot be written because imageio-ffmpeg is missing."""
    try:
        import imageio_ffmpeg
    except ModuleNotFoundError:
        raise UsageError(NEEDED) from None
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UsageError(f"films need the program FFmpeg: {clean(error)}") from None


class Canvas:
    """Panels side by side. Painting uses the same memory again and again."""

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        """
        Args:
            frames: of each panel a frame, for its size.
        """
        sizes = [(frame.shape[0] * SCALE, frame.shape[1] * SCALE) for frame in frames]
        height = max(size[0] for size in sizes) + CAPTION
        width = sum(size[1] for size in sizes) + GAP * (len(sizes) - 1)
        # H.264 wants even sizes.
        self._picture = np.full((height + height % 2, width + width % 2, 3), BACKGROUND, np.uint8)
        lefts = np.cumsum([0, *(size[1] + GAP for size in sizes[:-1])])
        self._places = [
            (int(left), *size) for left, size in zip(lefts, sizes, strict=True)
        ]  # left, height, width

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, both even."""
        return self._picture.shape[1], self._picture.shape[0]

    def paint(self, panels: Sequence[Panel]) -> np.ndarray:
        """The picture, uint8 `(height, width, 3)`, valid until the next one is painted."""
        for panel, (left, height, width) in zip(panels, self._places, strict=True):
            game = self._picture[:height, left : left + width]
            frame = panel.frame // 3 if panel.over else panel.frame
            for row in range(SCALE):
                for column in range(SCALE):
                    game[row::SCALE, column::SCALE] = frame
            if panel.over:
                game[height // 4 :][:BAND] = _over(panel.over, width)
            self._picture[height : height + CAPTION, left : left + width] = _caption(panel, width)
        return self._picture


@contextmanager
def encoder(path: Path, size: tuple[int, int], pictures: int, panels: int) -> Iterator[Any]:
    """Writes an MP4 (H.264): `send` one picture after the other.

    Args:
        path: the file.
        size: width and height of a picture in pixels, both even.
        pictures: how many will be sent. With `panels` it decides on the bits per second that the
            film may have, so that its size stays below `MAX_BYTES` per panel.
        panels: panels of a picture.

    Raises:
        UsageError: the library that encodes is missing.
    """
    check_encoder()
    import imageio_ffmpeg

    seconds = max(pictures / FPS, 1)
    # The decoder's buffer holds bits beyond the rate: up to a tenth of the film's.
    bits = min(int(MAX_BYTES * panels * 8 * 0.85 / seconds), MOST_BITS * panels)
    buffer = min(bits * 8, int(MAX_BYTES * panels * 8 * 0.1))
    writer = imageio_ffmpeg.write_frames(
        str(path),
        size,
        fps=FPS,
        codec="libx264",
        macro_block_size=2,
        quality=None,
        ffmpeg_log_level="error",
        output_params=[
            *("-crf", str(CRF), "-maxrate", str(bits), "-bufsize", str(buffer)),
            *("-preset", "medium", "-tune", "animation", "-g", str(FPS * 20)),
            *("-movflags", "+faststart"),
        ],
    )
    writer.send(None)
    try:
        yield writer
    finally:
        writer.close()


def _caption(panel: Panel, width: int) -> np.ndarray:
    """The two lines under a panel."""
    image = Image.new("RGB", (width, CAPTION), BACKGROUND)
    draw = ImageDraw.Draw(image)
    above, below = 8, 8 + TEXT_SIZE + 8
    reward, timestep = f"reward {panel.reward:,.0f}", f"timestep {panel.timestep:,}"
    _write(draw, panel.agent, (GAP, above), width - _width(reward) - 4 * GAP, INK)
    _write(draw, reward, (width - GAP, above), width, ACCENT, right=True)
    _write(draw, panel.episode, (GAP, below), width - _width(timestep) - 4 * GAP, FAINT)
    _write(draw, timestep, (width - GAP, below), width, FAINT, right=True)
    return np.asarray(image)


@functools.lru_cache(maxsize=8)
def _over(text: str, width: int) -> np.ndarray:
    """A line in the middle of a panel."""
    image = Image.new("RGB", (width, BAND), BACKGROUND)
    at = ((width - min(_width(text), width)) / 2, (BAND - TEXT_SIZE) / 2 - 2)
    _write(ImageDraw.Draw(image), text, at, width, INK)
    return np.asarray(image)


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    at: tuple[float, float],
    room: float,
    colour: tuple[int, int, int],
    right: bool = False,
) -> None:
    """Write a line, cut to the room that it has; `right`: it ends at `at`."""
    while text and _width(text) > room:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    x = at[0] - _width(text) if right else at[0]
    draw.text((x, at[1]), text, colour, _font())


def _width(text: str) -> float:
    return _font().getlength(text)


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """Pillow's own font (Aileron), in which Latin letters without accents and digits are found."""
    font = ImageFont.load_default(TEXT_SIZE)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
