"""Input movies: the file format, and the stored movies of the shipped game."""

from __future__ import annotations

from pathlib import Path

import pytest

from pangolin_dash import movies
from pangolin_dash.acts import INTEGRATIONS, SHIPPED
from retro_common.errors import UsageError
from retro_common.movies import Movie


def test_a_movie_is_read_as_it_was_written(tmp_path: Path) -> None:
    movie = Movie(((("RIGHT", "B"), 8), ((), 3), (("LEFT", "UP"), 1), (("DOWN",), 12)), 12.5)
    movie.save(tmp_path / "new" / "Level.json")
    again = Movie.load(tmp_path / "new" / "Level.json")
    assert again == movie and again.frames == 24


def test_a_movie_of_another_game_has_no_reward(tmp_path: Path) -> None:
    (tmp_path / "Level.json").write_text('{"inputs": "RB4 -2"}')
    movie = Movie.load(tmp_path / "Level.json")
    assert movie.reward is None and movie.inputs == ((("RIGHT", "B"), 4), ((), 2))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"inputs": 4}', '{"inputs": "Q4"}', '{"inputs": "R"}', '{"inputs": "R4-"}'],
)
def test_a_damaged_movie_is_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "Level.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="not an input movie") as caught:
        Movie.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_stored_movies_are_written_as_they_are(tmp_path: Path) -> None:
    acts = sorted(path.stem for path in (INTEGRATIONS / SHIPPED).glob("*.state"))
    found = movies.load(movies.folder_of(INTEGRATIONS / SHIPPED), acts)
    assert len(found) == 18
    for act, movie in found.items():
        movie.save(tmp_path / f"{act}.json")
        stored = movies.FOLDER / f"{act}.json"
        assert (tmp_path / f"{act}.json").read_bytes() == stored.read_bytes()
    with pytest.raises(UsageError, match=r"NoZone\.Act1 has no movie"):
        movies.load(movies.FOLDER, ["FernHollow.Act1", "NoZone.Act1"])
