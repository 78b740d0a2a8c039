"""Films of real recordings: what is played back is what was played, or there is no film."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from retro_contest.cli.main import main
from retro_contest.emulator.recordings import play, read_bk2
from retro_contest.films import writer as film_writer
from retro_contest.films.replay import HOLD, Choice, choose
from retro_contest.films.writer import CAPTION, GAP, SCALE
from retro_contest.runs.results import read_monitor

ROOT = Path(__file__).parents[2]
LEVEL = "PangolinDash-Genesis-v0/FernHollow.Act3"
SIZE = (320 * SCALE, 224 * SCALE + CAPTION)


def evaluate(folder: Path, agent: str, *options: str, timesteps: int = 90) -> int:
    words = ["evaluate", "--levels", "FernHollow.Act3", "--agent", agent, "--results", str(folder)]
    return main([*words, "--timesteps", str(timesteps), *options])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """JERK's first episodes: it loses a life after 17 timesteps or so, several times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("films") / "jerk"
        secret = "5" * 32
        assert evaluate(folder, "jerk", "--film", "--replay-secret", secret) == 0
    return folder


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    """The results folder again, to be changed."""
    return shutil.copytree(recorded, tmp_path / "copy")


def pictures(film: Path) -> list[np.ndarray]:
    with imageio.get_reader(film) as reader:
        return [np.asarray(frame) for frame in reader]


