"""The zones: their mechanics and their mix of sections."""

from __future__ import annotations

from dataclasses import dataclass

# Codes, as in pangolin_dash/src/world.h.
SPECIAL = {"bounce": 0, "conveyor": 1, "ice": 2, "low_gravity": 3}
LIQUID = {"deadly": 0, "water": 1, "quicksand": 2}
HAZARD = {"bite": 0, "spout": 1, "icicle": 2, "teleport": 3}

COMMON: dict[str, float] = {
    "meadow": 1.5,
    "hills": 2,
    "steep_hill": 1.5,
    "rolling_valley": 1.2,
    "patrol": 1.5,
    "pit": 2,
    "two_pits": 1,
    "stepping_stones": 1.2,
    "crumbling_bridge": 1,
    "moving_platform": 1,
    "two_moving_platforms": 0.5,
    "lift": 1,
    "wall": 1.5,
    "stairs": 1.2,
    "spring_cliff": 1.5,
    "hidden_spring": 1,
    "lever_door": 1,
    "breakable_wall": 1,
    "dead_end": 1,
    "spike_row": 1.2,
    "spike_pit": 0.8,
    "side_spring_ramp": 1,
    "run_up": 0.8,
    "ski_jump": 1,
    "high_road": 1.5,
    "fork": 1,
    "tower": 1,
    "drop": 1.5,
    "cavern": 1.5,
    "sky_islands": 1.2,
    "mine": 1,
}


@dataclass(frozen=True)
class Theme:
    """A zone: the effects of its special blocks, liquid and hazards, and its sections' weights."""

    name: str
    special: str
    liquid: str
    hazard: str
    own: dict[str, float]


THEMES: dict[str, Theme] = {
    theme.name: theme
    for theme in (
        Theme("FernHollow", "bounce", "deadly", "bite", {"moss_cliff": 4, "snapping_plants": 4}),
        Theme(
            "AmberDunes",
            "conveyor",
            "quicksand",
            "spout",
            {"quicksand": 4, "sand_flow": 4, "spout_cliff": 4},
        ),
        Theme(
            "CoralGrotto",
            "bounce",
            "water",
            "spout",
            {"flooded_basin": 5, "sunken_wall": 4, "sponge_cliff": 2, "water_stones": 5},
        ),
        Theme(
            "FrostPeak",
            "ice",
            "deadly",
            "icicle",
            {"ice_pit": 5, "icicles": 4, "ice_slope": 4},
        ),
        Theme(
            "EmberWorks",
            "conveyor",
            "deadly",
            "bite",
            {"flame_walk": 5, "conveyor_lava": 5, "lava_platforms": 4},
        ),
        Theme(
            "StarlitRuins",
            "low_gravity",
            "deadly",
            "teleport",
            {"moon_jump": 4, "moon_gap": 4, "beam": 4, "star_patrol": 3},
        ),
    )
}
