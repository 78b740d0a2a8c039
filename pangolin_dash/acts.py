"""Which acts a game has: the 18 of the shipped game, or those that a person asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pangolin_dash.levels.generator import Act, difficulty, generate
from pangolin_dash.levels.themes import THEMES
from retro_common.errors import UsageError

SHIPPED = "PangolinDash-Genesis-v0"
"""name of the shipped game's integration"""
SHIPPED_SEED = 1
START_CLOCKS: dict[str, int] = {
    "FernHollow.Act1": 125,
    "FernHollow.Act2": 153,
    "FernHollow.Act3": 159,
    "AmberDunes.Act1": 163,
    "AmberDunes.Act2": 169,
    "AmberDunes.Act3": 175,
    "CoralGrotto.Act1": 179,
    "CoralGrotto.Act2": 185,
    "CoralGrotto.Act3": 191,
    "FrostPeak.Act1": 195,
    "FrostPeak.Act2": 201,
    "FrostPeak.Act3": 207,
    "EmberWorks.Act1": 211,
    "EmberWorks.Act2": 217,
    "EmberWorks.Act3": 223,
    "StarlitRuins.Act1": 227,
    "StarlitRuins.Act2": 233,
    "StarlitRuins.Act3": 239,
}
"""the clock of the tiles' animations (moss that shakes, water that flows) when the first frame of a
shipped save-state is shown. It counts frames since the console was switched on, so it is no part of
the game's logic, and an act of another game may have any"""
INTEGRATIONS = Path(__file__).parent / "integration"
"""the folder in which the shipped game's integration lies"""


@dataclass(frozen=True)
class Options:
    """Build Pangolin Dash: without options the shipped game again, otherwise a game of own acts."""

    seed: int = SHIPPED_SEED
    """which acts to generate"""
    zones: tuple[str, ...] = field(default_factory=lambda: tuple(THEMES))
    """zones of an own game, in order; each gets `acts` acts"""
    acts: int = 3
    """acts per zone, 1 to 9"""
    hard: float | None = None
    """difficulty of an own game's acts, 0 to 1; by default it rises from act to act"""
    name: str = SHIPPED
    """name of the integration, for example PangolinDashCustom7"""
    out: Path = INTEGRATIONS
    """the folder in which the integration's folder is made"""

    @property
    def shipped(self) -> bool:
        """Whether this is the shipped game, wherever it is built."""
        return self == Options(out=self.out)


def check_options(options: Options) -> None:
    """Refuse what cannot be built.

    Raises:
        UsageError: an option is wrong; the message names it.
    """
    unknown = [zone for zone in options.zones if zone not in THEMES]
    if unknown:
        raise UsageError(f"unknown zone {unknown[0]}: choose from {', '.join(THEMES)}")
    if len(set(options.zones)) < len(options.zones):
        raise UsageError("a zone is named twice: use --acts for more acts of a zone")
    if not 1 <= options.acts <= 9:
        raise UsageError("--acts must be 1 to 9")
    if not options.zones:
        raise UsageError("--zones names no zone")
    if options.seed < 0:
        raise UsageError("--seed must not be negative")
    if options.hard is not None and not 0 <= options.hard <= 1:
        raise UsageError("--hard must be 0 to 1")
    if options.name == SHIPPED and not options.shipped:
        raise UsageError(f"--name {SHIPPED} is the shipped game: give an own game its own name")
    if "/" in options.name or not options.name.strip("."):
        raise UsageError("--name must be the name of a folder")
    if not options.out.parent.exists() and not options.out.exists():
        raise UsageError(f"--out: the folder {options.out.parent} does not exist")


def make_acts(options: Options) -> list[Act]:
    """The acts of a game, in order."""
    acts = []
    for zone in options.zones:
        for act in range(1, options.acts + 1):
            hard = options.hard
            if hard is None:
                hard = difficulty(list(THEMES).index(zone), act)
            acts.append(generate(zone, act, options.seed, hard))
    return acts


def check_act(integration: Path, act: str) -> None:
    """Refuse an act that a built game does not have.

    Args:
        integration: the game's folder.
        act: name of the save-state, `ZoneName.ActN`.

    Raises:
        UsageError: it is not a game's folder, or it has no such act; the message lists its acts.
    """
    acts = sorted(path.stem for path in integration.glob("*.state"))
    if not acts:
        raise UsageError(f"{integration} is not a game's folder: it has no save-states")
    if act not in acts:
        raise UsageError(f"no act {act} in {integration}; it has: {', '.join(acts)}")
