"""Mock screens of every zone, as the Mega Drive would show them.

`python -m pangolin_dash.art.preview OUT.png` draws six 320x224 screens (planes B and A, sprites,
HUD) with the hardware's limits: 4 palette lines of 16 9-bit colours, every 8x8 tile in one line.
`--sheet` draws the sprites four times enlarged instead; `--small` adds the 64x64 picture that an
agent sees; `--zone` draws one zone only; `--scale` enlarges.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from pangolin_dash.art import (
    ZONES,
    background,
    background_strips,
    palettes,
    sprites,
    terrain,
    zone_sprites,
)
from pangolin_dash.art.canvas import blank, distinct_tiles, over
from pangolin_dash.art.palettes import to_rgb

SCREEN = (224, 320)


@dataclass
class Args:
    """Draw previews of the art."""

    out: tyro.conf.Positional[Path]
    """the PNG to write"""
    zone: str = ""
    """draw only this zone"""
    sheet: bool = False
    """sprite sheets instead of screens"""
    small: bool = False
    """beside each screen, its 64x64 picture enlarged"""
    scale: int = 1
    """enlarge by this factor"""
    camera: int = 0
    """camera position in pixels, for the parallax"""


def plane_b(zone: str, camera_x: int, camera_y: int = 0) -> np.ndarray:
    """The background as seen on the screen (224, 320), colours 32..47 (line 2) or 0."""
    full = background(zone)
    rows = np.zeros((256, SCREEN[1]), np.uint8)
    for first, last, shift in background_strips(zone):
        columns = (np.arange(SCREEN[1]) + (camera_x >> shift)) % 512
        rows[first : last + 1] = full[first : last + 1][:, columns]
    seen = rows[camera_y : camera_y + SCREEN[0]]
    return np.where(seen != 0, seen + 32, 0).astype(np.uint8)


def layout() -> list[list[str]]:
    """Block names of the mock level, 14 rows of 20 ('' = air)."""
    names = [["" for _ in range(20)] for _ in range(14)]
    heights = [9, 9, 9, 11, 11, 11, 11, 11, 10, 9, 9, 11, 11, 12, 12, 12, 11, 10, 10, 10]
    for x, top in enumerate(heights):
        for y in range(top, 14):
            depth = y - top
            names[y][x] = ("ground", "ground", "ground_mid", "ground_deep")[min(depth, 3)]
            if depth == 1 and x % 5 == 2:
                names[y][x] = "ground2"
        names[top][x] = "ground_top2" if x % 7 == 5 else "ground_top"
    names[9][2], names[10][2] = "ground_top_right", "ground_right"
    names[9][0] = "ground_top"
    for x, y, name in (
        (7, 10, "slope22_up_a"),
        (8, 10, "slope22_up_b"),
        (8, 11, "ground"),
        (7, 11, "under_slope22_up_a"),
        (8, 9, ""),
        (9, 9, "slope45_up"),
        (9, 10, "under_slope45_up"),
        (10, 9, "slope45_down"),
        (10, 10, "under_slope45_down"),
        (11, 10, "slope45_down"),
        (11, 11, "under_slope45_down"),
        (13, 12, "liquid"),
        (14, 12, "liquid"),
        (15, 12, "liquid"),
        (13, 11, "liquid_top"),
        (14, 11, "liquid_top"),
        (15, 11, "liquid_top"),
        (13, 13, "ground_deep"),
        (16, 11, "ground_top_left"),
        (16, 12, "ground_left"),
        (17, 10, "ground_top_left"),
        (3, 11, "special"),
        (4, 11, "special2"),
        (4, 6, "platform_l"),
        (5, 6, "platform_m"),
        (6, 6, "platform_r"),
        (13, 7, "platform_l"),
        (14, 7, "platform_r"),
        (19, 8, "breakable"),
        (19, 9, "breakable"),
        (19, 5, "door"),
        (19, 6, "door"),
        (19, 7, "door"),
        (19, 3, "wall"),
        (19, 4, "wall"),
        (18, 3, "ceiling"),
        (17, 3, "ceiling"),
        (18, 2, "ground"),
        (17, 2, "ground_left"),
        (19, 2, "ground2"),
        (0, 8, "deco1"),
        (1, 8, "deco2"),
        (5, 10, "deco3"),
        (6, 10, "deco4"),
        (4, 5, "deco5"),
        (18, 4, "deco6"),
        (17, 7, "deco_tall_top"),
        (17, 8, "deco_tall_mid"),
        (17, 9, "deco_tall_base"),
        (0, 2, "goal_tl"),
        (1, 2, "goal_tr"),
        (0, 3, "goal_bl"),
        (1, 3, "goal_br"),
        (0, 4, "platform_l"),
        (1, 4, "platform_r"),
    ):
        names[y][x] = name
    return names


def plane_a(zone: str) -> np.ndarray:
    """The mock level on the screen (224, 320), colours 16..31 (line 1) or 0."""
    blocks = terrain(zone)
    picture = blank(*SCREEN)
    for y, row in enumerate(layout()):
        for x, name in enumerate(row):
            if name:
                over(picture, blocks[name], x * 16, y * 16)
    return np.where(picture != 0, picture + 16, 0).astype(np.uint8)


def sprite_layer(zone: str) -> np.ndarray:
    """Sprites on the screen (224, 320): colours 0..15 (line 0) and 48..63 (line 3)."""
    common, own = sprites(), zone_sprites(zone)
    picture = blank(*SCREEN)

    def put(frame: np.ndarray, x: int, y: int, line: int = 0) -> None:
        over(picture, np.where(frame != 0, frame + 16 * line, 0).astype(np.uint8), x, y)

    put(common["spring_up"][0], 72, 160)
    put(common["spikes"][0], 176, 176 - 32)
    put(common["lever"][0], 36, 128)
    for number, x in enumerate((72, 90, 108, 126)):
        put(common["ring"][number], x, 70 - 6 * (number in (1, 2)))
    put(common["pangolin_run"][0], 96, 136 + 8)
    put(common["pangolin_roll"][1], 206, 80)
    put(common["pangolin_stand"][0], 258, 176 - 32 - 16)
    put(common["pangolin_walk"][1], 40, 144)
    put(own["walker"][0], 8, 168 - 24 - 24 + 24, 3)
    put(own["walker"][0], 290 - 64, 112 - own["walker"][0].shape[0], 3)
    put(own["flyer"][0], 150, 40, 3)
    put(own["flyer"][2], 250, 84, 3)
    put(own["platform"][0], 160, 112, 3)
    put(own["crumble"][0], 120, 112, 3)
    put(own["hazard"][0], 232, 144, 3)
    put(own["bubble"][0], 236, 130, 3)
    put(common["dust"][0], 84, 160)
    put(common["sparkle"][1], 144, 66)
    put(common["hud_ring"][0], 16, 16)
    for number, digit in enumerate((0, 4, 2)):
        put(common["digits"][digit], 26 + 8 * number, 16)
    for number, letter in enumerate("SCORE"):
        put(common["letters"][ord(letter) - 65], 16 + 8 * number, 6)
    return picture


def screen_background(zone: str, camera: int = 0) -> np.ndarray:
    """The background alone, RGB (224, 320, 3)."""
    return to_rgb(palettes(zone)).reshape(64, 3)[plane_b(zone, camera, 16)]


def screen(zone: str, camera: int = 0) -> np.ndarray:
    """One mock screen, RGB (224, 320, 3)."""
    colors = to_rgb(palettes(zone)).reshape(64, 3)
    picture = np.zeros(SCREEN, np.uint8)
    for layer in (plane_b(zone, camera, 16), plane_a(zone), sprite_layer(zone)):
        picture[layer != 0] = layer[layer != 0]
    return colors[picture]


def small(picture: np.ndarray) -> np.ndarray:
    """The 64x64 picture of an agent (area average), enlarged to the screen's height."""
    image = Image.fromarray(picture).resize((64, 64), Image.Resampling.BOX)
    return np.asarray(image.resize((224, 224), Image.Resampling.NEAREST))


