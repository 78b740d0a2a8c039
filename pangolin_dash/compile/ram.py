"""The RAM variables that stable-retro reads: one table for data.json and for the C structure."""

from __future__ import annotations

RAM_START = 0xFF0000

VARIABLES: dict[str, str] = {
    "progress": ">u4",  # 9000 * 4096 * (distance covered / length of the level), whole
    "score": ">u4",
    "x": ">i2",  # pixels, centre of the player
    "y": ">i2",  # pixels, surface under the feet
    "speed_x": ">i2",  # 1/256 pixel a frame
    "speed_y": ">i2",
    "screen_x": ">i2",  # pixels, left edge of the screen in the level
    "screen_y": ">i2",
    "end_x": ">i2",  # pixels, where the level ends
    "rings": ">u2",
    "frame": ">u2",  # frames since the act's start, as the contest counts them
    "time_left": ">u2",  # 18000 - frames when the level has ended, 0 before
    "cpu_lines": ">u2",  # scanlines (of 262) that the last frame's work took
    "lag_frames": ">u2",  # frames whose work did not fit
    "zone": "|u1",
    "act": "|u1",
    "on_ground": "|u1",
    "rolling": "|u1",
    "lives": "|u1",
    "level_end": "|u1",  # 1 once the end is reached
    "playing": "|u1",  # 1 in an act, 0 on the title screen
    "hurt": "|u1",  # 1 while thrown back by a hit
}
"""stable-retro's types by name. The variables lie one after the other from 0xFF0000, longs first so
that no word has an odd address"""

_C_TYPES = {">u4": "u32", ">i2": "s16", ">u2": "u16", "|u1": "u8"}
_SIZES = {">u4": 4, ">i2": 2, ">u2": 2, "|u1": 1}


def header() -> str:
    """The C header `vars.h`."""
    fields = "\n".join(f"    {_C_TYPES[kind]} {name};" for name, kind in VARIABLES.items())
    return (
        "/* Made by pangolin_dash/compile/ram.py. */\n#ifndef VARS_H\n#define VARS_H\n"
        f"struct Vars {{\n{fields}\n}};\n#endif\n"
    )


def data_json() -> dict:
    """The content of `data.json`: address and type of every variable."""
    info, address = {}, RAM_START
    for name, kind in VARIABLES.items():
        info[name] = {"address": address, "type": kind}
        address += _SIZES[kind]
    return {"info": info}
