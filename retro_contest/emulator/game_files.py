"""Where stable-retro finds the files of one level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retro_common.errors import UsageError
from retro_contest.levels import Level, check_playable


@dataclass(frozen=True)
class GameFiles:
    """The files of one level, in the form that stable-retro accepts as `inttype`.

    Replaces a value of `stable_retro.data.Integrations`, of which stable-retro reads only `paths`:
    the folders to search. Unlike `Integrations.add_custom_path` it changes nothing in the process,
    so games of the same name in several folders do not hide each other.
    """

    folder: Path
    """the game's integration folder, as an absolute path"""

    @classmethod
    def of(cls, level: Level) -> GameFiles:
        """The files of a level.

        Raises:
            UsageError: the game is unknown, or its ROM or the level's save-state is missing.
        """
        if not (level.folder / "data.json").is_file():
            raise UsageError(f"unknown game '{level.game}': there is no {level.folder}/data.json")
        check_playable([level])
        return cls(level.folder.resolve())

    @property
    def paths(self) -> list[str]:
        """The folders to search."""
        return [str(self.folder.parent)]

    @property
    def scenario(self) -> str:
        """Name of the scenario with the contest's reward and end of an episode."""
        return "contest" if (self.folder / "contest.json").is_file() else "scenario"
