"""Levels and level sets: which games and states the contest has, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Level:
    """One level of one game: what an environment is made from.

    Attributes:
        game: stable-retro's name of the game, for example ``Airstriker-Genesis-v0``.
        state: name of the save-state the level starts from, for example ``Level1``.
        integrations: folder that holds the game's integration folder, or None for a game that
            ships inside stable-retro.
    """

    game: str
    state: str
    integrations: Path | None = None

    @property
    def name(self) -> str:
        """``GAME/STATE``, as the command line writes it."""
        return f"{self.game}/{self.state}"
