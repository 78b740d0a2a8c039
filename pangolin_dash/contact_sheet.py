"""`python -m pangolin_dash.contact_sheet`: one picture of every act, from its stored movie."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tyro

from pangolin_dash import movies
from pangolin_dash.acts import INTEGRATIONS, SHIPPED, Options, make_acts
from pangolin_dash.cli import exit_code
from pangolin_dash.levels.generator import Act
from pangolin_dash.replay import open_act, replay
from retro_common.movies import Movie


@dataclass
class Arguments:
    """Draw one picture of every act of the shipped game: a column a zone, a row an act."""

    out: Path = Path(__file__).parent / "contact_sheet.png"
    """the picture to write"""


def variety(act: Act, info: dict[str, int]) -> float:
    """A score for what the screen shows: kinds of blocks and objects, rings, upright pangolin."""
    left, top = info["screen_x"], info["screen_y"]
    kinds = {t.type for t in act.things if 0 < t.x - left < 320 and 0 < t.y - top < 224}
    blocks = np.unique(act.map[left // 16 : left // 16 + 20, top // 16 : top // 16 + 14])
    rings = any(0 < x - left < 320 and 0 < y - top < 224 for x, y in act.rings)
    upright = info["on_ground"] and not info["rolling"] and info["rings"]
    return len(blocks) + 2 * len(kinds) + 2 * rings + 5 * bool(upright)


def picture_of(act: Act, movie: Movie) -> np.ndarray:
    """The frame of the act's movie with the highest `variety`, uint8 (224, 320, 3)."""
    best: tuple[float, np.ndarray] = (-1.0, np.zeros((224, 320, 3), np.uint8))
    env = open_act(SHIPPED, act.name, INTEGRATIONS)

    def watch(picture: np.ndarray, info: dict[str, int]) -> None:
        nonlocal best
        score = variety(act, info)
        if score > best[0]:
            best = (score, picture.copy())

    try:
        replay(env, movie, watch)
    finally:
        env.close()
    return best[1]


def main() -> int:
    """The command line; returns its exit code."""
    arguments = tyro.cli(Arguments, prog="python -m pangolin_dash.contact_sheet")
    acts = make_acts(Options())
    found = movies.load(movies.FOLDER, [act.name for act in acts])
    pictures = {act.name: picture_of(act, found[act.name]) for act in acts}
    zones = list(dict.fromkeys(act.zone for act in acts))
    rows = [np.hstack([pictures[f"{zone}.Act{n}"] for zone in zones]) for n in (1, 2, 3)]
    imageio.imwrite(arguments.out, np.vstack(rows))
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
