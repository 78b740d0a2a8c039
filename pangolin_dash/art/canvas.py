"""Drawing on indexed pictures: masks, ramps, dithering, outlines, pictures from text.

A picture is a numpy uint8 array (H, W) of colour indices 0..15; 0 is transparent. A mask is a bool
array of the same shape. A ramp is a sequence of colour indices from dark to light.

Every function is a pure function of its arguments. Nothing depends on the last bit of a sine (they
are rounded) nor on a random generator (noise is an integer hash), so that the same sources give the
same bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Ordered (Bayer) 4x4 dithering thresholds, in (0, 1).
BAYER = (
    np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], dtype=float) + 0.5
) / 16

Point = tuple[float, float]


def blank(height: int, width: int, color: int = 0) -> np.ndarray:
    """A picture (height, width) filled with one colour index."""
    return np.full((height, width), color, dtype=np.uint8)


def cos(degrees: float) -> float:
    return round(math.cos(math.radians(degrees)), 6)


def sin(degrees: float) -> float:
    return round(math.sin(math.radians(degrees)), 6)


def wave(x: np.ndarray | float, period: float, phase: float = 0.0) -> np.ndarray:
    """sin(2 pi (x / period + phase)), rounded to 6 digits (see the module's docstring)."""
    values = np.atleast_1d(np.asarray(x, dtype=float))
    flat = [round(math.sin(2 * math.pi * (v / period + phase)), 6) for v in values.ravel()]
    return np.array(flat).reshape(values.shape)


def grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (x, y) as float arrays (H, W); a pixel's centre is its integer position."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    return x, y


# ---------------------------------------------------------------- masks


def ellipse(
    shape: tuple[int, int], cx: float, cy: float, rx: float, ry: float, angle: float = 0
) -> np.ndarray:
    """Inside of an ellipse turned clockwise by `angle` degrees."""
    x, y = grid(shape)
    dx, dy = x - cx, y - cy
    c, s = cos(angle), sin(angle)
    u, v = dx * c + dy * s, dy * c - dx * s
    return (u / rx) ** 2 + (v / ry) ** 2 <= 1.0


def capsule(shape: tuple[int, int], a: Point, b: Point, ra: float, rb: float) -> np.ndarray:
    """A thick line from `a` to `b` whose radius goes from `ra` to `rb`."""
    x, y = grid(shape)
    dx, dy = b[0] - a[0], b[1] - a[1]
    length2 = max(dx * dx + dy * dy, 1e-9)
    t = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / length2, 0, 1)
    distance2 = (x - a[0] - t * dx) ** 2 + (y - a[1] - t * dy) ** 2
    return distance2 <= (ra + (rb - ra) * t) ** 2


