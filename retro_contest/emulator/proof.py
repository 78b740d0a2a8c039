"""Proves that a level's frames may go undrawn, and remembers the verdict.

The proof plays a level from its start for some hundred timesteps of random buttons, once drawn and
once undrawn. After each timestep picture, reward, episode end, RAM and the whole save-state
(without the two status bits that painting sets) must be the same. The verdict is kept in a file, so
a machine does this once per level. On any difference, and if anything is not as expected (another
core, another platform, no symbol table, memory that differs from the file), frames are drawn as
usual and one warning says so.

The proof covers only the part of a level that random play reaches. The tests play every level that
the kit ships both ways with long movies; for any other game there is `draw_all`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retro_common.files import write_json
from retro_contest.emulator import undrawn
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.game_files import GameFiles
from retro_contest.emulator.undrawn import Unavailable, Undrawn
from retro_contest.levels import Level, rom_file

log = logging.getLogger(__name__)

PROOF_TIMESTEPS = 240


def is_known(level: Level) -> bool:
    """Whether `may_skip` can answer for this level without a proof."""
    try:
        return stored(key_of(level)) is not None
    except Unavailable:
        return True


def may_skip(level: Level) -> bool:
    """Whether the level's frames may go undrawn: by its stored proof, else by proving it now.

    A proof makes an emulator, so no other may be loaded unless `is_known`.

    Raises:
        UsageError: the game is unknown, or its ROM or the level's save-state is missing.
    """
    try:
        key = key_of(level)
        difference = stored(key)
        if difference is None:
            difference = prove(level)
            store(key, level, difference)
    except Unavailable as error:
        difference = str(error)
    if difference:
        undrawn.warn_once(level, difference)
    return not difference


def prove(level: Level, timesteps: int = PROOF_TIMESTEPS) -> str:
    """Play the level drawn and undrawn; returns the first difference, or "" if there is none.

    Both in one emulator, because a save-state of this core holds addresses of the loaded library.

    Raises:
        Unavailable: frames cannot go undrawn here at all.
    """
    env = ContestEnv(level)
    try:
        core = Undrawn()
        actions = random_buttons(timesteps)
        drawn = list(trace(env, core, actions))
        env.undrawn = core
        for timestep, skipped in enumerate(trace(env, core, actions)):
            for name, value in skipped.items():
                if value != drawn[timestep][name]:
                    return f"{name} differs after {timestep} timesteps of the proof"
    finally:
        env.close()
    return ""


def random_buttons(timesteps: int, seed: int = 0) -> np.ndarray:
    """Random actions `[timesteps, 12]`, each held for 4 timesteps, or nothing would get far."""
    random = np.random.default_rng(seed)
    return random.integers(0, 2, (timesteps // 4 + 1, 12), np.int8).repeat(4, axis=0)[:timesteps]


def trace(env: ContestEnv, core: Undrawn, actions: np.ndarray) -> Iterator[dict[str, Any]]:
    """Play buttons and yield after each timestep everything that must not depend on drawing."""
    env.reset(seed=0)
    for action in actions:
        frame, reward, terminated, truncated, variables = env.step(action)
        yield {
            "the picture": zlib.crc32(frame.data),
            "the reward": reward,
            "the episode's end": (terminated, truncated),
            "a RAM variable": variables,
            "RAM": zlib.crc32(env.retro.get_ram()),
            "the save-state": zlib.crc32(core.state()),
        }
        if terminated or truncated:
            env.reset()


def key_of(level: Level) -> str:
    """Hash of everything that a verdict depends on: ROM, state, rules, core, and the proof's code.

    Raises:
        Unavailable: one of these files is missing.
    """
    folder = GameFiles.of(level).folder
    rules = sorted([*folder.glob("*.json"), *folder.glob("*.lua")])
    rom = rom_file(level)
    assert rom is not None  # GameFiles has checked it
    code = [Path(file) for file in (undrawn.__file__, __file__)]
    paths = [rom, folder / f"{level.state}.state", *rules, undrawn.CORE, *code]
    digests = [_digest(path) for path in paths]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _digest(path: Path) -> str:
    if not path.exists():
        raise Unavailable(f"no {path.name}")
    return _digest_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_of(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "retro-contest-kit" / "undrawn"


_verdicts: dict[str, str] = {}  # of this process, by key, for where no file can be written


def stored(key: str) -> str | None:
    """The verdict so far: "" for equal, otherwise the difference; None if there is none."""
    if key in _verdicts:
        return _verdicts[key]
    try:
        difference = str(json.loads((_cache() / f"{key}.json").read_text())["difference"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    _verdicts[key] = difference  # whatever becomes of the file, this process goes on as it began
    return difference


def forget() -> None:
    """Forget this process's verdicts; those in files stay."""
    _verdicts.clear()


def store(key: str, level: Level, difference: str) -> None:
    """Keep a verdict in a file; where none can be written, only for this process."""
    _verdicts[key] = difference
    verdict = {"level": level.name, "difference": difference, "timesteps": PROOF_TIMESTEPS}
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        write_json(_cache() / f"{key}.json", verdict, sync=False)
    except OSError:
        log.debug("verdict not stored", exc_info=True)
