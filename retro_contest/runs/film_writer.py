"""The picture and the file of a film: panels with captions, MP4 and poster.

Nothing of the system is needed: FFmpeg comes with the library imageio-ffmpeg, the font with
matplotlib, and no window is opened.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from retro_common.errors import UsageError
from retro_common.text import clean

FPS = 15
"""timesteps per second: the speed at which a person would play"""
SCALE = 2
"""size of the game's pixels in a film"""
MAX_BYTES = 3_000_000
"""size that a panel may add to a film"""
CRF = 24
"""quality that x264 aims at where the size allows it: 18 is excellent, 30 is poor"""
MOST_BITS = 2_000_000
"""bits per second above which no film gets"""

GAP = 8
CAPTION = 68
"""height of the two lines under a panel"""
TEXT_SIZE = 20
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
        raise UsageError(
            "films need the library imageio-ffmpeg: pip install 'retro-contest-kit[film]'"
        ) from None
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UsageError(f"films need the program FFmpeg: {clean(error)}") from None


def picture(panels: Sequence[Panel]) -> np.ndarray:
    """Panels side by side, uint8 `(height, width, 3)`; both are even."""
    drawn = [_draw(panel) for panel in panels]
    height = max(each.shape[0] for each in drawn)
    columns: list[np.ndarray] = []
    for each in drawn:
        column = np.full((height, each.shape[1] + GAP, 3), BACKGROUND, np.uint8)
        column[: each.shape[0], : each.shape[1]] = each
        columns.append(column)
    whole = np.concatenate(columns, axis=1)[:, :-GAP]
    return np.ascontiguousarray(whole[: height // 2 * 2, : whole.shape[1] // 2 * 2])


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


def _draw(panel: Panel) -> np.ndarray:
    """A panel: the enlarged game, and two lines of text under it."""
    frame = panel.frame
    if panel.over:
        frame = frame // 2
    enlarged = frame.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    height, width = enlarged.shape[:2]
    image = Image.new("RGB", (width, height + CAPTION), BACKGROUND)
    image.paste(Image.fromarray(enlarged))
    draw = ImageDraw.Draw(image)
    above, below = height + 8, height + 8 + TEXT_SIZE + 8
    reward = f"reward {panel.reward:,.0f}"
    timestep = f"timestep {panel.timestep:,}"
    _write(draw, panel.agent, (GAP, above), width - _width(reward, bold=True) - 4 * GAP, INK, True)
    _write(draw, reward, (width - GAP, above), width, ACCENT, True, right=True)
    _write(draw, panel.episode, (GAP, below), width - _width(timestep) - 4 * GAP, FAINT)
    _write(draw, timestep, (width - GAP, below), width, FAINT, right=True)
    if panel.over:
        left = (width - _width(panel.over, bold=True)) / 2
        _write(draw, panel.over, (left, height / 2 - TEXT_SIZE), width, INK, True)
    return np.asarray(image)


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    at: tuple[float, float],
    room: float,
    colour: tuple[int, int, int],
    bold: bool = False,
    right: bool = False,
) -> None:
    """Write a line, cut to the room that it has; `right`: it ends at `at`."""
    while text and _width(text, bold) > room:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    x = at[0] - _width(text, bold) if right else at[0]
    draw.text((x, at[1]), text, colour, _font(bold))


def _width(text: str, bold: bool = False) -> float:
    return _font(bold).getlength(text)


@functools.cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), TEXT_SIZE)
