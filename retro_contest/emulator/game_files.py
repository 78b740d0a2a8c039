"""Where stable-retro finds the files of one level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retro_common.errors import UsageError
from retro_contest.levels import Level, check_playable, rom_file


@dataclass(frozen=True)
class GameFiles:
    """The files of one level, in the form that stable-retro accepts as `inttype`.

    Replaces a value of `stable_retro.data.Integrations`, of which stable-retro reads only `paths`:
    the folders to search. Unlike `Integrations.add_custom_path` it changes nothing in the process,
    so games of the same name in several folders do not hide each other.
    """

    folder: Path
    """the game's integration folder, as an absolute path"""
    rom: Path
    """its ROM, in that folder or in a folder of the same name elsewhere"""

    @classmethod
    def of(cls, level: Level) -> GameFiles:
        """The files of a level.

        Raises:
            UsageError: the game is unknown, or its ROM or the level's save-state is missing.
        """
        if not (level.folder / "data.json").is_file():
            raise UsageError(f"unknown game '{level.game}': there is no {level.folder}/data.json")
        check_playable([level])
        rom = rom_file(level)
        assert rom is not None  # check_playable has looked
        return cls(level.folder.resolve(), rom.absolute())

    @property
    def paths(self) -> list[str]:
        """The folders to search, that of the ROM first; it may hold nothing but ROMs."""
        return list(dict.fromkeys(map(str, (self.rom.parent.parent, self.folder.parent))))

    @property
    def scenario(self) -> str:
        """Name of the scenario with the contest's reward and end of an episode."""
        return "contest" if (self.folder / "contest.json").is_file() else "scenario"
