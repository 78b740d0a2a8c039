"""Films of recorded episodes: choose one of a results folder, play it back, check it, encode it.

An evaluation with `--record` leaves one bk2 file per episode in each run's folder, numbered like
the rows of its `monitor.csv`. Played back, an episode must earn what its row says: otherwise there
is no film of it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retro_common.errors import UsageError
from retro_common.files import read_json_object
from retro_common.text import clean
from retro_contest.films.writer import FPS, Canvas, Panel, check_encoder, encoder
from retro_contest.levels import Level, find, rom_file, sha1
from retro_contest.rules import TIME_LIMIT
from retro_contest.runs.monitor import MONITOR_FILE
from retro_contest.runs.results import RESULT_FILE, SUMMARY_FILE, make_folder, read_monitor

HOLD = 2 * FPS
"""pictures for which the end of a film stands still"""
TOLERANCE = 1e-6
"""relative difference of two sums of the same rewards"""


class Mismatch(Exception):
    """A recording does not earn what `monitor.csv` says; the message is one line."""


@dataclass(frozen=True)
class Take:
    """One recorded episode."""

    agent: str
    """name of the submission"""
    level: Level
    run: Path
    """the run's folder"""
    number: int
    """number of the episode in its run, from 1"""
    episodes: int
    """episodes of the run"""
    reward: float
    """sum of its rewards by `monitor.csv`"""
    length: int
    """its timesteps by `monitor.csv`"""

    @property
    def movie(self) -> Path:
        """Its recording."""
        name = f"{self.level.game}-{self.level.state}-{self.number - 1:06}.bk2"
        return self.run / name

    @property
    def title(self) -> str:
        """Which episode it is, for a caption."""
        where = self.level.state
        return f"{where} · {self.run.name.replace('-', ' ')} · episode {self.number:,}"


@dataclass(frozen=True)
class Choice:
    """Which episode of a level to show."""

    which: str = "best"
    """`best`, `median` (by reward), `last`, or `episode`"""
    number: int = 0
    """with `episode`: its number in the run, from 1"""
    seed: int | None = None
    """number of the run; None for all runs, with `last` and `episode` for the first"""

    @property
    def name(self) -> str:
        """For a film's file name."""
        return f"episode-{self.number}" if self.which == "episode" else self.which


@dataclass(frozen=True)
class Film:
    """A film that was written."""

    path: Path
    poster: Path
    takes: tuple[Take, ...]

    @property
    def line(self) -> str:
        """One line about it."""
        size = self.path.stat().st_size / 1e6
        parts = [
            f"{clean(take.agent)} {take.reward:,.1f} in {take.length:,} timesteps"
            for take in self.takes
        ]
        return f"wrote {self.path} ({'; '.join(parts)}; {size:.1f} MB)"


def recorded_levels(results: Path) -> list[str]:
    """Names of the levels of a results folder that have a recording.

    Raises:
        UsageError: the folder holds no evaluation.
    """
    with _undamaged(results):
        summary = read_json_object(results / SUMMARY_FILE)
        names = [f"{run['game']}/{run['state']}" for run in summary["levels"]]
    return [name for name in dict.fromkeys(names) if any((results / name).glob("*/*.bk2"))]


