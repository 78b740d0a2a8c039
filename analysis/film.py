"""Films of V and M at work: panels of frames, heat maps of latents, curves over time."""

from __future__ import annotations

from pathlib import Path

import cv2
import imageio.v2 as imageio
import numpy as np

from retro_common.errors import UsageError

PANEL = (320, 224)
"""width and height of a frame's panel: the Mega Drive's screen"""
MARGIN, TEXT = 8, 20
HEAT_HEIGHT, CURVE_HEIGHT = 48, 64
RING = 24
"""radius in pixels of a panel"""
HISTORY = 160
"""timesteps that the curves show"""
BACKGROUND, INK, FAINT = (24, 26, 32), (228, 230, 235), (120, 126, 140)
COLOURS = ((255, 196, 61), (96, 200, 255), (255, 112, 112), (140, 220, 120))


class Film:
    """Writes an MP4 or a GIF, one picture per timestep; close it (or use ``with``) to finish it."""

    def __init__(self, path: Path, fps: int = 15):
        if path.suffix not in (".mp4", ".gif"):
            raise UsageError(f"{path}: a film is an .mp4 or a .gif")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("ab").close()  # the encoder's own complaint would be a page long
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
        self.path, self.frames = path, 0
        self._history: dict[str, list[float]] = {}
        options = {"fps": fps}
        if path.suffix == ".gif":
            options |= {"loop": 0}
        else:
            options |= {"codec": "libx264", "quality": 8, "macro_block_size": 2}
        self._writer = imageio.get_writer(path, **options)

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()

    def add(
        self,
        panels: dict[str, np.ndarray],
        latents: dict[str, np.ndarray],
        curves: dict[str, float],
        caption: str = "",
        rings: dict[str, tuple[float, float] | None] | None = None,
    ) -> np.ndarray:
        """Add one timestep.

        Args:
            panels: pictures by title, uint8 (H, W, 3), side by side.
            latents: vectors by title, drawn as heat maps of values -3..3.
            curves: numbers by title, drawn with their recent past.
            caption: a line below the panels.
            rings: places in panels, by the panel's title: x and y, -1 and 1 at the edges;
                or None.

        Returns:
            The picture, uint8 (height, width, 3).
        """
        rows = [self._panels(panels, rings or {})]
        width = rows[0].shape[1]
        if caption:
            strip = np.full((TEXT, width, 3), BACKGROUND, np.uint8)
            write(strip, caption, (MARGIN, TEXT - 6), FAINT)
            rows.append(strip)
        rows += [self._heat(title, values, width) for title, values in latents.items()]
        rows.append(self._curves(curves, width))
        picture = np.concatenate(rows)
        picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        self._writer.append_data(picture)
        self.frames += 1
        return picture

    def _panels(
        self, panels: dict[str, np.ndarray], rings: dict[str, tuple[float, float] | None]
    ) -> np.ndarray:
        width, height = PANEL
        canvas = np.full(
            (height + TEXT + MARGIN, (width + MARGIN) * len(panels) + MARGIN, 3),
            BACKGROUND,
            np.uint8,
        )
        for column, (title, panel) in enumerate(panels.items()):
            left = MARGIN + column * (width + MARGIN)
            write(canvas, title, (left, TEXT - 6), INK)
            enlarged = cv2.resize(panel, PANEL, interpolation=cv2.INTER_NEAREST)
            if rings.get(title) is not None:
                x, y = rings[title]
                at = round((x + 1) / 2 * width), round((y + 1) / 2 * height)
                for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
                    cv2.circle(enlarged, at, RING, colour, thickness, cv2.LINE_AA)
            canvas[TEXT : TEXT + height, left : left + width] = enlarged
        return canvas

    def _heat(self, title: str, values: np.ndarray, width: int) -> np.ndarray:
        canvas = np.full((HEAT_HEIGHT, width, 3), BACKGROUND, np.uint8)
        write(canvas, title, (MARGIN, TEXT - 6), INK)
        scaled = ((np.clip(values, -3, 3) + 3) / 6 * 255).astype(np.uint8)
        colours = cv2.applyColorMap(scaled[None], cv2.COLORMAP_TWILIGHT_SHIFTED)[..., ::-1]
        size = (width - 2 * MARGIN, HEAT_HEIGHT - TEXT - 4)
        canvas[TEXT:-4, MARGIN:-MARGIN] = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
        return canvas

    def _curves(self, curves: dict[str, float], width: int) -> np.ndarray:
        canvas = np.full((CURVE_HEIGHT + TEXT, width, 3), BACKGROUND, np.uint8)
        share = (width - MARGIN) // max(len(curves), 1)
        for number, (title, value) in enumerate(curves.items()):
            history = self._history.setdefault(title, [])
            history.append(float(value))
            recent = np.array(history[-HISTORY:])
            left, right = MARGIN + number * share, (number + 1) * share
            write(canvas, f"{title} {value:.1f}", (left, TEXT - 6), INK)
            low, high = recent.min(), recent.max()
            heights = (recent - low) / (high - low) if high > low else np.full(len(recent), 0.5)
            x = left + np.arange(len(recent)) * (right - left - 1) / (HISTORY - 1)
            y = TEXT + 4 + (1 - heights) * (CURVE_HEIGHT - 12)
            points = np.stack([x, y], axis=1).astype(np.int32)
            colour = COLOURS[number % len(COLOURS)]
            cv2.polylines(canvas, [points], False, colour, 1, cv2.LINE_AA)
        return canvas


def write(canvas: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