def tube(
    shape: tuple[int, int], points: Sequence[Point], radii: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A chain of capsules. Returns (mask, along, across).

    `along` is the position on the chain in pixels (from the first point), `across` the signed
    distance from its middle line divided by the local radius (-1..1, negative on the left).
    """
    x, y = grid(shape)
    mask = np.zeros(shape, bool)
    along, across = np.zeros(shape), np.zeros(shape)
    best = np.full(shape, np.inf)
    start = 0.0
    for (ax, ay), (bx, by), ra, rb in zip(points, points[1:], radii, radii[1:], strict=False):
        dx, dy = bx - ax, by - ay
        length = math.sqrt(max(dx * dx + dy * dy, 1e-9))
        t = np.clip(((x - ax) * dx + (y - ay) * dy) / length**2, 0, 1)
        ox, oy = x - ax - t * dx, y - ay - t * dy
        relative = np.sqrt(ox**2 + oy**2) / (ra + (rb - ra) * t)
        nearer = relative < best - 1e-9
        best = np.where(nearer, relative, best)
        along = np.where(nearer, start + t * length, along)
        side = np.where(dx * oy - dy * ox >= 0, 1.0, -1.0)
        across = np.where(nearer, relative * side, across)
        mask |= relative <= 1.0
        start += length
    return mask, along, across


def polygon(shape: tuple[int, int], points: Sequence[Point]) -> np.ndarray:
    """Inside of a polygon (even-odd rule, at pixel centres)."""
    x, y = grid(shape)
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 == y1:
            continue
        crosses = (y0 <= y) != (y1 <= y)
        inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def grow(mask: np.ndarray, diagonal: bool = False) -> np.ndarray:
    """The mask and its neighbours (4, or 8 with `diagonal`)."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    result = mask.copy()
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if diagonal or dy == 1 or dx == 1:
                result |= padded[dy : dy + height, dx : dx + width]
    return result


def edge(mask: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Pixels of the mask whose neighbour at (dx, dy) is outside it."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return mask & ~padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


# ---------------------------------------------------------------- painting


def paint(picture: np.ndarray, mask: np.ndarray, color: int | np.ndarray) -> None:
    """Set the mask's pixels, in place, to one colour or to those of another picture."""
    picture[mask] = color if np.isscalar(color) else np.asarray(color)[mask]


def over(below: np.ndarray, above: np.ndarray, x: int = 0, y: int = 0) -> None:
    """Put `above` on `below`, in place, its top left corner at (x, y); what sticks out is cut."""
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + above.shape[1], below.shape[1]), min(y + above.shape[0], below.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = above[y0 - y : y1 - y, x0 - x : x1 - x]
    target = below[y0:y1, x0:x1]
    target[part != 0] = part[part != 0]


def ramp(level: np.ndarray, colors: Sequence[int], dither: float = 0.0) -> np.ndarray:
    """Colours for a level 0..1 (dark to light); `dither` 0..1 mixes neighbouring steps."""
    height, width = level.shape
    threshold = np.tile(BAYER, (height // 4 + 1, width // 4 + 1))[:height, :width]
    step = level * len(colors) + (threshold - 0.5) * dither
    return np.asarray(colors, np.uint8)[np.clip(np.floor(step), 0, len(colors) - 1).astype(int)]


def ball(
    picture: np.ndarray,
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    colors: Sequence[int],
    dither: float = 0.3,
) -> np.ndarray:
    """Paint an ellipse lit from the top left; returns its mask."""
    x, y = grid(picture.shape)
    u, v = (x - cx) / rx, (y - cy) / ry
    mask = u * u + v * v <= 1.0
    height = np.sqrt(np.clip(1.0 - u * u - v * v, 0, 1))
    level = np.clip(0.25 + 0.6 * height - 0.3 * u - 0.45 * v, 0, 0.999)
    paint(picture, mask, ramp(level, colors, dither))
    return mask


def outline(picture: np.ndarray, color: int, diagonal: bool = False) -> np.ndarray:
    """The picture with its transparent neighbours painted in `color`."""
    solid = picture != 0
    result = picture.copy()
    result[grow(solid, diagonal) & ~solid] = color
    return result


def part(below: np.ndarray, above: np.ndarray, line: int) -> None:
    """Put a body part on a figure, in place, with a line of colour `line` around the part."""
    over(below, outline(above, line))


def parse(text: str, key: dict[str, int] | None = None) -> np.ndarray:
    """A picture from lines of characters: '.' and ' ' = 0, hexadecimal digits, or `key`."""
    lines = [line.strip() for line in text.strip().splitlines()]
    width = max(len(line) for line in lines)
    table = {".": 0, **{f"{i:x}": i for i in range(16)}, **(key or {})}
    rows = [[table[c] for c in line.ljust(width, ".")] for line in lines]
    return np.array(rows, np.uint8)


def flip(picture: np.ndarray) -> np.ndarray:
    """Mirror left and right."""
    return np.ascontiguousarray(picture[:, ::-1])


def recolor(picture: np.ndarray, table: dict[int, int]) -> np.ndarray:
    """Exchange colour indices."""
    lookup = np.arange(16, dtype=np.uint8)
    for old, new in table.items():
        lookup[old] = new
    return lookup[picture]


# ---------------------------------------------------------------- noise and textures


def hashed(x: int, y: int, seed: int = 0) -> float:
    """A number in 0..1 from integers (a small integer hash, the same on every machine)."""
    n = (x * 374761393 + y * 668265263 + seed * 2147483647 + 974711) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    n = ((n ^ (n >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((n ^ (n >> 15)) & 0xFFFF) / 65536


def speckle(shape: tuple[int, int], seed: int) -> np.ndarray:
    """White noise 0..1, (H, W)."""
    height, width = shape
    return np.array([[hashed(x, y, seed) for x in range(width)] for y in range(height)])


def smooth(shape: tuple[int, int], cell: int, seed: int) -> np.ndarray:
    """Value noise 0..1 (H, W) that wraps both ways; `cell` must divide both sizes."""
    height, width = shape
    rows, columns = height // cell, width // cell
    knots = np.array([[hashed(c, r, seed) for c in range(columns)] for r in range(rows)])
    x, y = grid(shape)
    cx, cy = (x // cell).astype(int), (y // cell).astype(int)
    fx, fy = x / cell - cx, y / cell - cy
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    right, below = (cx + 1) % columns, (cy + 1) % rows
    top = knots[cy, cx] * (1 - fx) + knots[cy, right] * fx
    bottom = knots[below, cx] * (1 - fx) + knots[below, right] * fx
    return top * (1 - fy) + bottom * fy


def cells(
    shape: tuple[int, int], seeds: Sequence[Point], stretch: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Voronoi cells that wrap both ways. Returns (border, dx, dy, which), each (H, W).

    `border` is the distance gap to the second-nearest seed (0 on a cell's edge), (dx, dy) the
    vector from the cell's seed, `which` the seed's number. `stretch` makes cells wider than high.
    """
    height, width = shape
    x, y = grid(shape)
    first, second = np.full(shape, np.inf), np.full(shape, np.inf)
    dx0, dy0 = np.zeros(shape), np.zeros(shape)
    which = np.zeros(shape, int)
    for number, (sx, sy) in enumerate(seeds):
        for ox in (-width, 0, width):
            for oy in (-height, 0, height):
                dx, dy = (x - sx - ox) / stretch, y - sy - oy
                distance = np.sqrt(dx * dx + dy * dy)
                closer = distance < first - 1e-9
                second = np.where(closer, first, np.minimum(second, distance))
                dx0, dy0 = np.where(closer, dx, dx0), np.where(closer, dy, dy0)
                which = np.where(closer, number, which)
                first = np.where(closer, distance, first)
    return second - first, dx0, dy0, which


# ---------------------------------------------------------------- tiles


def tiles(picture: np.ndarray) -> list[bytes]:
    """The 8x8 tiles of a picture whose sides are multiples of 8, row by row."""
    height, width = picture.shape
    cut = picture.reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    return [tile.tobytes() for tile in cut]


def distinct_tiles(pictures: Sequence[np.ndarray]) -> set[bytes]:
    """Distinct 8x8 tiles of all pictures; a tile and its three mirror images count as one."""
    found = set()
    for picture in pictures:
        for raw in set(tiles(np.ascontiguousarray(picture))):
            tile = np.frombuffer(raw, np.uint8).reshape(8, 8)
            mirrored = (tile, tile[:, ::-1], tile[::-1], tile[::-1, ::-1])
            found.add(min(m.tobytes() for m in mirrored))
    return found
