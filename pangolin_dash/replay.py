"""`python -m pangolin_dash.replay`: an input movie on the real ROM, with the contest's reward."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stable_retro as retro
import tyro

from pangolin_dash import movies
from pangolin_dash.acts import INTEGRATIONS, SHIPPED, check_act
from pangolin_dash.cli import exit_code
from retro_common.errors import UsageError
from retro_common.movies import Movie

Watch = Callable[[np.ndarray, dict[str, int]], None]
ENLARGED = 2


@dataclass(frozen=True)
class Outcome:
    """The result of a replay."""

    finished: bool
    """the level's end was reached and the episode ended there"""
    reward: float
    """sum of the contest's rewards"""
    frames: int
    """emulator frames played after the reset"""
    cpu_lines: int
    """scanlines of 262 that the slowest frame's work took"""
    lag_frames: int
    """frames whose work did not fit"""
    info: dict[str, int]
    """the RAM variables at the end"""


def open_act(game: str, state: str, integrations: Path, scenario: str = "contest"):
    """stable-retro's own environment of one act; close() it before another is opened."""
    retro.data.Integrations.add_custom_path(str(integrations.resolve()))
    return retro.make(
        game,
        state=state,
        scenario=scenario,
        inttype=retro.data.Integrations.CUSTOM_ONLY,
        render_mode="rgb_array",
    )


def replay(env, movie: Movie, watch: Watch | None = None) -> Outcome:
    """Reset the environment and press the movie's buttons until the episode ends.

    Args:
        env: from `open_act`.
        movie: what to press.
        watch: called with every frame's picture, uint8 (224, 320, 3), and RAM variables.
    """
    index = {name: i for i, name in enumerate(env.buttons) if name}
    env.reset()
    reward, frames, lines, info = 0.0, 0, 0, {}
    # The game shows its numbers one frame late, so idle frames follow the last inputs.
    for buttons, count in (*movie.inputs, ((), 4)):
        action = np.zeros(len(env.buttons), np.uint8)
        action[[index[name] for name in buttons]] = 1
        for _ in range(count):
            picture, points, done, _, info = env.step(action)
            reward += points
            frames += 1
            lines = max(lines, info["cpu_lines"])
            if watch is not None:
                watch(picture, info)
            if done:
                ended = bool(info["level_end"])
                return Outcome(ended, reward, frames, lines, info["lag_frames"], info)
    return Outcome(False, reward, frames, lines, info["lag_frames"], info)


@dataclass
class Arguments:
    """Play an input movie of one act in the emulator and say how far it came.

    Exit code 0 when it finishes the act, 1 when it does not.
    """

    act: str = "FernHollow.Act1"
    """name of the save-state"""
    folder: Path = INTEGRATIONS / SHIPPED
    """the game's integration folder"""
    movie: Path | None = None
    """the input movie; by default the one stored for the act"""
    film: Path | None = None
    """an MP4 of the replay to write, 60 frames a second at twice the game's size"""


def main() -> int:
    """The command line; returns its exit code."""
    arguments = tyro.cli(Arguments, prog="python -m pangolin_dash.replay")
    check_act(arguments.folder, arguments.act)
    if arguments.movie is not None:
        movie = Movie.load(arguments.movie)
    else:
        movie = movies.load(movies.folder_of(arguments.folder), [arguments.act])[arguments.act]
    if arguments.film is not None and arguments.film.suffix != ".mp4":
        raise UsageError(f"--film {arguments.film}: the name must end in .mp4")
    env = open_act(arguments.folder.name, arguments.act, arguments.folder.parent)
    try:
        outcome = replay(env, movie) if arguments.film is None else _film(env, movie, arguments)
    finally:
        env.close()
    info = outcome.info
    print(
        f"{arguments.act}: {'finished' if outcome.finished else 'not finished'}, "
        f"x {info['x']} of {info['end_x']}, reward {outcome.reward:.1f}, {outcome.frames} frames"
    )
    return 0 if outcome.finished else 1


def _film(env, movie: Movie, arguments: Arguments) -> Outcome:
    """Replay and write the MP4."""
    import imageio.v2 as imageio

    arguments.film.parent.mkdir(parents=True, exist_ok=True)
    with imageio.get_writer(
        arguments.film, fps=60, codec="libx264", quality=6, macro_block_size=2
    ) as writer:
        return replay(
            env,
            movie,
            lambda picture, _: writer.append_data(
                picture.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
            ),
        )


if __name__ == "__main__":
    sys.exit(exit_code(main))
