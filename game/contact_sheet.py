"""``python -m game.contact_sheet``: one picture of every act, from its stored movie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tyro

from game.build import HERE, SHIPPED, Options, make_acts
from game.movies import FOLDER, Movie
from game.replay import open_act, replay


@dataclass
class Arguments:
    """Draw the contact sheet: a column for every zone, a row for every act.

    Attributes:
        out: the picture to write.
        at: which part of the way is shown, 0 to 1.
    """

    out: Path = HERE / "contact_sheet.png"
    at: float = 0.45


def picture_of(act: str, at: float) -> np.ndarray:
    """The frame (224, 320, 3) in which the act's movie gets past part ``at`` of the way."""
    shots: list[np.ndarray] = []
    env = open_act(SHIPPED, act, HERE / "integration")

    def watch(picture: np.ndarray, info: dict[str, int]) -> None:
        if not shots and info["progress"] >= at * 9000 * 4096:
            shots.append(picture.copy())

    try:
        replay(env, Movie.load(FOLDER / f"{act}.json"), watch)
    finally:
        env.close()
    return shots[0]


def main() -> None:
    """The command line."""
    arguments = tyro.cli(Arguments)
    acts = make_acts(Options())
    pictures = {act.name: picture_of(act.name, arguments.at) for act in acts}
    zones = list(dict.fromkeys(act.zone for act in acts))
    rows = [np.hstack([pictures[f"{zone}.Act{n}"] for zone in zones]) for n in (1, 2, 3)]
    imageio.imwrite(arguments.out, np.vstack(rows))
    print(arguments.out)


if __name__ == "__main__":
    main()
