"""Turn the art (`pangolin_dash.art`: arrays of colour indices) into C tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pangolin_dash import art
from pangolin_dash.compile.errors import BuildError
from pangolin_dash.levels.blocks import BLOCKS, SHAPES

PLAYER = ("stand", "walk", "run", "roll", "jump", "hurt", "skid", "win")
"""pictures of the player sprite, streamed to video memory one at a time"""
COMMON = (
    "ring", "sparkle", "spring_up", "spring_side", "spikes", "lever", "dust", "hud_ring",
    "digits", "letters",
)  # fmt: skip
"""common sprites, always in video memory; digits and letters must lie in one run"""
ZONE = ("walker", "flyer", "platform", "crumble", "hazard")

LAST_TILE = 0xC000 // 32  # plane A's name table begins here
ANIMATED = {"special": "special2"}
STILL_LIQUID = ("FernHollow",)  # brambles do not flow


class ArtError(BuildError):
    """The art breaks a limit of the machine; the message names it."""


def words_of_tile(tile: np.ndarray) -> tuple[int, ...]:
    """The 8 longs of one tile (8, 8), 4 bits a pixel, leftmost pixel highest."""
    return tuple(int("".join(f"{p:x}" for p in row), 16) for row in tile)


def sprite_tiles(frame: np.ndarray) -> list[tuple[int, ...]]:
    """Tiles of a sprite in the machine's order: column after column."""
    height, width = frame.shape
    if height % 8 or width % 8 or height > 32 or width > 32:
        raise ArtError(f"a sprite frame is {width} x {height}: sides must be 8, 16, 24 or 32")
    return [
        words_of_tile(frame[y : y + 8, x : x + 8])
        for x in range(0, width, 8)
        for y in range(0, height, 8)
    ]


def padded(frame: np.ndarray) -> np.ndarray:
    """The frame in a 32 x 32 square, feet at the bottom, centred."""
    height, width = frame.shape
    square = np.zeros((32, 32), np.uint8)
    left = (32 - width) // 2
    square[32 - height :, left : left + width] = frame
    return square


@dataclass
class TileSet:
    """A run of tiles from `base`; equal tiles (flips included) are stored once."""

    base: int
    tiles: list[tuple[int, ...]] = field(default_factory=list)
    _known: dict[tuple[int, ...], int] = field(default_factory=dict)

    def append(self, tiles: list[tuple[int, ...]]) -> int:
        """Add tiles as they are, in one run; returns the first one's number."""
        first = self.base + len(self.tiles)
        self.tiles.extend(tiles)
        return first

    def cell(self, tile: np.ndarray) -> int:
        """Name-table bits (tile number and flips) that show this (8, 8) tile."""
        if not tile.any():
            return 0
        for flip, view in (
            (0x0000, tile),
            (0x0800, tile[:, ::-1]),
            (0x1000, tile[::-1]),
            (0x1800, tile[::-1, ::-1]),
        ):
            known = self._known.get(words_of_tile(view))
            if known is not None:
                return known | flip
        number = self.append([words_of_tile(tile)])
        self._known[words_of_tile(tile)] = number
        return number

    def cells(self, picture: np.ndarray) -> np.ndarray:
        """Name-table bits of a whole picture, (rows, columns)."""
        height, width = picture.shape
        return np.array(
            [
                [self.cell(picture[y : y + 8, x : x + 8]) for x in range(0, width, 8)]
                for y in range(0, height, 8)
            ]
        )


def _c_longs(name: str, tiles: list[tuple[int, ...]], align: int = 2) -> str:
    body = ",\n".join(",".join(f"0x{w:08x}" for w in tile) for tile in tiles)
    return f"const u32 {name}[] __attribute__((aligned({align}))) = {{\n{body}\n}};\n"


def _c_words(name: str, values: list[int], dims: str = "[]") -> str:
    return f"static const u16 {name}{dims} = {{{','.join(f'0x{v:04x}' for v in values)}}};\n"


