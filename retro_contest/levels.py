"""Levels and level sets: which games and states the contest has, and the purpose of each.

`levels.yaml` beside this file names the level sets and is the only place that knows which levels
are for training and which are held out. A game's *integration folder* holds its save-states, its
scenario and most often its ROM; it lies inside stable-retro, or in a custom folder.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from retro_common.config import read_yaml
from retro_common.errors import UsageError
from retro_common.text import shown
from retro_contest.rom_files import (
    SOURCES,
    digest,
    find_rom,
    is_changed,
    sources,
    stable_retro_games,
    wanted,
)

LEVELS_FILE = Path(__file__).with_name("levels.yaml")
SPLITS = ("train", "validation", "test")
YAML = (".yaml", ".yml")


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
class GameHashes:
    """SHA-256 of the files of a game, in hexadecimal."""

    rom: str
    """the ROM"""
    rules: str
    """reward, end of an episode and RAM variables: see `rules_hash`"""
    states: tuple[tuple[str, str], ...]
    """of each state of the set: its name and the hash of its save-state"""


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
    hashes: tuple[tuple[str, GameHashes], ...] = ()
    """for each game the hashes of the files that the set was made with; nothing if any files will
    do"""
    benchmark: str = ""
    """name of the frozen benchmark that these hashes are; nothing if it is none"""


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
            integration folder as a path, `DIR/GAME` for all its states or `DIR/GAME/STATE` for one;
            a file with level sets of one's own, `FILE.yaml` for all of them or `FILE.yaml/SET` for
            one.
        path: the file with the level sets.

    Raises:
        UsageError: nothing has that name, or several games have that state; the message suggests
            a name. Or a file with level sets is wrong, or the hashes of a set in it are not those
            of its levels.
    """
    sets = load_sets(path)
    levels: list[Level] = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            raise UsageError(f"levels '{text}': an empty name between commas")
        file, name = _own_file(part)
        if file is not None:
            levels += _of_file(file, name, sets)
        else:
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
    """The game's ROM, or None where it is missing; see `retro_contest.rom_files.find_rom`."""
    return find_rom(level.folder)


def check_playable(levels: Iterable[Level], path: Path = LEVELS_FILE) -> None:
    """Raise UsageError if files of a level are missing or are others than they should.

    A ROM must be the one that the game's `rom.sha` names, if it has that file; the files of a level
    of a set with hashes must be those that the set was made with. For a missing ROM the message
    says which one it is (name and SHA-1) and how to get it here, and it names all games without.

    Args:
        path: the file with the level sets.
    """
    sets = _known_sets(path, path.stat().st_mtime_ns) if path.exists() else {}
    missing: dict[str, Level] = {}
    for level in levels:
        if not (level.folder / f"{level.state}.state").is_file():
            _unknown_state(level.game, level.state, level.folder)
        rom = rom_file(level)
        if rom is None:
            missing.setdefault(level.game, level)
            continue
        check_rom(level, rom)
        for level_set in sets.values():
            hashes = dict(level_set.hashes).get(level.game)
            if hashes is not None and level in level_set.levels:
                _check_hashes(level_set.name, level, hashes, rom)
    if missing:
        first, *others = missing.values()
        also = f" (and no ROM for {', '.join(level.game for level in others)})" if others else ""
        raise UsageError(missing_rom(first) + also)


def hashes_of(levels: Iterable[Level]) -> dict[str, dict[str, object]]:
    """The hashes of some levels' files as they are now, as `levels.yaml` has them.

    Raises:
        UsageError: a file is missing.
    """
    found: dict[str, dict[str, Any]] = {}
    for level in levels:
        rom = rom_file(level)
        if rom is None:
            raise UsageError(missing_rom(level))
        content = {"rom": sha256(rom), "rules": rules_hash(level.folder), "states": {}}
        game = found.setdefault(level.game, content)
        game["states"][level.state] = sha256(level.folder / f"{level.state}.state")
    return found


def benchmark_of(level: Level, path: Path = LEVELS_FILE) -> str:
    """Name of the frozen benchmark that a level belongs to; nothing if a file differs by a byte.

    Args:
        path: the file with the level sets.
    """
    rom, state = rom_file(level), level.folder / f"{level.state}.state"
    if rom is None or not state.is_file():
        return ""
    for level_set in _known_sets(path, path.stat().st_mtime_ns).values():
        hashes = dict(level_set.hashes).get(level.game)
        if not level_set.benchmark or hashes is None:
            continue
        wanted = hashes.rom, dict(hashes.states).get(level.state), hashes.rules
        if wanted == (sha256(rom), sha256(state), rules_hash(level.folder)):
            return level_set.benchmark
    return ""


