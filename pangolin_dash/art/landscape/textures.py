"""Textures and shapes that the zones' terrain styles share (16x16, palette line 1)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pangolin_dash.art.canvas import (
    Point,
    blank,
    cells,
    grid,
    hashed,
    outline,
    paint,
    polygon,
    ramp,
    wave,
)
from pangolin_dash.art.palettes import LINE, LIQUID

BLOCK = (16, 16)


def stones(
    seeds: Sequence[tuple[float, float]],
    colors: Sequence[int],
    gap: float = 1.0,
    stretch: float = 1.0,
    contrast: float = 0.11,
) -> np.ndarray:
    """Rounded stones that wrap at the block's sides; colours dark (joints) to light."""
    border, dx, dy, which = cells(BLOCK, seeds, stretch)
    tone = np.array([hashed(n, 1, 3) for n in range(len(seeds))])[which]
    level = 0.42 + 0.18 * (tone - 0.5) - contrast * (dx * 0.6 + dy)
    picture = ramp(np.clip(level, 0, 0.999), colors[1:], 0.5)
    picture[border < gap] = colors[0]
    return picture


def facets(seeds: Sequence[tuple[float, float]], colors: Sequence[int]) -> np.ndarray:
    """Flat cut faces (ice, crystal): one tone per cell, a light upper left rim."""
    border, dx, dy, which = cells(BLOCK, seeds)
    tone = np.array([hashed(n, 4, 9) for n in range(len(seeds))])[which]
    level = 0.2 + 0.6 * tone - 0.04 * (dx + dy)
    picture = ramp(np.clip(level, 0, 0.999), colors, 0.35)
    rim = border < 1.0
    picture[rim & (dx + dy > 0)] = colors[0]
    picture[rim & (dx + dy <= 0)] = colors[-1]
    return picture


