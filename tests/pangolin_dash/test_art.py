"""The art keeps to the hardware's limits and to what the engine expects of it."""

from __future__ import annotations

import functools
import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pangolin_dash import art
from pangolin_dash.art import canvas, preview
from pangolin_dash.art.landscape.terrain import SLOPES

SOLID = [
    "ground_top",
    "ground_top2",
    "ground",
    "ground2",
    "ground_mid",
    "ground_deep",
    "ground_deep2",
    "ground_left",
    "ground_right",
    "ground_top_left",
    "ground_top_right",
    "ceiling",
    "slope_fill",
    "breakable",
    "wall",
    "door",
    "special",
    "special2",
]
OPEN = [
    "platform_l",
    "platform_m",
    "platform_r",
    "liquid",
    "liquid_top",
    "deco1",
    "deco2",
    "deco3",
    "deco4",
    "deco5",
    "deco6",
    "deco_tall_top",
    "deco_tall_mid",
    "deco_tall_base",
    "goal_tl",
    "goal_tr",
    "goal_bl",
    "goal_br",
]


def luminance(colors: np.ndarray) -> np.ndarray:
    """Perceived brightness 0..255 of RGB values (Rec. 601 weights)."""
    return colors.astype(float) @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("zone", art.ZONES)
class TestZone:
    def test_palettes_are_nine_bit_and_share_the_common_line(self, zone: str) -> None:
        colors = art.palettes(zone)
        assert colors.shape == (4, 16, 3) and colors.dtype == np.uint8
        assert colors.max() <= 7
        assert np.array_equal(colors[0, 1:], art.palettes("FernHollow")[0, 1:])

    def test_terrain_has_every_block(self, zone: str) -> None:
        blocks = art.terrain(zone)
        for name in (*SOLID, *OPEN, *SLOPES, *(f"under_{slope}" for slope in SLOPES)):
            block = blocks[name]
            assert block.shape == (16, 16) and block.dtype == np.uint8, name
            assert block.max() <= 15 and block.any(), name
        for name in SOLID:
            assert blocks[name].all(), f"{name} has holes"
        assert len(canvas.distinct_tiles(list(blocks.values()))) <= 420

    def test_slopes_are_drawn_where_they_are_solid(self, zone: str) -> None:
        """The collision heights of the contract are exactly the drawn pixels."""
        blocks = art.terrain(zone)
        heights = {
            "slope45_up": [c + 1 for c in range(16)],
            "slope22_up_a": [c // 2 + 1 for c in range(16)],
            "slope22_up_b": [8 + c // 2 + 1 for c in range(16)],
        }
        heights["slope45_down"] = heights["slope45_up"][::-1]
        heights["slope22_down_a"] = heights["slope22_up_b"][::-1]
        heights["slope22_down_b"] = heights["slope22_up_a"][::-1]
        for name, expected in heights.items():
            solid = blocks[name] != 0
            assert solid.sum(axis=0).tolist() == expected, name
            assert all(solid[16 - h :, c].all() for c, h in enumerate(expected)), name
            assert blocks[f"under_{name}"].all(), name

    def test_background_fits_and_its_strips_cover_it(self, zone: str) -> None:
        picture = art.background(zone)
        assert picture.shape == (256, 512) and picture.dtype == np.uint8
        assert picture.max() <= 15
        assert len(canvas.distinct_tiles([picture])) <= 320
        strips = art.background_strips(zone)
        assert strips[0][0] == 0 and strips[-1][1] == 255
        for (_, last, _), (first, _, _) in itertools.pairwise(strips):
            assert first == last + 1 and first % 8 == 0

    def test_strips_do_not_shear_anything(self, zone: str) -> None:
        """Where two strips meet, one of the two rows is plain (repeats every 8 pixels).

        So nothing that stands out is cut in two by different speeds.
        """
        picture = art.background(zone)

        def plain(row: int) -> bool:
            return bool((picture[row] == np.roll(picture[row], 8)).all())

        for _, last, _ in art.background_strips(zone)[:-1]:
            assert plain(last) or plain(last + 1), f"row {last}"

    def test_background_wraps(self, zone: str) -> None:
        """The seam is no rougher than the picture inside (mean change between columns)."""
        rgb = luminance(canvas_rgb(zone, art.background(zone), 2))
        inside = np.abs(np.diff(rgb, axis=1)).mean(axis=0)
        seam = np.abs(rgb[:, 0] - rgb[:, -1]).mean()
        assert seam <= inside.max()

    def test_zone_sprites_fit(self, zone: str) -> None:
        frames = art.zone_sprites(zone)
        assert set(frames) == {"walker", "flyer", "platform", "crumble", "hazard", "bubble"}
        for name, pictures in frames.items():
            assert_sprites(name, pictures)
        assert sum(f.size // 64 for group in frames.values() for f in group) <= 120
        assert len(frames["walker"]) >= 2 and len(frames["flyer"]) >= 2

    def test_walkers_stand_on_the_ground(self, zone: str) -> None:
        assert all(frame[-1].any() for frame in art.zone_sprites(zone)["walker"])

    @pytest.mark.parametrize(
        "name", ["pangolin_stand", "pangolin_roll", "ring", "spikes", "walker", "flyer"]
    )
    def test_what_matters_is_visible_at_64_pixels(self, zone: str, name: str) -> None:
        """On the 64x64 picture, a sprite put anywhere changes some pixel clearly."""
        back = empty_screen(zone)
        common, own = common_sprites(), art.zone_sprites(zone)
        colors = preview.to_rgb(art.palettes(zone))[0 if name in common else 3]
        frame = (common if name in common else own)[name][0]
        weakest = 255.0
        for y in (24, 72, 120, 152):
            for x in (40, 104, 168, 232, 272):
                with_it = back.copy()
                height, width = frame.shape
                window = with_it[y : y + height, x : x + width]
                window[frame != 0] = colors[frame[frame != 0]]
                change = np.abs(shrink(with_it) - shrink(back)).max()
                weakest = min(weakest, change)
        assert weakest >= 40  # of 255, in one colour channel


@functools.cache
def empty_screen(zone: str) -> np.ndarray:
    return preview.screen_background(zone)


@functools.cache
def common_sprites() -> dict[str, list[np.ndarray]]:
    return art.sprites()


def canvas_rgb(zone: str, picture: np.ndarray, line: int) -> np.ndarray:
    colors = preview.to_rgb(art.palettes(zone))
    rgb = colors[line][picture]
    rgb[picture == 0] = colors[0, 0]
    return rgb


def shrink(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BOX), float)


def assert_sprites(name: str, frames: list[np.ndarray]) -> None:
    assert frames, name
    for frame in frames:
        height, width = frame.shape
        assert frame.dtype == np.uint8 and frame.max() <= 15 and frame.any(), name
        assert height % 8 == 0 and width % 8 == 0 and max(height, width) <= 32, name
        assert frame.shape == frames[0].shape, name


def test_common_sprites() -> None:
    frames = art.sprites()
    counts = {
        "pangolin_stand": 1,
        "pangolin_walk": 4,
        "pangolin_run": 2,
        "pangolin_roll": 4,
        "pangolin_jump": 1,
        "pangolin_hurt": 1,
        "pangolin_skid": 1,
        "pangolin_win": 1,
        "ring": 4,
        "sparkle": 2,
        "spring_up": 2,
        "spring_side": 2,
        "spikes": 1,
        "lever": 2,
        "digits": 10,
        "hud_ring": 1,
        "letters": 26,
        "dust": 2,
    }
    for name, least in counts.items():
        assert len(frames[name]) >= least, name
        assert_sprites(name, frames[name])
    hero = [name for name in frames if name.startswith("pangolin")]
    for name in hero:
        for frame in frames[name]:
            assert frame.shape == (32, 32), name
    for name in ("pangolin_stand", "pangolin_walk", "pangolin_roll", "pangolin_skid"):
        assert all(frame[31].any() for frame in frames[name]), f"{name} does not touch the ground"
    resident = [f for name, group in frames.items() if name not in hero for f in group]
    assert sum(f.size // 64 for f in resident) + 16 <= 420


def test_frames_of_an_action_differ() -> None:
    for name, frames in art.sprites().items():
        if len(frames) > 1:
            distinct = {frame.tobytes() for frame in frames}
            assert len(distinct) >= len(frames) - (name == "ring"), name


def test_same_bytes_in_another_process() -> None:
    """No dependence on hash seeds, order or state: a fresh process draws the same bytes."""
    code = (
        "import hashlib\nfrom pangolin_dash import art\nh = hashlib.sha256()\n"
        "for z in art.ZONES:\n"
        "    h.update(art.palettes(z).tobytes() + art.background(z).tobytes())\n"
        "    h.update(b''.join(b.tobytes() for b in art.terrain(z).values()))\n"
        "    h.update(b''.join(f.tobytes() for g in art.zone_sprites(z).values() for f in g))\n"
        "h.update(b''.join(f.tobytes() for g in art.sprites().values() for f in g))\n"
        "print(h.hexdigest())"
    )
    one = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    digest = hashlib.sha256()
    for zone in art.ZONES:
        digest.update(art.palettes(zone).tobytes() + art.background(zone).tobytes())
        digest.update(b"".join(b.tobytes() for b in art.terrain(zone).values()))
        digest.update(b"".join(f.tobytes() for g in art.zone_sprites(zone).values() for f in g))
    digest.update(b"".join(f.tobytes() for g in art.sprites().values() for f in g))
    assert one.stdout.strip() == digest.hexdigest()


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(KeyError):
        art.palettes("Nowhere")


def test_distinct_tiles_counts_mirror_images_once() -> None:
    tile = np.arange(64, dtype=np.uint8).reshape(8, 8) % 16
    both = np.concatenate([tile, tile[:, ::-1]], axis=1)
    assert len(canvas.distinct_tiles([both])) == 1
    both[0, 0] ^= 1
    assert len(canvas.distinct_tiles([both])) == 2


def test_preview_draws_hardware_colours(tmp_path) -> None:
    out = tmp_path / "screens.png"
    command = [sys.executable, "-m", "pangolin_dash.art.preview", str(out), "--zone", "FernHollow"]
    subprocess.run(command, check=True, capture_output=True)
    picture = np.asarray(Image.open(out).convert("RGB"))
    assert picture.shape == (224, 320, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 61  # 64 less three transparent