def rules_hash(folder: Path) -> str:
    """SHA-256 over names and contents of an integration folder's JSON and Lua files."""
    files = sorted([*folder.glob("*.json"), *folder.glob("*.lua")])
    lines = "".join(f"{file.name} {sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def sha256(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal. Computed once as long as it does not change.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return digest("sha256", file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None


def sha1(file: Path) -> str:
    """SHA-1 of a file's content, in hexadecimal, as `rom.sha` names a ROM."""
    return hashlib.sha1(file.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=8)
def _known_sets(path: Path, _changed: int) -> dict[str, LevelSet]:
    return load_sets(path)


def check_rom(level: Level, rom: Path) -> None:
    """The ROM must be the one that the game's `rom.sha` names, where it has that file.

    Raises:
        UsageError: it is another one.
    """
    known = wanted(level.folder)
    # stable-retro hashes ROMs of the NES without their header.
    if known and rom.suffix != ".nes" and digest("sha1", rom) not in known:
        raise UsageError(
            f"{rom} is another ROM than that of {level.game}: its SHA-1 is "
            f"{digest('sha1', rom)}, that in rom.sha is {' or '.join(known)}"
        )


def _check_hashes(name: str, level: Level, hashes: GameHashes, rom: Path) -> None:
    """The files of a level must be those that its set was made with."""
    state = level.folder / f"{level.state}.state"
    checks = [
        (rom, sha256(rom), hashes.rom),
        (state, sha256(state), dict(hashes.states)[level.state]),
        (level.folder / "*.json", rules_hash(level.folder), hashes.rules),
    ]
    for file, found, expected in checks:
        if found != expected:
            raise UsageError(
                f"level set {name}: {file} is not what the set was made with: its SHA-256 is "
                f"{found[:16]}..., the set has {expected[:16]}..."
            )


# --- reading levels.yaml ---


def _parse_set(path: Path, name: object, entry: object) -> LevelSet:
    where = f"{path}: set {shown(name)}"
    if not isinstance(name, str) or not name or set("/,") & set(name):
        raise UsageError(f"{where}: a set's name is a word without '/' and ','")
    required: dict[str, type] = {"split": str, "description": str, "levels": list}
    _check_keys(
        where,
        entry,
        required,
        optional={"integrations": str, "hashes": dict, "benchmark": str},
    )
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
    hashes = _parse_hashes(where, entry["hashes"], levels) if "hashes" in entry else ()
    benchmark = entry.get("benchmark", "")
    if benchmark and not hashes:
        raise UsageError(f"{where}: key 'benchmark' needs the key 'hashes'")
    return LevelSet(name, entry["split"], entry["description"], tuple(levels), hashes, benchmark)


def _parse_hashes(
    where: str, entry: dict[object, object], levels: Iterable[Level]
) -> tuple[tuple[str, GameHashes], ...]:
    """The key `hashes`: for each game of the set its ROM, its rules and the set's states."""
    states: dict[str, set[str]] = {}
    for level in levels:
        states.setdefault(level.game, set()).add(level.state)
    if entry.keys() != states.keys():
        raise UsageError(f"{where}: key 'hashes' must have the games of the set")
    parsed = []
    for game, known in states.items():
        where_game = f"{where}: key 'hashes', game '{game}'"
        of_game = entry[game]
        _check_keys(where_game, of_game, {"rom": str, "rules": str, "states": dict}, optional={})
        assert isinstance(of_game, dict)
        if of_game["states"].keys() != known:
            raise UsageError(f"{where_game}: key 'states' must have the states of the set")
        for text in (of_game["rom"], of_game["rules"], *of_game["states"].values()):
            if not (isinstance(text, str) and re.fullmatch(r"[0-9a-f]{64}", text)):
                raise UsageError(f"{where_game}: a SHA-256 is 64 digits 0-9 and a-f, in quotes")
        hashes = GameHashes(of_game["rom"], of_game["rules"], tuple(of_game["states"].items()))
        parsed.append((game, hashes))
    return tuple(parsed)


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
            names: dict[type, str] = {list: "a list", dict: "a mapping", str: "text"}
            expected = names[known[key]]
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


def _own_file(part: str) -> tuple[Path | None, str]:
    """`FILE.yaml` or `FILE.yaml/SET` as the file and the set's name; no file for anything else."""
    path = Path(part)
    if path.suffix in YAML:
        return path, ""
    return (path.parent, path.name) if path.parent.suffix in YAML else (None, "")


def _of_file(file: Path, name: str, shipped: dict[str, LevelSet]) -> list[Level]:
    """The levels of the sets in a person's own file, or of the one with that name."""
    sets = load_sets(file)
    if name and name not in sets:
        raise UsageError(f"{file} has no level set '{name}'{did_you_mean(name, sets)}")
    folders = {level.game: level.integrations for one in shipped.values() for level in one.levels}
    levels: list[Level] = []
    for level_set in [sets[name]] if name else sets.values():
        for level in level_set.levels:
            if not level.folder.is_dir() and level.game in folders:  # a game that the kit ships
                level = replace(level, integrations=folders[level.game])
            levels.append(level)
            hashes = dict(level_set.hashes).get(level.game)
            if hashes is not None:
                rom = rom_file(level)
                if rom is None:
                    raise UsageError(missing_rom(level))
                _check_hashes(level_set.name, level, hashes, rom)
    return levels


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


def missing_rom(level: Level) -> str:
    """One line about a game whose ROM is missing: which one it is, and how to get it here."""
    known = wanted(level.folder)
    which = f" with SHA-1 {' or '.join(known)}" if known else ""
    message = f"no ROM for {level.game}: it needs the ROM{which}"
    own = level.integrations not in (None, stable_retro_games("contrib"))
    option = f" --levels {level.folder}" if own else ""
    get = f"retro-contest roms import PATH{option}"
    if is_changed(level.folder):
        source = sources(level.folder)
        name = f"the ROM of {SOURCES.get(level.game, 'the original game')}"
        origin = f"{name}, SHA-1 {' or '.join(source)}" if source else name
        return (
            f"{message}, made from {origin}: {get} with the folder of the original, "
            f"then retro-contest roms patch{option}"
        )
    if own:
        by_hash = f", or {get} with the folder that holds it" if known else ""
        return f"{message}; put it into {level.folder} as rom.md{by_hash}"
    return f"{message}; {get} with the folder that holds it"
