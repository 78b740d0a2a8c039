"""The levels of `levels.yaml` as Gymnasium environments.

    import gymnasium
    import retro_contest

    env = gymnasium.make("PangolinDash/FernHollow.Act3-v1")
    envs = gymnasium.make_vec("RetroContest-v1", num_envs=8, levels="pangolin-train")

An id is `GAME/STATE-v1`, with the game's name without console and version. `RetroContest-v1` takes
any level as the keyword `levels`. Gymnasium imports the emulator only when it makes one.
"""

from __future__ import annotations

import re

import gymnasium

from retro_common.errors import UsageError
from retro_contest.levels import Level, load_sets

ANY_LEVEL = "RetroContest-v1"
"""id of the environment that takes its level as a keyword"""
RULES_VERSION = 1
"""version of every id: another one when an environment's rules or observations change"""
_MODULE = "retro_contest.emulator.entry_points"


def env_id(level: Level) -> str:
    """A level's Gymnasium id: `PangolinDash-Genesis-v0/FernHollow.Act3` has
    `PangolinDash/FernHollow.Act3-v1`."""
    game = re.sub(r"-[A-Za-z0-9]+(-v[0-9]+)?$", "", level.game)
    return f"{game}/{level.state}-v{RULES_VERSION}"


def register_levels() -> None:
    """Register `RetroContest-v1`, and every level of the level sets under its own id."""
    _register(ANY_LEVEL, {})
    try:
        sets = load_sets()
    except UsageError:  # a damaged levels.yaml: who asks for a level is told
        return
    names = {env_id(level): level.name for one in sets.values() for level in one.levels}
    for name, level in names.items():
        _register(name, {"levels": level})


def _register(name: str, kwargs: dict[str, str]) -> None:
    gymnasium.register(
        name,
        entry_point=f"{_MODULE}:make_env",
        vector_entry_point=f"{_MODULE}:make_vector_env",
        kwargs=kwargs,
    )
