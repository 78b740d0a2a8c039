"""Levels and level sets: which games and states the contest has, and the purpose of each.

`levels.yaml` beside this file names the level sets and is the only place that knows which levels
are for training and which are held out. A game's *integration folder* holds its save-states, its
scenario and its ROM; it lies inside stable-retro, or in a custom folder.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from retro_common.config import read_yaml
from retro_common.errors import UsageError, shown

LEVELS_FILE = Path(__file__).with_name("levels.yaml")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Level:
    """One level of one game. An environment is made from it."""

    game: str
    """stable-retro's name of the game, for example `Airstriker-Genesis-v0`"""
    state: str
    """name of the save-state the level starts from, for example `Level1`"""
    integrations: Path | None = None
    """folder that holds the game's integration folder, or None for a game inside stable-retro"""

    @property
    def name(self) -> str:
        """`GAME/STATE`, as the command line writes it."""
        return f"{self.game}/{self.state}"

    @property
    def folder(self) -> Path:
        """The game's integration folder."""
        return (self.integrations or stable_retro_games("stable")) / self.game


@dataclass(frozen=True)
class LevelSet:
    """A named list of levels with one purpose."""

    name: str
    """its name for `--levels`"""
    split: str
    """`train`, `validation` or `test`"""
    description: str
    """one line for `retro-contest levels`"""
    levels: tuple[Level, ...]
    """the levels, in the order of `levels.yaml`"""