def choose(results: Path, level: str, choice: Choice) -> Take:
    """An episode of a level, `GAME/STATE`, in a results folder.

    Raises:
        UsageError: there is no such episode, or the level's files are not those it was played with.
    """
    takes: list[Take] = []
    folders = sorted((results / level).glob("seed-*"), key=_seed)
    if choice.seed is not None:
        folders = [run for run in folders if _seed(run) == choice.seed]
    elif choice.which in ("last", "episode"):
        folders = folders[:1]
    for run in folders:
        with _undamaged(results):
            summary = read_json_object(results / SUMMARY_FILE)
            agent, level_set = str(summary["name"]), str(summary["level_set"])
            settings = read_json_object(run / RESULT_FILE)["settings"]
            files = settings["rom_sha1"], settings["state_sha1"]
        here = _level(level, level_set, files)
        rows = read_monitor(run / MONITOR_FILE)
        takes += [
            Take(agent, here, run, number, len(rows), row.r, row.l)
            for number, row in enumerate(rows, start=1)
        ]
    if choice.which == "episode":
        takes = takes[choice.number - 1 : choice.number] if choice.number > 0 else []
    if not takes:
        raise UsageError(f"{results} has no such episode of {level}")
    if choice.which in ("best", "median"):
        takes.sort(key=lambda take: take.reward)
    take = takes[(len(takes) - 1) // 2] if choice.which == "median" else takes[-1]
    if not take.movie.is_file():
        raise UsageError(f"{take.movie} is missing: evaluate with --record or --film")
    return take


def make_film(takes: Sequence[Take], path: Path) -> Film:
    """Write the film of some episodes side by side, and a poster: the same name with `.png`.

    All of them are played back before anything is written.

    Raises:
        Mismatch: a recording does not earn what `monitor.csv` says.
        UsageError: a recording cannot be read, the folder cannot be made, or FFmpeg is missing.
    """
    check_encoder()
    make_folder(path.parent)
    reels = [Reel(take) for take in takes]
    length = max(len(reel) for reel in reels)
    canvas = Canvas([reel.panel(0).frame for reel in reels])
    temporary = path.with_name(f".{path.stem}.tmp.mp4")
    poster = path.with_suffix(".png")
    try:
        with encoder(temporary, canvas.size, length + HOLD, len(takes)) as writer:
            for t in range(length + HOLD):
                writer.send(canvas.paint([reel.panel(t) for reel in reels]))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    shown = canvas.paint([reel.panel(len(reel) * 2 // 3) for reel in reels])
    Image.fromarray(shown).save(poster)
    return Film(path, poster, tuple(takes))


class Reel:
    """An episode, played back and kept in memory: a Mega Drive frame takes about 15 kB."""

    def __init__(self, take: Take) -> None:
        """Play it back.

        Raises:
            Mismatch: it does not earn what `monitor.csv` says.
            UsageError: the recording cannot be read.
        """
        self._take = take
        self._frames: list[bytes] = []
        self._shape: tuple[int, ...] = ()
        self._rewards: list[float] = []
        total, ended = 0.0, False
        for timestep in _play(take):
            total += timestep.reward
            ended = timestep.ended
            self._shape = timestep.following.shape
            self._frames.append(zlib.compress(timestep.following.data, 1))
            self._rewards.append(total)
        wrong = abs(total - take.reward) > TOLERANCE * max(1.0, abs(take.reward))
        if wrong or len(self) != take.length:
            raise Mismatch(
                f"{take.movie} plays to a reward of {total:,.2f} in {len(self):,} timesteps, but "
                f"{MONITOR_FILE} says {take.reward:,.2f} in {take.length:,}: one of them was "
                "changed, or the emulator is another version; no film was written"
            )
        self._over = _why_over(take, ended)

    def __len__(self) -> int:
        """Timesteps."""
        return len(self._frames)

    def panel(self, t: int) -> Panel:
        """The panel after `t` timesteps, 0 for after the first; beyond the end the last one."""
        over = t >= len(self)
        t = min(t, len(self) - 1)
        frame = np.frombuffer(zlib.decompress(self._frames[t]), np.uint8).reshape(self._shape)
        return Panel(
            frame,
            clean(self._take.agent, 60),
            clean(self._take.title),
            t + 1,
            self._rewards[t],
            self._over if over else "",
        )


def _why_over(take: Take, ended: bool) -> str:
    if ended:
        return f"episode over after {take.length:,} timesteps"
    return "time limit" if take.length >= TIME_LIMIT else "the budget ended here"


def _play(take: Take) -> Iterator[Any]:
    # Not at the top: the import loads the emulator.
    from retro_contest.emulator.recordings import play, read_bk2

    return play(read_bk2(take.movie, take.level))


@contextmanager
def _undamaged(results: Path) -> Iterator[None]:
    """Results may come from strangers: what is missing in them is no error of this program."""
    try:
        yield
    except (KeyError, TypeError):
        raise UsageError(f"{results}: its files are damaged, or of another version") from None


def _seed(run: Path) -> int:
    """Number of a run by its folder's name, `seed-N`; -1 for any other name."""
    number = run.name.removeprefix("seed-")
    return int(number) if number.isascii() and number.isdecimal() else -1


def _level(name: str, level_set: str, files: tuple[Any, Any]) -> Level:
    """The level of a run.

    Args:
        name: `GAME/STATE`.
        level_set: the levels as the evaluation named them.
        files: SHA-1 of the ROM and of the save-state that it was played with.
    """
    for text in (level_set, name):
        try:
            named = [level for level in find(text) if level.name == name]
        except UsageError:
            continue
        for level in named:
            rom, state = rom_file(level), level.folder / f"{level.state}.state"
            if rom is None or not state.is_file():
                continue
            if (sha1(rom), sha1(state)) != files:
                raise UsageError(f"{level.folder} holds other files of {name} than were played")
            return level
    raise UsageError(
        f"the level {clean(name)} is not here: a film needs its ROM and save-state (the evaluation "
        f"found it by the name {clean(level_set)})"
    )