def bricks(
    height: int, width: int, colors: Sequence[int], seed: int = 0, chips: float = 0.0
) -> np.ndarray:
    """Bricks in running bond, bevelled: light on top and left, dark below; wraps at 16 px."""
    x, y = grid(BLOCK)
    row = (y // height).astype(int)
    column = ((x + (row % 2) * (width // 2)) % 16 // width).astype(int)
    bx, by = (x + (row % 2) * (width // 2)) % width, y % height
    tones = np.array([[hashed(c, r, seed) for c in range(16)] for r in range(16)])
    tone = tones[row % (16 // height), column % (16 // width)]
    base = np.where(tone > 0.62, colors[3], colors[2]).astype(np.uint8)
    base[(by == height - 2) | (bx == width - 2)] = colors[1]
    base[(by == 0) | (bx == 0)] = colors[3]
    base[(by == 0) & (bx == 0)] = colors[-1]
    base[(by == height - 1) | (bx == width - 1)] = colors[0]
    if chips:
        spots = np.array([[hashed(c, r, seed + 50) for c in range(16)] for r in range(16)])
        base[(spots < chips) & (base == colors[2])] = colors[1]
    return base


def plank_platform(
    top: Sequence[int], side: Sequence[int], height: int = 8, every: int = 8
) -> np.ndarray:
    """A one-way platform (16, 48): a lit top, boards with joints, rounded ends."""
    picture = blank(16, 48)
    picture[0, 1:47] = top[-1]
    picture[1, :] = top[-2]
    picture[2, :] = top[0]
    for row in range(3, height - 1):
        shade = side[-1] if row < 4 else side[-2] if row < height - 3 else side[-3]
        picture[row, :] = shade
    picture[height - 1, 1:47] = LINE
    for column in range(every - 1, 48, every):
        picture[3 : height - 1, column] = LINE
    picture[:height, 0] = LINE
    picture[:height, 47] = LINE
    picture[0, 0] = picture[0, 47] = picture[height - 1, 0] = picture[height - 1, 47] = 0
    # brackets below the ends
    for left in (0, 32):
        bracket = polygon(
            (16, 48), [(left + 4, height), (left + 12, height), (left + 8, height + 4)]
        )
        picture[bracket] = side[0]
    return picture


def wavy_liquid(frame: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(surface, body) of a liquid in the colours LIQUID: crests of foam, slow glints below."""
    dark, mid, light = LIQUID
    x, y = grid(BLOCK)
    crest = np.round(3 - 1.5 * wave(x, 16, frame / 2))
    depth = y - crest
    surface = np.where(depth < 0, 0, mid).astype(np.uint8)
    surface[(depth >= 0) & (depth < 2)] = light
    second = np.round(9 - 1.2 * wave(x, 16, 0.4 + frame / 2))
    surface[(y == second) & (wave(x, 16, 0.15 + frame / 2) > -0.3)] = light
    surface[(y == second + 1) & (wave(x, 16, 0.15 + frame / 2) > 0.3)] = dark
    body = blank(16, 16, mid)
    for row, phase in ((3, 0.0), (11, 0.5)):
        line = np.round(row - 1.2 * wave(x, 16, phase))
        body[(y == line) & (wave(x, 16, phase + 0.2) > 0.1)] = light
        body[(y == line + 2) & (wave(x, 16, phase + 0.45) > 0.0)] = dark
        body[(y == line + 3) & (wave(x, 16, phase + 0.45) > 0.6)] = dark
    return surface, body


def shallow_water() -> tuple[np.ndarray, np.ndarray]:
    """(surface, body) of water to walk through: a bright edge, the rest mostly clear."""
    dark, mid, light = LIQUID
    x, y = grid(BLOCK)
    crest = np.round(3 - 1.5 * wave(x, 16))
    surface = np.where(y == crest, light, 0).astype(np.uint8)
    surface[y == crest + 1] = mid
    veil = (y > crest + 1) & ((x + 2 * y) % 8 == 0) & (y % 2 == 0)
    surface[veil] = mid
    body = np.where(((x + 2 * y) % 8 == 0) & (y % 2 == 0), mid, 0).astype(np.uint8)
    for row, phase in ((4, 0.0), (12, 0.5)):
        line = np.round(row - 1.2 * wave(x, 16, phase))
        glint = (y == line) & (wave(x, 16, phase + 0.2) > 0.55)
        body[glint] = light
        body[(y == line + 1) & (wave(x, 16, phase + 0.2) > 0.8)] = dark
    return surface, body


def scattered(picture: np.ndarray, places: Sequence[Point], color: int) -> np.ndarray:
    """The picture with single bright pixels (stars) at some places."""
    result = picture.copy()
    for column, row in places:
        result[row, column] = color
    return result


def brambles(surface: np.ndarray, stem: int, thorn: int) -> np.ndarray:
    """The surface with thorny arches over it."""
    result = surface.copy()
    for left, width, height in ((0, 15, 8), (9, 11, 5)):
        for step in range(width + 1):
            column = (left + step) % 16
            t = step / width
            row = 9 - round(height * 4 * t * (1 - t))
            result[row, column] = stem
            result[row + 1, column] = LINE
            if step % 4 == 2:
                result[row - 1, column] = thorn
                result[row, column] = thorn
    return result


def framed(inner: np.ndarray, dark: int, light: int) -> np.ndarray:
    """A block with a bevelled frame of one pixel and a line around it."""
    picture = inner.copy()
    picture[[0, 15], :] = LINE
    picture[:, [0, 15]] = LINE
    picture[1, 1:15] = light
    picture[1:15, 1] = light
    picture[14, 1:15] = dark
    picture[1:15, 14] = dark
    return picture


def cracked(colors: Sequence[int], accent: int | None = None) -> np.ndarray:
    """A breakable block: light stone full of cracks, with corner nails in the accent colour."""
    picture = framed(blank(16, 16, colors[2]), colors[0], colors[3])
    picture[2:8, 2:13] = colors[3]
    paths = ([(3, 2), (5, 5), (4, 8), (7, 10), (6, 13)], [(12, 2), (10, 5), (12, 8), (9, 12)])
    for path in paths:
        for (x0, y0), (x1, y1) in itertools.pairwise(path):
            for t in range(8):
                x = round(x0 + (x1 - x0) * t / 7)
                y = round(y0 + (y1 - y0) * t / 7)
                picture[y, x] = LINE
                if picture[y, x + 1] != LINE:
                    picture[y, x + 1] = colors[-1]
    picture[7, 5:11] = LINE
    if accent is not None:
        for y in (3, 12):
            for x in (3, 12):
                picture[y, x] = accent
    return picture


def door_block(colors: Sequence[int], accent: Sequence[int]) -> np.ndarray:
    """A closed door: vertical bars with a band that shows the lever's mark."""
    picture = blank(16, 16, LINE)
    for left in (1, 6, 11):
        picture[:, left : left + 4] = colors[1]
        picture[:, left] = colors[3]
        picture[:, left + 1] = colors[2]
        picture[:, left + 3] = colors[0]
    picture[5:11, :] = accent[0]
    picture[5, :] = accent[2]
    picture[6:10, :] = accent[1]
    picture[[4, 11], :] = LINE
    picture[6:10, 6:10] = LINE
    picture[7:9, 7:9] = accent[2]
    return picture


def arrows(base: np.ndarray, color: int, dark: int, frame: int) -> np.ndarray:
    """A moving surface: chevrons that point left, half a period on in frame 1."""
    picture = base.copy()
    for row in range(2, 8):
        bend = (0, 1, 2, 2, 1, 0)[row - 2]
        for start in (0, 8):
            x = (start - bend - 4 * frame) % 16
            picture[row, x] = picture[row, (x + 1) % 16] = color
            picture[row, (x + 2) % 16] = dark
    return picture


def cushion(
    base: np.ndarray, colors: Sequence[int], spots: Sequence[Point], spot: int, frame: int
) -> np.ndarray:
    """A bouncy surface: two soft pads with spots (moss) or pores (sponge), swelling in frame 1."""
    picture = base.copy()
    x, y = grid(BLOCK)
    picture[:11] = LINE
    for middle in (3.5, 11.5):
        pad = ((x - middle) / 4.4) ** 2 + ((y - 5) / (5.6 - 0.5 * frame)) ** 2 <= 1
        level = 0.75 - (y - 1) / 12 - (x - middle) / 20
        paint(picture, pad, ramp(np.clip(level, 0, 0.99), colors, 0.4))
    for px, py in spots:
        picture[py + frame, px] = spot
    picture[0] = np.where(picture[0] == LINE, colors[0], colors[-1])
    return picture


def glowing_pad(
    base: np.ndarray, colors: Sequence[int], metal: Sequence[int], frame: int
) -> np.ndarray:
    """A pad that lifts: arrows of light that point up, one step on in frame 1."""
    picture = base.copy()
    picture[:11] = colors[0]
    picture[0], picture[1] = metal[-1], metal[1]
    picture[10] = LINE
    picture[2] = LINE
    for top in (-1, 3, 7):
        for middle in (3, 11):
            for reach in range(4):
                row = top + reach + 2 * frame
                if 3 <= row < 10:
                    color = colors[2] if top < 7 else colors[1]
                    picture[row, middle - reach] = picture[row, middle + 1 + reach] = color
    return picture


def signpost(wood: Sequence[int], paint_colors: Sequence[int], foot: Sequence[int]) -> np.ndarray:
    """The goal (32, 32): a burrow under a mound with a pennant; palette line 1."""
    picture = blank(32, 32)
    shape = picture.shape
    x, y = grid(shape)
    mound = ((x - 15.5) / 15) ** 2 + ((y - 32) / 17) ** 2 <= 1
    level = np.clip(0.9 - (y - 14) / 22 - 0.015 * (x - 16), 0, 0.99)
    paint(picture, mound, ramp(level, foot, 0.6))
    hole = ((x - 15.5) / 8) ** 2 + ((y - 31.5) / 10.5) ** 2 <= 1
    frame = ((x - 15.5) / 10) ** 2 + ((y - 31.5) / 12.5) ** 2 <= 1
    arch = np.where((x * 2 + y).astype(int) % 5 == 0, wood[0], wood[2])
    paint(picture, frame, arch.astype(np.uint8))
    paint(picture, ((x - 15) / 9.4) ** 2 + ((y - 31) / 12) ** 2 <= 1, wood[1])
    paint(picture, hole, LINE)
    picture[1:18, 24] = wood[2]
    picture[1:18, 25] = wood[0]
    flag = polygon(shape, [(23, 1.5), (10, 5.5), (23, 9.5)])
    paint(picture, flag, paint_colors[1])
    paint(picture, flag & (y > 6), paint_colors[0])
    paint(picture, flag & (y < 4), paint_colors[2])
    return outline(picture, LINE)