def color_word(rgb: np.ndarray) -> int:
    """A colour (channels 0..7) as the machine's 0000BBB0GGG0RRR0."""
    red, green, blue = (int(c) for c in rgb)
    return blue << 9 | green << 5 | red << 1


def _picture(tile: int, frame: np.ndarray) -> str:
    height, width = frame.shape
    size = (width // 8 - 1) << 2 | (height // 8 - 1)
    return f"{{{tile},{size},{width},{height}}}"


def compile_art() -> tuple[str, str]:
    """The C sources `pictures.h` and `art_data.c`.

    Raises:
        ArtError: a sprite's size or a zone's number of tiles is beyond the machine.
    """
    common = art.sprites()
    source = ['#include "video.h"\n']
    defines: list[str] = []
    pictures: list[str] = []

    # The player's frames, 16 tiles each.
    frames: list[tuple[int, ...]] = []
    for name in PLAYER:
        shown = common[f"pangolin_{name}"]
        defines += [
            f"#define PLAYER_{name.upper()} {len(frames) // 16}",
            f"#define PLAYER_{name.upper()}_COUNT {len(shown)}",
        ]
        for frame in shown:
            frames += sprite_tiles(padded(frame))
    source.append(_c_longs("player_tiles", frames, align=512))

    # Common sprites from tile 1 on, then the player's 16 tiles.
    run = TileSet(base=1)
    for name in COMMON:
        defines.append(f"#define PIC_{name.upper()} {len(pictures)}")
        for frame in common[name]:
            pictures.append(_picture(run.append(sprite_tiles(frame)), frame))
    source.append(_c_longs("common_tiles", run.tiles))
    source.append(f"const u16 common_tile_count = {len(run.tiles)};\n")
    player_tile = 1 + len(run.tiles)
    defines += [f"#define PIC_PLAYER {len(pictures)}", f"#define PLAYER_TILE {player_tile}"]
    pictures.append(_picture(player_tile, np.zeros((32, 32), np.uint8)))

    for kind, name in enumerate(ZONE):
        defines.append(f"#define ZONE_{name.upper()} {kind}")
    zones = []
    for zone in art.ZONES:
        zones.append(_compile_zone(zone, player_tile + 16, pictures, source))
    source.append("const struct ZoneArt zone_art[] = {\n" + ",\n".join(zones) + "\n};\n")
    source.append("const struct Picture pictures[] = {\n" + ",\n".join(pictures) + "\n};\n")
    names = ",".join(f'"{_spaced(zone)}"' for zone in art.ZONES)
    source.append(f"const char *const zone_names[] = {{{names}}};\n")
    header = "/* Made by pangolin_dash/compile/assets.py. */\n" + "\n".join(defines) + "\n"
    return header, "".join(source)


def _spaced(zone: str) -> str:
    """`FernHollow` -> `FERN HOLLOW`."""
    return "".join(f" {c}" if c.isupper() else c for c in zone).strip().upper()


def _compile_zone(
    zone: str,
    first_tile: int,
    pictures: list[str],
    source: list[str],
) -> str:
    """Append one zone's tables to `source` and `pictures`; returns its ZoneArt initialiser."""
    run = TileSet(base=first_tile)
    sprites = art.zone_sprites(zone)
    groups = []
    for name in ZONE:
        frames = sprites[name]
        if len(frames) not in (1, 2, 4):
            raise ArtError(f"{zone}: {name} has {len(frames)} frames, not 1, 2 or 4")
        groups.append(f"{{{len(pictures)},{len(frames) - 1}}}")
        for frame in frames:
            pictures.append(_picture(run.append(sprite_tiles(frame)), frame))

    terrain = art.terrain(zone)
    animations = []
    animated_cells: dict[str, list[int]] = {}
    for name, second in ANIMATED.items():
        both = [_quarters(terrain[name]), _quarters(terrain[second])]
        tile = run.append(both[0])
        animated_cells[name] = [tile + i for i in range(4)]
        source.append("static " + _c_longs(f"{zone}_{name}", both[0] + both[1], align=256))
        animations.append(f"{{{tile},4,2,3,{zone}_{name}}}")
    # The liquid's surface flows: the same picture shifted by 4 pixels, four times.
    flow = 0 if zone in STILL_LIQUID else 4
    shifted = [_quarters(np.roll(terrain["liquid_top"], flow * i, axis=1)) for i in range(4)]
    tile = run.append(shifted[0])
    animated_cells["liquid_top"] = [tile + i for i in range(4)]
    source.append(
        "static "
        + _c_longs(f"{zone}_liquid", [tile for tiles in shifted for tile in tiles], align=512)
    )
    animations.append(f"{{{tile},4,4,3,{zone}_liquid}}")

    blocks = []
    for block in BLOCKS.values():
        if block.picture is None:
            cells = [0] * 4
        elif block.picture in animated_cells:
            cells = list(animated_cells[block.picture])
        else:
            cells = [int(c) for c in run.cells(terrain[block.picture]).ravel()]
        if block.flip:
            cells = [cells[i] ^ 0x0800 for i in (1, 0, 3, 2)]
        front = 0x8000 if block.front else 0
        blocks.append("{" + ",".join(f"0x{c | 0x2000 | front:04x}" for c in cells) + "}")
    source.append(f"static const u16 {zone}_blocks[][4] = {{{','.join(blocks)}}};\n")

    background = run.cells(art.background(zone)).ravel()
    source.append(_c_words(f"{zone}_background", [int(c) | 0x4000 for c in background]))
    if first_tile + len(run.tiles) > LAST_TILE:
        raise ArtError(f"{zone}: {first_tile + len(run.tiles)} tiles, {LAST_TILE} fit")

    colors = [color_word(c) for c in art.palettes(zone).reshape(64, 3)]
    source.append(_c_words(f"{zone}_palette", colors))
    strips = art.background_strips(zone)
    body = ",".join(f"{{{first},{last},{shift}}}" for first, last, shift in strips)
    source.append(f"static const struct Strip {zone}_strips[] = {{{body}}};\n")
    source.append(
        f"static const struct Animation {zone}_animations[] = {{{','.join(animations)}}};\n"
    )
    source.append("static " + _c_longs(f"{zone}_tiles", run.tiles))
    return (
        f"{{{zone}_tiles,{first_tile},{len(run.tiles)},{zone}_palette,{zone}_blocks,"
        f"{zone}_background,{zone}_strips,{len(strips)},{zone}_animations,{len(animations)},"
        f"{{{','.join(groups)}}}}}"
    )


def _quarters(block: np.ndarray) -> list[tuple[int, ...]]:
    """The four tiles of a block: top left, top right, bottom left, bottom right."""
    return [words_of_tile(block[y : y + 8, x : x + 8]) for y in (0, 8) for x in (0, 8)]


def compile_blocks() -> str:
    """The C tables about blocks: flags, shapes, angles."""
    shapes = list(SHAPES)
    flags = ",".join(str(b.flags) for b in BLOCKS.values())
    shape = ",".join(str(shapes.index(b.shape)) for b in BLOCKS.values())
    angle = ",".join(str(b.angle) for b in BLOCKS.values())
    heights = ",".join("{" + ",".join(map(str, row)) + "}" for row in SHAPES.values())
    sine = ",".join(str(round(127 * np.sin(2 * np.pi * i / 256))) for i in range(256))
    return (
        f"const u8 block_flags[256] = {{{flags}}};\nconst u8 block_shape[256] = {{{shape}}};\n"
        f"const s8 block_angle[256] = {{{angle}}};\n"
        f"const u8 shape_height[16][16] = {{{heights}}};\nconst s8 sine[256] = {{{sine}}};\n"
    )