def stable_retro_games(kind: str) -> Path:
    """stable-retro's folder of integration folders; `kind` is `stable` or `contrib`."""
    # Found without importing it: the import would load the emulator library, only to list names.
    spec = importlib.util.find_spec("stable_retro")
    if spec is None or spec.origin is None:
        raise UsageError("stable-retro is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent / "data" / kind


def load_sets(path: Path = LEVELS_FILE) -> dict[str, LevelSet]:
    """All level sets of a YAML file, by name.

    Raises:
        UsageError: the file cannot be read, or a key in it is missing, unknown or of a wrong type;
            the message names the set and the key.
    """
    content = read_yaml(path, follow=True)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must hold one mapping, from set name to level set")
    return {name: _parse_set(path, name, entry) for name, entry in content.items()}


def find(text: str, path: Path = LEVELS_FILE) -> list[Level]:
    """The levels that a text on the command line names, without repetition.

    Args:
        text: one of these, or several with commas between them: the name of a level set;
            `GAME/STATE`; `STATE` alone, where one game of the level sets has it; a custom
            integration folder as a path, `DIR/GAME` for all its states or `DIR/GAME/STATE` for one.
        path: the file with the level sets.

    Raises:
        UsageError: nothing has that name, or several games have that state; the message suggests
            a name.
    """
    sets = load_sets(path)
    levels: list[Level] = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            raise UsageError(f"levels '{text}': an empty name between commas")
        levels += sets[part].levels if part in sets else _find_one(part, sets)
    return list(dict.fromkeys(levels))


def find_one(text: str, path: Path = LEVELS_FILE) -> Level:
    """The one level that a text names; see `find`.

    Raises:
        UsageError: the text names no level, or several.
    """
    found = find(text, path)
    if len(found) > 1:
        raise UsageError(f"'{text}' means {len(found)} levels: name one, as GAME/STATE")
    return found[0]


def states(folder: Path) -> list[str]:
    """Names of the save-states in an integration folder, sorted."""
    return sorted(file.name.removesuffix(".state") for file in folder.glob("*.state"))


def rom_file(level: Level) -> Path | None:
    """The game's ROM, or None where it is missing."""
    other = {".sha", ".delta", ".json"}
    roms = [rom for rom in sorted(level.folder.glob("rom.*")) if rom.suffix not in other]
    return roms[0] if roms else None


def check_playable(levels: Iterable[Level]) -> None:
    """Raise UsageError for the first level that lacks its save-state or its ROM.

    The message says which ROM it is (name and SHA-1) and how to import it.
    """
    for level in levels:
        if not (level.folder / f"{level.state}.state").is_file():
            _unknown_state(level.game, level.state, level.folder)
        if rom_file(level) is None:
            raise UsageError(_missing_rom(level))


def sha1(file: Path) -> str:
    """SHA-1 of a file's content, in hexadecimal, as `rom.sha` names a ROM."""
    return hashlib.sha1(file.read_bytes()).hexdigest()


# --- reading levels.yaml ---


def _parse_set(path: Path, name: object, entry: object) -> LevelSet:
    where = f"{path}: set {shown(name)}"
    if not isinstance(name, str) or not name or set("/,") & set(name):
        raise UsageError(f"{where}: a set's name is a word without '/' and ','")
    required: dict[str, type] = {"split": str, "description": str, "levels": list}
    _check_keys(where, entry, required, optional={"integrations": str})
    assert isinstance(entry, dict)
    if entry["split"] not in SPLITS:
        raise UsageError(
            f"{where}: key 'split' is {shown(entry['split'])}, not {' or '.join(SPLITS)}"
        )
    integrations = None
    if "integrations" in entry:
        integrations = (path.parent / entry["integrations"]).resolve()
    levels: list[Level] = []
    for number, group in enumerate(entry["levels"], start=1):
        where_group = f"{where}: key 'levels', entry {number}"
        _check_keys(where_group, group, {"game": str, "states": list}, optional={})
        for state in group["states"]:
            if not isinstance(state, str):
                raise UsageError(f"{where_group}: key 'states' must hold names, not {shown(state)}")
            levels.append(_level(group["game"], state, integrations))
    if not levels:
        raise UsageError(f"{where}: key 'levels' holds no level")
    if len(set(levels)) < len(levels):
        raise UsageError(f"{where}: key 'levels' names a level twice")
    return LevelSet(name, entry["split"], entry["description"], tuple(levels))


def _check_keys(
    where: str, entry: object, required: dict[str, type], optional: dict[str, type]
) -> None:
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: must be a mapping with the keys {', '.join(required)}")
    known = required | optional
    for key, value in entry.items():
        if key not in known:
            raise UsageError(f"{where}: unknown key {shown(key)} (known: {', '.join(known)})")
        if not isinstance(value, known[key]):
            expected = "a list" if known[key] is list else "text"
            raise UsageError(f"{where}: key '{key}' must be {expected}, not {shown(value)}")
    for key in required:
        if key not in entry:
            raise UsageError(f"{where}: key '{key}' is missing")


def _level(game: str, state: str, integrations: Path | None) -> Level:
    """A level; a game of stable-retro's `contrib` folder is treated as a custom integration."""
    if integrations is None and not (stable_retro_games("stable") / game).is_dir():
        contrib = stable_retro_games("contrib")
        if (contrib / game).is_dir():
            integrations = contrib
    return Level(game, state, integrations)


# --- finding levels ---


def _find_one(part: str, sets: dict[str, LevelSet]) -> list[Level]:
    """Levels of `GAME/STATE`, `STATE`, `DIR/GAME` or `DIR/GAME/STATE`."""
    path = Path(part)
    if _is_game(path):
        path = path.resolve()
        if not states(path):
            raise UsageError(f"{part}: the integration folder holds no *.state file")
        return [Level(path.name, state, path.parent) for state in states(path)]
    if _is_game(path.parent):
        folder = path.parent.resolve()
        if path.name not in states(folder):
            _unknown_state(folder.name, path.name, folder)
        return [Level(folder.name, path.name, folder.parent)]

    listed = {level.name: level for levels in sets.values() for level in levels.levels}
    if part in listed:
        return [listed[part]]
    of_state = [level for level in listed.values() if level.state == part]
    if len(of_state) > 1:
        names = [level.name for level in of_state]
        raise UsageError(f"{len(names)} games have a state '{part}': name {' or '.join(names)}")
    if of_state:
        return of_state
    game, _, state = part.partition("/")
    if state and "/" not in state:
        # A state that no set lists, of a game that one lists or that stable-retro has.
        of_game = [level for level in listed.values() if level.game == game]
        level = _level(game, state, of_game[0].integrations if of_game else None)
        if level.folder.is_dir():
            if state not in states(level.folder):
                _unknown_state(game, state, level.folder)
            return [level]
    known = [*sets, *listed, *(level.state for level in listed.values())]
    raise UsageError(
        f"no level or level set '{part}'{did_you_mean(part, known)} "
        "(retro-contest levels lists them; a folder is given as DIR/GAME or DIR/GAME/STATE)"
    )


def _is_game(path: Path) -> bool:
    return (path / "data.json").is_file()


def _unknown_state(game: str, state: str, folder: Path) -> NoReturn:
    known = states(folder)
    hint = did_you_mean(state, known) or f"; it has: {', '.join(known[:30]) or 'none'}"
    raise UsageError(f"game {game} has no state '{state}'{hint}")


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known one most like it, if any."""
    close = difflib.get_close_matches(text, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _missing_rom(level: Level) -> str:
    try:
        hashes = (level.folder / "rom.sha").read_text().split()
    except OSError:
        hashes = []
    which = f" with SHA-1 {' or '.join(hashes)}" if hashes else ""
    message = f"no ROM for {level.game}: it needs the ROM{which}; "
    if (level.folder / "rom.delta").is_file():
        # The 2018 contests' own levels are changes (VCDIFF) to a Sonic ROM.
        return message + (
            f"make it from the original game's ROM with xdelta3 -d -s ORIGINAL.md "
            f"{level.folder / 'rom.delta'} DIR/custom.md, then python -m stable_retro.import DIR"
        )
    if level.integrations is None:
        return message + "import the ROMs in a folder with python -m stable_retro.import DIR"
    return message + f"put it into {level.folder} as rom.md"