def test_evaluate_films_the_best_episode(recorded: Path) -> None:
    rows = read_monitor(recorded / LEVEL / "seed-0" / "monitor.csv")
    assert len(rows) >= 3
    take = choose(recorded, LEVEL, Choice())
    assert take.reward == max(row.r for row in rows) and take.agent == "jerk"
    film = recorded / "films" / f"{LEVEL}-best.mp4"
    seen = pictures(film)
    assert len(seen) == take.length + HOLD
    assert film.stat().st_size < film_writer.MAX_BYTES
    # What is seen is what was played, but for the losses of the encoding.
    for picture, timestep in zip(seen, play(read_bk2(take.movie)), strict=False):
        assert picture.shape == (SIZE[1], SIZE[0], 3)
        game = picture[:-CAPTION:SCALE, ::SCALE]
        assert np.abs(game.astype(int) - timestep.following).mean() < 12
    poster = Image.open(film.with_suffix(".png"))
    assert poster.size == SIZE
    caption = np.asarray(poster)[-CAPTION:]
    assert (caption.max(axis=2) > 150).sum() > 500, "the caption has no text"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--last"], "last"),
        (["--median"], "median"),
        (["--episode", "2"], "episode-2"),
        (["--best", "--level", "FernHollow.Act3", "--seed", "0"], "best"),
    ],
)
def test_which_episode(recorded: Path, tmp_path: Path, words, wanted, capsys) -> None:
    rows = read_monitor(recorded / LEVEL / "seed-0" / "monitor.csv")
    assert main(["film", str(recorded), *words, "--to", str(tmp_path)]) == 0
    film = tmp_path / f"{LEVEL}-{wanted}.mp4"
    rewards = sorted(row.r for row in rows)
    reward = {
        "last": rows[-1].r,
        "median": rewards[(len(rewards) - 1) // 2],
        "episode-2": rows[1].r,
        "best": rewards[-1],
    }[wanted]
    assert f"jerk {reward:,.1f} in " in capsys.readouterr().out
    length = next(row.l for row in (rows[-1:] if wanted == "last" else rows) if row.r == reward)
    if wanted in ("last", "episode-2"):
        assert len(pictures(film)) == length + HOLD


def test_several_agents_side_by_side(recorded: Path, tmp_path: Path, capsys) -> None:
    other = tmp_path / "right"
    assert evaluate(other, "hold-right", "--record", timesteps=40) == 0
    films = tmp_path / "films"
    capsys.readouterr()
    assert main(["film", str(recorded), str(other), "--to", str(films)]) == 0
    assert "right " in capsys.readouterr().out
    seen = pictures(films / f"{LEVEL}-best.mp4")
    takes = [choose(folder, LEVEL, Choice()) for folder in (recorded, other)]
    assert len(seen) == max(take.length for take in takes) + HOLD
    assert seen[0].shape == (SIZE[1], 2 * SIZE[0] + GAP, 3)
    # The panel that is over stands still; both are over at the end.
    shorter = min(range(2), key=lambda i: takes[i].length)
    left = shorter * (SIZE[0] + GAP)
    early, late = (seen[t][:, left : left + SIZE[0]].astype(int) for t in (-HOLD, -1))
    assert np.abs(early - late).mean() < 2


def test_a_recording_that_earns_something_else_is_not_filmed(copy: Path, capsys) -> None:
    run = copy / LEVEL / "seed-0"
    shutil.rmtree(copy / "films")
    rows = (run / "monitor.csv").read_text().splitlines()
    reward, length, seconds = rows[1].split(",")
    rows[1] = f"{float(reward) + 5000},{length},{seconds}"
    (run / "monitor.csv").write_text("\n".join(rows) + "\n")
    assert main(["film", str(copy)]) == 1
    error = capsys.readouterr().err
    assert "plays to a reward of" in error and "monitor.csv says 5," in error
    assert not list(copy.rglob("*.mp4")) and not list(copy.rglob("*.png"))


def test_another_episode_s_recording_is_noticed(copy: Path, capsys) -> None:
    run = copy / LEVEL / "seed-0"
    movies = sorted(run.glob("*.bk2"))
    lengths = [row.l for row in read_monitor(run / "monitor.csv")]
    other = next(i for i in range(1, len(lengths)) if lengths[i] != lengths[0])
    shutil.copy(movies[other], movies[0])
    assert main(["film", str(copy), "--episode", "1"]) == 1
    assert "one of them was changed" in capsys.readouterr().err


def test_playing_again_removes_films_of_runs_that_are_gone(copy: Path) -> None:
    assert evaluate(copy, "jerk", "--record", "--fresh", timesteps=20) == 0
    assert list(copy.rglob("*.bk2")) and not (copy / "films").exists()


def test_mistakes_are_explained(copy: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def fails(*words: str) -> str:
        assert main(["film", *words]) == 2
        return capsys.readouterr().err

    assert "no such file" in fails(str(tmp_path / "nothing"))
    assert "has no such episode" in fails(str(copy), "--episode", "99")
    assert "--best and --last exclude each other" in fails(str(copy), "--best", "--last")
    assert "no recordings of Act9" in fails(str(copy), "--level", "Act9")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "imageio_ffmpeg", None)
        assert "pip install 'retro-contest-kit[film]'" in fails(str(copy))
        assert evaluate(tmp_path / "new", "jerk", "--film") == 2
        assert not (tmp_path / "new").exists()
    run = copy / LEVEL / "seed-0"
    next(run.glob("*-000000.bk2")).write_bytes(b"nothing")
    assert "not a bk2 movie" in fails(str(copy), "--episode", "1")
    result = json.loads((run / "result.json").read_text())
    result["settings"]["rom_sha1"] = "0" * 40
    (run / "result.json").write_text(json.dumps(result))
    assert "other files of" in fails(str(copy))
    del result["settings"]
    (run / "result.json").write_text(json.dumps(result))
    assert "damaged, or of another version" in fails(str(copy))
    for movie in run.glob("*.bk2"):
        movie.unlink()
    assert "has no recordings: evaluate with --record or --film" in fails(str(copy))


def test_needs_no_display_and_no_program_of_the_system(recorded: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "retro_contest", "film", str(recorded), "--episode", "1"]
    done = subprocess.run(
        [*command, "--to", str(tmp_path / "films")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path / "films" / LEVEL.split("/")[0]) != []


def test_long_films_stay_small(tmp_path: Path, monkeypatch) -> None:
    """Noise is the worst that can be: it gets the bits that the size leaves, and no more."""
    rng, film = np.random.default_rng(0), tmp_path / "film.mp4"
    canvas = film_writer.Canvas([np.zeros((224, 320, 3), np.uint8)])
    monkeypatch.setattr(film_writer, "MAX_BYTES", 60_000)
    with film_writer.encoder(film, canvas.size, 60, 1) as writer:
        for t in range(60):
            frame = rng.integers(0, 256, (224, 320, 3), np.uint8)
            writer.send(canvas.paint([film_writer.Panel(frame, "noise", "", t, 0.0)]))
    assert 20_000 < film.stat().st_size < 60_000
