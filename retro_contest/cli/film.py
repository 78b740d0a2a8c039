"""`retro-contest film`"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from retro_common.errors import UsageError

if TYPE_CHECKING:
    from retro_contest.films.replay import Choice


@dataclass(frozen=True)
class Film:
    """Film recorded episodes: an MP4 and a poster for each level.

    The evaluation must have been run with --record or --film. Several results folders are shown
    side by side, on the levels that all of them have. Every episode is played back from its
    recording and must earn what monitor.csv says.

    Exits with 0, with 1 if a recording does not earn what monitor.csv says, with 2 when there is
    no such episode or recording.
    """

    results: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="DIR", help_behavior_hint="(required)")
    ]
    """Results folders of evaluations."""
    level: Annotated[str, arg(metavar="LEVEL")] = ""
    """GAME/STATE or STATE (default: every level that is recorded)."""
    best: FlagCreatePairsOff[bool] = False
    """The episode with the highest reward; the default."""
    median: FlagCreatePairsOff[bool] = False
    """The episode in the middle by reward."""
    last: FlagCreatePairsOff[bool] = False
    """The last episode of a run."""
    episode: Annotated[int | None, arg(metavar="N")] = None
    """The N-th episode of a run, from 1."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Only the run with this number (default: all runs; with --last and --episode the first)."""
    to: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for the films (default: films in the results folder, or films here for several)."""

    def run(self) -> int:
        from retro_contest.films import replay
        from retro_contest.runs.results import FILMS_FOLDER

        levels = self._levels()
        folder = self.to
        if folder is None:
            folder = (
                self.results[0] / FILMS_FOLDER if len(self.results) == 1 else Path(FILMS_FOLDER)
            )
        choice = self._choice()
        failed = False
        for level in levels:
            takes = [replay.choose(results, level, choice) for results in self.results]
            try:
                film = replay.make_film(takes, folder / f"{level}-{choice.name}.mp4")
            except replay.Mismatch as error:
                print(f"{level}: {error}", file=sys.stderr)
                failed = True
            else:
                print(film.line)
        return 1 if failed else 0

    def _choice(self) -> Choice:
        from retro_contest.films.replay import Choice

        words = [name for name in ("best", "median", "last") if getattr(self, name)]
        words += [] if self.episode is None else ["episode"]
        if len(words) > 1:
            raise UsageError(f"--{words[0]} and --{words[1]} exclude each other")
        return Choice(words[0] if words else "best", self.episode or 0, self.seed)

    def _levels(self) -> list[str]:
        from retro_contest.films.replay import recorded_levels

        if not self.results:
            raise UsageError("name a results folder: retro-contest film DIR")
        recorded = [recorded_levels(results) for results in self.results]
        for results, names in zip(self.results, recorded, strict=True):
            if not names:
                raise UsageError(f"{results} has no recordings: evaluate with --record or --film")
        common = [name for name in recorded[0] if all(name in names for names in recorded)]
        wanted = [name for name in common if self.level in ("", name, name.partition("/")[2])]
        if not wanted:
            where = f" of {self.level}" if self.level else " of the same level"
            raise UsageError(f"no recordings{where} in {' and '.join(map(str, self.results))}")
        return wanted
