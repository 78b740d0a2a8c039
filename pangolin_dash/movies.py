"""Where the input movies of a game's acts lie; `retro_common.movies` describes their format."""

from __future__ import annotations

from pathlib import Path

from pangolin_dash.acts import SHIPPED
from retro_common.errors import UsageError
from retro_common.movies import Movie

FOLDER = Path(__file__).parent / "movies"
"""the shipped game's movies, `ZoneName.ActN.json`"""


def folder_of(integration: Path) -> Path:
    """The folder of a game's movies: an own game keeps them in its integration's folder."""
    return FOLDER if integration.name == SHIPPED else integration / "movies"


def load(folder: Path, acts: list[str]) -> dict[str, Movie]:
    """The movies of these acts, by act.

    Raises:
        UsageError: an act has no movie, or its file is not one.
    """
    missing = [act for act in acts if not (folder / f"{act}.json").exists()]
    if missing:
        raise UsageError(
            f"{missing[0]} has no movie in {folder}: python -m pangolin_dash.solve finds those of "
            "the shipped game, python -m pangolin_dash.build those of an own game"
        )
    return {act: Movie.load(folder / f"{act}.json") for act in acts}