def sheet(zone: str) -> np.ndarray:
    """All sprites of the game and of a zone in rows, RGB."""
    colors = to_rgb(palettes(zone)).reshape(64, 3)
    rows = []
    for line, group in ((0, sprites()), (3, zone_sprites(zone))):
        for frames in group.values():
            height = max(f.shape[0] for f in frames)
            row, x = blank(height + 2, 320), 0
            for frame in frames:
                over(row, np.where(frame != 0, frame + 16 * line, 0).astype(np.uint8), x, 0)
                x += frame.shape[1] + 2
            rows.append(row)
    return colors[np.concatenate(rows)]


def budget(zone: str) -> str:
    """One line: distinct tiles against the budget."""
    own = [frame for frames in zone_sprites(zone).values() for frame in frames]
    return (
        f"{zone}: terrain {len(distinct_tiles(list(terrain(zone).values())))}/420, "
        f"background {len(distinct_tiles([background(zone)]))}/320, "
        f"zone sprites {sum(f.size // 64 for f in own)}/120"
    )


def main() -> None:
    args = tyro.cli(Args, prog="python -m pangolin_dash.art.preview")
    zones = [args.zone] if args.zone else list(ZONES)
    pictures = []
    for zone in zones:
        print(budget(zone))
        picture = sheet(zone) if args.sheet else screen(zone, args.camera)
        if args.small:
            picture = np.concatenate([picture, small(picture)], axis=1)
        pictures.append(picture)
    if len(pictures) > 1 and not args.sheet:
        rows = [np.concatenate(pictures[i : i + 2], axis=1) for i in range(0, len(pictures), 2)]
        result = np.concatenate(rows, axis=0)
    else:
        result = np.concatenate(pictures, axis=0)
    scale = args.scale
    result = np.repeat(np.repeat(result, scale, axis=0), scale, axis=1)
    Image.fromarray(result).save(args.out)


if __name__ == "__main__":
    main()
