"""Colours: 4 lines of 16 per zone, channels R, G, B in 0..7 (the Mega Drive's 9-bit colour).

One rule holds the look together: the player sprite is warm (copper scales), every backdrop is
cool, rings are the only saturated yellow, and every figure has a near-black outline. So the figures
stay visible when an agent shrinks the screen to 64x64.

Each colour is written as three digits, RGB. The index of a colour within a line means the same in
every zone (see the comments), so that terrain and enemies can share drawing code.
"""

from __future__ import annotations

import numpy as np

ZONES: tuple[str, ...] = (
    "FernHollow",
    "AmberDunes",
    "CoralGrotto",
    "FrostPeak",
    "EmberWorks",
    "StarlitRuins",
)

# Line 0, common sprites. Colour 0 is the zone's backdrop.
INK, COPPER1, COPPER2, COPPER3, COPPER4 = 1, 2, 3, 4, 5  # outline, scales dark to light
SKIN, SKIN_SHADE, WHITE, SCARF, SCARF_SHADE = 6, 7, 8, 9, 10
GOLD, GOLD_SHADE, RED, STEEL, STEEL_SHADE = 11, 12, 13, 14, 15
COMMON = "101 310 520 731 763 765 643 777 065 034 770 640 711 556 223"

# Line 1, terrain: 1 line, 2-5 ground dark to light, 6-9 cap (grass, snow...) dark to light,
# 10-12 accent dark to light, 13-15 liquid dark to light.
LINE, GROUND, CAP, ACCENT, LIQUID = 1, (2, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12), (13, 14, 15)
DEEP, DEEPER = (1, 2, 3, 4), (1, 2, 2, 3)  # the ground farther from the light

# Line 3, objects: 1 line, 2-4 walker dark to light, 5-7 flyer dark to light, 8 white, 9 eye,
# 10-12 platforms dark to light, 13-15 hazard dark to light.
WALKER, FLYER, EYE, WOOD, HAZARD = (2, 3, 4), (5, 6, 7), 9, (10, 11, 12), (13, 14, 15)

# zone: backdrop, terrain (15), background (15, meaning given in the zone's module), objects (15)
_COLORS: dict[str, tuple[str, str, str, str]] = {
    "FernHollow": (
        "356",
        "010 210 321 431 642 030 150 370 572 513 635 757 112 223 344",
        "467 577 677 777 567 456 465 354 244 253 143 132 022 122 776",
        "101 203 415 637 400 711 754 777 700 310 531 753 031 163 475",
    ),
    "AmberDunes": (
        "256",
        "200 410 531 653 764 530 641 752 774 032 053 275 420 531 642",
        "366 467 567 677 777 556 445 334 445 556 656 545 434 323 776",
        "101 302 504 726 012 134 256 777 770 321 542 763 531 752 775",
    ),
    "CoralGrotto": (
        "035",
        "102 202 413 534 656 033 055 276 577 342 563 775 025 147 377",
        "024 214 014 013 136 247 325 023 035 113 224 112 146 002 577",
        "101 402 713 755 305 507 737 777 110 123 345 567 146 367 677",
    ),
    "FrostPeak": (
        "124",
        "012 023 134 256 467 356 567 677 777 303 516 737 024 146 367",
        "135 235 346 446 556 667 777 456 345 234 123 134 254 112 376",
        "101 112 334 667 402 615 737 777 710 124 346 667 256 467 777",
    ),
    "EmberWorks": (
        "002",
        "000 111 223 445 556 222 444 555 777 610 730 750 500 720 760",
        "102 103 203 303 403 512 112 012 001 224 520 640 012 112 213",
        "101 030 150 473 035 157 477 777 700 222 445 667 600 730 775",
    ),
    "StarlitRuins": (
        "001",
        "011 113 234 355 576 420 640 751 775 204 416 737 205 427 757",
        "002 003 103 104 204 777 467 346 235 124 113 012 215 640 101",
        "101 050 270 573 504 717 747 777 710 123 346 577 305 537 777",
    ),
}


def _line(text: str) -> list[list[int]]:
    colors = [[int(channel) for channel in color] for color in text.split()]
    if len(colors) != 15:
        raise ValueError(f"a palette line has 15 colours, not {len(colors)}: {text}")
    return colors


def palettes(zone: str) -> np.ndarray:
    """The zone's four palette lines, uint8 (4, 16, 3), channels R, G, B in 0..7.

    Raises:
        KeyError: unknown zone.
    """
    backdrop, *lines = _COLORS[zone]
    first = [int(channel) for channel in backdrop]
    return np.array([[first, *_line(text)] for text in (COMMON, *lines)], np.uint8)


def to_rgb(colors: np.ndarray) -> np.ndarray:
    """Channels 0..7 as 0..255, for previews."""
    return (np.asarray(colors, int) * 255 // 7).astype(np.uint8)
