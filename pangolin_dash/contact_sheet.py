"""``python -m pangolin_dash.contact_sheet``: one picture of every act, from its stored movie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tyro

from pangolin_dash.build import HERE, SHIPPED, Options, make_acts
from pangolin_dash.levels.generator import Act
from pangolin_dash.movies import FOLDER, Movie
from pangolin_dash.replay import open_act, replay


@dataclass
class Arguments:
    """Draw the contact sheet: a column for every zone, a row for every act.

    Attributes:
        out: the picture to write.
    """

    out: Path = HERE / "contact_sheet.png"


def variety(act: Act, info: dict[str, int]) -> float:
    """How many different things the screen shows, the pangolin on its feet and well."""
    left, top = info["screen_x"], info["screen_y"]
    kinds = {t.type for t in act.things if 0 < t.x - left < 320 and 0 < t.y - top < 224}
    blocks = np.unique(act.map[left // 16 : left // 16 + 20, top // 16 : top // 16 + 14])
    rings = any(0 < x - left < 320 and 0 < y - top < 224 for x, y in act.rings)
    upright = info["on_ground"] and not info["rolling"] and info["rings"]
    return len(blocks) + 2 * len(kinds) + 2 * rings + 5 * bool(upright)


def picture_of(act: Act) -> np.ndarray:
    """The frame (224, 320, 3) of the act's movie with the most to see."""
    best: tuple[float, np.ndarray] = (-1.0, np.zeros((224, 320, 3), np.uint8))
    env = open_act(SHIPPED, act.name, HERE / "integration")

    def watch(picture: np.ndarray, info: dict[str, int]) -> None:
        nonlocal best
        score = variety(act, info)
        if score > best[0]:
            best = (score, picture.copy())

    try:
        replay(env, Movie.load(FOLDER / f"{act.name}.json"), watch)
    finally:
        env.close()
    return best[1]


def main() -> None:
    """The command line."""
    arguments = tyro.cli(Arguments)
    acts = make_acts(Options())
    pictures = {act.name: picture_of(act) for act in acts}
    zones = list(dict.fromkeys(act.zone for act in acts))
    rows = [np.hstack([pictures[f"{zone}.Act{n}"] for zone in zones]) for n in (1, 2, 3)]
    imageio.imwrite(arguments.out, np.vstack(rows))
    print(arguments.out)


if __name__ == "__main__":
    main()
