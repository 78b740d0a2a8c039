"""Backgrounds (plane B, 512x256, wraps sideways): skies, ridges, clouds, stamps.

A background may hold at most 320 distinct 8x8 tiles. So skies and the inside of ridges depend on
the row only (one dithered tile per row of tiles), profiles repeat after 128 or 256 pixels, and
single things are stamps that are put down on multiples of 8 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pangolin_dash.art.canvas import BAYER, blank, ellipse, hashed, over, ramp, wave

WIDTH, HEIGHT = 512, 256


def sky(picture: np.ndarray, top: int, bottom: int, colors: Sequence[int]) -> None:
    """A vertical dithered gradient over rows top..bottom-1, in place; colours from the top down."""
    rows = np.arange(bottom - top, dtype=float)[:, None] / (bottom - top)
    level = np.repeat(rows, picture.shape[1], axis=1)
    picture[top:bottom] = ramp(level, colors, 0.9)


def waves(base: float, period: int, *parts: tuple[int, float, float]) -> np.ndarray:
    """Row of a ridge per column (512,): base minus a sum of (cycles, height, phase) waves."""
    x = np.arange(WIDTH, dtype=float)
    rows = np.full(WIDTH, float(base))
    for cycles, height, phase in parts:
        rows -= height * wave(x, period / cycles, phase)
    return np.round(rows).astype(int)


def peaks(base: float, period: int, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Row of a ridge per column (512,) from corner points (x, height) joined by lines."""
    xs = [p[0] for p in points] + [points[0][0] + period]
    hs = [p[1] for p in points] + [points[0][1]]
    x = (np.arange(WIDTH) - xs[0]) % period + xs[0]
    return np.round(base - np.interp(x, xs, hs)).astype(int)


def bumps(base: float, period: int, count: int, radius: float, seed: int) -> np.ndarray:
    """Row of a line of round tops (tree crowns, smoke) per column (512,)."""
    x = np.arange(WIDTH) % period
    height = np.zeros(WIDTH)
    for number in range(count):
        center = (number + 0.5 * hashed(number, 1, seed)) * period / count
        r = radius * (0.8 + 0.5 * hashed(number, 2, seed))
        gap = np.abs(x - center)
        gap = np.minimum(gap, period - gap)
        dome = np.sqrt(np.clip(r * r - gap * gap, 0, None))
        height = np.maximum(height, dome + 3 * hashed(number, 3, seed) * (dome > 0))
    return np.round(base - height).astype(int)


def ridge(
    picture: np.ndarray,
    rows: np.ndarray,
    bottom: int,
    colors: Sequence[int],
    rim: Sequence[int] = (),
    top: int | None = None,
) -> None:
    """Fill from `rows` down to `bottom`, in place: a vertical gradient, then rim colours on top.

    The gradient starts at row `top` (default: the ridge's highest point).
    """
    start = int(rows.min()) if top is None else top
    y = np.arange(HEIGHT, dtype=float)[:, None]
    level = np.clip((y - start) / max(bottom - start, 1), 0, 0.999)
    colored = ramp(np.repeat(level, WIDTH, axis=1), colors, 0.9)
    inside = (y >= rows[None, :]) & (y < bottom)
    picture[inside] = colored[inside]
    for number, color in enumerate(rim):
        on_rim = inside & (y == rows[None, :] + number)
        picture[on_rim] = color


def stamp(picture: np.ndarray, what: np.ndarray, x: int, y: int) -> None:
    """Put a picture down, in place; it wraps at the right side."""
    over(picture, what, x, y)
    if x + what.shape[1] > WIDTH:
        over(picture, what, x - WIDTH, y)
    if x < 0:
        over(picture, what, x + WIDTH, y)


def cloud(width: int, height: int, colors: Sequence[int], seed: int) -> np.ndarray:
    """A flat-bottomed heap of puffs; colours dark (belly) to light (top)."""
    picture = blank(height, width)
    shape = picture.shape
    count = max(3, width // 11)
    for layer, color in enumerate(colors):
        shrink = 2.2 * layer
        for i in range(count):
            t = (i + 0.5) / count
            dome = 1 - (2 * t - 1) ** 2
            radius = (0.30 + 0.20 * hashed(i, seed)) * height * (0.45 + 0.75 * dome) - shrink * 0.45
            if radius < 1:
                continue
            cx = t * (width - 14) + 7 - shrink * 0.5
            cy = height - 2 - radius * (0.9 + 0.25 * hashed(i, seed, 2)) - shrink * 1.1
            picture[ellipse(shape, cx, cy, radius * 1.25, radius)] = color
    picture[height - 1, :] = 0
    return picture


def pyramid(height: int, light: int, dark: int, line: int) -> np.ndarray:
    """A pyramid (height, 2 height) of courses, its right face in shade."""
    picture = blank(height, 2 * height)
    for row in range(height):
        left, right = height - 1 - row, height + 1 + row
        picture[row, left:right] = dark
        picture[row, left : height + row // 4] = light
        if row % 8 == 7:
            picture[row, left:right] = line
    return picture


def curtain(
    picture: np.ndarray, rows: np.ndarray, height: int, colors: Sequence[int], seed: int
) -> None:
    """Northern lights, in place: streaks that rise from a curve, brightest at their foot."""
    y = np.arange(HEIGHT, dtype=float)[:, None]
    x = np.arange(WIDTH)
    streak = np.array([0.55 + 0.45 * hashed(int(c) // 2 % 64, 7, seed) for c in x])
    rise = (rows[None, :] - y) / (height * streak[None, :])
    threshold = np.tile(BAYER, (HEIGHT // 4, WIDTH // 4))
    for number, color in enumerate(colors):
        reach = 1.0 - number / len(colors)
        picture[(rise >= 0) & (rise < reach) & (rise / reach < 1.15 - threshold)] = color


def stars(
    picture: np.ndarray, bottom: int, colors: Sequence[int], seed: int, every: int = 3
) -> None:
    """Stars in rows 0..bottom-1, in place: a few star tiles put down again and again."""
    patterns = []
    for kind in range(6):
        tile = blank(8, 8)
        x, y = int(hashed(kind, 1, seed) * 6) + 1, int(hashed(kind, 2, seed) * 6) + 1
        tile[y, x] = colors[kind % len(colors)]
        if kind == 0:
            tile[y, x - 1] = tile[y, x + 1] = tile[y - 1, x] = tile[y + 1, x] = colors[0]
            tile[y, x] = colors[-1]
        patterns.append(tile)
    for row in range(0, bottom, 8):
        for column in range(0, WIDTH, 8):
            if hashed(column, row, seed + 1) < 1 / every:
                kind = int(hashed(column, row, seed + 2) * 6)
                over(picture, patterns[kind], column, row)


def disc(radius: int, colors: Sequence[int], craters: bool = False) -> np.ndarray:
    """A sun or moon, colours from the rim to the middle."""
    size = ((2 * radius + 8) // 8) * 8
    picture = blank(size, size)
    middle = size / 2 - 0.5
    for number, color in enumerate(colors):
        picture[
            ellipse(picture.shape, middle, middle, radius - 3 * number, radius - 3 * number)
        ] = color
    if craters:
        for x, y, r in ((-0.3, -0.2, 0.2), (0.35, 0.1, 0.15), (0.0, 0.45, 0.13), (-0.45, 0.3, 0.1)):
            spot = ellipse(
                picture.shape, middle + x * radius, middle + y * radius, r * radius, r * radius
            )
            picture[spot] = colors[0]
    return picture
