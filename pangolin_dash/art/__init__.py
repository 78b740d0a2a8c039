"""Every picture of Pangolin Dash, drawn by code: palettes, terrain, backgrounds, sprites.

All pictures are indexed: numpy uint8 arrays (H, W) with colours 0..15 of one palette line; 0 is
transparent. The same sources give the same bytes. `python -m pangolin_dash.art.preview OUT.png`
shows them.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from pangolin_dash.art.landscape import terrain as _terrain
from pangolin_dash.art.palettes import ZONES, palettes
from pangolin_dash.art.sprites import common, creatures
from pangolin_dash.art.zones import (
    amber_dunes,
    coral_grotto,
    ember_works,
    fern_hollow,
    frost_peak,
    starlit_ruins,
)

__all__ = [
    "ZONES",
    "background",
    "background_strips",
    "palettes",
    "sprites",
    "terrain",
    "zone_sprites",
]

_MODULES: dict[str, ModuleType] = {
    "FernHollow": fern_hollow,
    "AmberDunes": amber_dunes,
    "CoralGrotto": coral_grotto,
    "FrostPeak": frost_peak,
    "EmberWorks": ember_works,
    "StarlitRuins": starlit_ruins,
}


def terrain(zone: str) -> dict[str, np.ndarray]:
    """The zone's 16x16 blocks by name, palette line 1."""
    return _terrain.build(_MODULES[zone].style())


def background(zone: str) -> np.ndarray:
    """The zone's plane B, (256, 512), palette line 2; wraps sideways."""
    return _MODULES[zone].background()


def background_strips(zone: str) -> list[tuple[int, int, int]]:
    """Parallax strips (first row, last row, shift): they scroll at camera_x >> shift."""
    return list(_MODULES[zone].STRIPS)


def sprites() -> dict[str, list[np.ndarray]]:
    """Common sprites' frames by name, palette line 0, the same in every zone."""
    return common.sprites()


def zone_sprites(zone: str) -> dict[str, list[np.ndarray]]:
    """The zone's enemies and moving things by name, palette line 3."""
    return creatures.objects(zone)
