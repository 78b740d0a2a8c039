"""Sonic without its ROMs: rules, RAM variables, save-states and buttons, as stable-retro has them.

A save-state holds the console's RAM. The emulator loads it with any ROM, so the variables of every
level and the scripts that turn them into rewards can be tried on what the games really wrote there.
No frame is emulated: that would need the game's code.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import stable_retro

from gym_remote import BUTTONS
from retro_contest.levels import Level, load_sets, states
from tests.retro_contest.rom_kit import SHIPPED

RAM = 0xFF0000
SETS = {name: of.levels for name, of in load_sets().items() if name.startswith("sonic")}
LEVELS = sorted(
    {level for levels in SETS.values() for level in levels}, key=lambda level: level.name
)
GAMES = sorted({level.folder for level in LEVELS})
IDS = [folder.name for folder in GAMES]

# Zones by the numbers that the games give them (in the sets' names, without "Zone").
ZONES = {
    "SonicTheHedgehog": {
        0: "GreenHill",
        1: "Labyrinth",
        2: "Marble",
        3: "StarLight",
        4: "SpringYard",
        5: "ScrapBrain",
    },
    "SonicTheHedgehog2": {
        0: "EmeraldHill",
        4: "Metropolis",
        5: "Metropolis",
        6: "WingFortress",
        7: "HillTop",
        10: "OilOcean",
        11: "MysticCave",
        12: "CasinoNight",
        13: "ChemicalPlant",
        15: "AquaticRuin",
    },
    "SonicAndKnuckles3": {
        0: "AngelIsland",
        1: "Hydrocity",
        2: "MarbleGarden",
        3: "CarnivalNight",
        4: "FlyingBattery",
        5: "Icecap",
        6: "LaunchBase",
        7: "MushroomHill",
        8: "Sandopolis",
        9: "LavaReef",
        11: "DeathEgg",
        22: "HiddenPalace",
    },
}
OVER = {"game_mode": 16, "special_stage": 1}
"""values that mean a bonus stage"""
START = {"lives": 3, "rings": 0, "score": 0, "special_stage": 0, "level_end_bonus": 0}


class Console:
    """The console's RAM, a game's variables in it, and its scenario."""

    def __init__(self) -> None:
        self.emulator = stable_retro.RetroEmulator(str(SHIPPED / "rom.md"))
        self.data = stable_retro.data.GameData()

    def load(self, folder: Path) -> None:
        self.data = stable_retro.data.GameData()
        self.emulator.configure_data(self.data)
        self.emulator.step()  # the core gives its memory out with the first frame
        assert self.data.load(str(folder / "data.json"), str(folder / "contest.json"))

    def state(self, level: Level) -> dict[str, int]:
        """Begin an episode at a level's save-state; the variables."""
        content = gzip.decompress((level.folder / f"{level.state}.state").read_bytes())
        assert self.emulator.set_state(content)
        self.begin()
        return self.data.lookup_all()

    def begin(self, **values: int) -> None:
        """Begin an episode with these values in RAM, as stable-retro's `reset` does.

        The scripts run once here, and their reward is not taken.
        """
        for name, value in values.items():
            self.data.set_value(name, value)
        self.data.reset()
        self.data.update_ram()

    def frame(self, **values: int) -> tuple[float, bool]:
        """Reward and end of a frame after which RAM holds these values."""
        for name, value in values.items():
            self.data.set_value(name, value)
        self.data.update_ram()
        return self.data.current_reward(), self.data.is_done()

    def byte(self, address: int) -> int:
        """A byte of RAM as the console sees it; the core keeps words in this machine's order."""
        return self.data.memory.blocks[RAM][(address - RAM) ^ 1]


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    made = Console()
    yield made
    del made.emulator


def script(folder: Path) -> str:
    """The game's Lua without its comments."""
    return re.sub(r"--.*", "", (folder / "script.lua").read_text())


def ends(folder: Path) -> dict[tuple[int, int], int]:
    """Where each act ends, in pixels, by zone and act: the table at the script's head."""
    found = {}
    row = r'\["zone=(\d+),act=(\d+)"\] = ([0-9A-Fx +]+)'
    table, *_ = script(folder).partition("}")
    for zone, act, end in re.findall(row, table):
        found[int(zone), int(act)] = sum(int(part, 16) for part in end.split("+"))
    return found


def original(folder: Path) -> str:
    """The game that a custom one was made from, or the game itself, without console and version."""
    return folder.name.partition("Custom")[0].partition("-")[0]


# --- the rules, written again ---


@dataclass
class Rule:
    """The contest's rule: 9000 points for the whole way, back costs, a bonus for an early end."""

    end: int
    """where the act ends"""
    over: dict[str, int]
    """variables that end the episode: name -> value"""
    corrects: bool
    """whether the game counts x anew in the middle of a level, with its act"""
    counted: int
    """frames that its script has counted when the episode begins"""
    first: dict[str, int]
    """variables as the episode begins"""
    before: float = field(init=False, default=0.0)
    shift: int = field(init=False, default=0)
    frames: int = field(init=False, default=0)
    last: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.first

    def frame(self, now: dict[str, int]) -> tuple[float, bool]:
        self.frames += 1
        if self.corrects and now["act"] != self.last["act"]:
            self.shift += self.last["screen_x"] - now["screen_x"]
        way = self.end - self.first["x"]
        progress = min(max(now["x"] - self.first["x"] + self.shift, 0), way) / way
        reward = 9000 * (progress - self.before)
        if progress >= 1:
            reward += 1000 * max(0.0, 1 - (self.counted + self.frames) / 18000)
        lost = now["lives"] < self.last["lives"]
        over = any(now[name] == value for name, value in self.over.items())
        self.before, self.last = progress, now
        return reward, lost or over or progress >= 1


def rule_of(folder: Path, first: dict[str, int]) -> Rule:
    over = {name: value for name, value in OVER.items() if name in variables(folder)}
    return Rule(
        end=ends(folder)[first["zone"], first["act"]],
        over=over,
        corrects=original(folder) == "SonicAndKnuckles3",
        # The custom games' scripts count the one call at the reset, too: 0.06 points less.
        counted=int("Custom" in folder.name),
        first=first,
    )


def variables(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "data.json").read_text())["info"]


def episode(
    folder: Path, rng: np.random.Generator, zone: int, act: int
) -> Iterator[dict[str, int]]:
    """Values of RAM, frame by frame: runs to both sides, leaps, and now and then what ends it."""
    names = variables(folder)
    end = ends(folder)[zone, act]
    now = {"zone": zone, "act": act, "x": int(rng.integers(16, 600)), "lives": 3, "screen_x": 0}
    now |= {"game_mode": 12} if "game_mode" in names else {}
    now |= {"special_stage": 0} if "special_stage" in names else {}
    for _ in range(150):
        yield dict(now)
        kind = rng.random()
        if kind < 0.02:
            now["x"] = int(rng.integers(0, end + 300))
        elif kind < 0.03:
            now["lives"] = max(0, now["lives"] + int(rng.choice([1, -1], p=[0.8, 0.2])))
        elif kind < 0.032 and "game_mode" in names:
            now["game_mode"] = 16
        elif kind < 0.032 and "special_stage" in names:
            now["special_stage"] = 1
        elif kind < 0.04 and "special_stage" in names:
            # The second act of a zone follows in place: x begins anew.
            moved = int(rng.integers(100, 2000))
            now["act"] ^= 1
            now["x"], now["screen_x"] = max(0, now["x"] - moved), max(0, now["screen_x"] - moved)
        else:
            now["x"] = int(np.clip(now["x"] + rng.integers(-12, 40), 0, end + 300))
            now["screen_x"] = max(0, now["x"] - 144)


@pytest.mark.parametrize("folder", GAMES, ids=IDS)
def test_the_scripts_give_the_rewards_of_the_rule(folder: Path, console: Console) -> None:
    console.load(folder)
    rng = np.random.default_rng(7)
    ways_to_end = set()
    for zone, act in ends(folder):
        first, *frames = episode(folder, rng, zone, act)
        rule = rule_of(folder, first)
        console.begin(**first)
        for now in frames:
            reward, done = rule.frame(now)
            assert console.frame(**now) == (pytest.approx(reward, abs=0.02), done), now
            if done:
                ways_to_end.add("end" if rule.before >= 1 else "life or bonus stage")
                break
    assert ways_to_end == {"end", "life or bonus stage"}


@pytest.mark.parametrize(
    ("folder", "steps"),
    [
        *((folder, 100) for folder in GAMES),
        # Later than the time limit: no bonus is left. One script of each kind; it takes seconds.
        *(pytest.param(each, 18_200, marks=pytest.mark.slow) for each in (GAMES[0], GAMES[-1])),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_whole_level_earns_9000_and_the_bonus(folder: Path, steps: int, console: Console) -> None:
    console.load(folder)
    zone, act = min(ends(folder))
    end = ends(folder)[zone, act]
    first = {"zone": zone, "act": act, "lives": 3, "x": 100}
    first |= {"game_mode": 12} if "game_mode" in variables(folder) else {}
    first |= {"special_stage": 0} if "special_stage" in variables(folder) else {}
    console.begin(**first)
    total = 0.0
    for x in np.linspace(100, end, steps).astype(int):
        reward, done = console.frame(x=int(x))
        total += reward
    assert done
    assert total == pytest.approx(9000 + 1000 * max(0, 1 - steps / 18_000), abs=1)


# --- the save-states and variables ---


@pytest.mark.parametrize("level", LEVELS, ids=[level.name for level in LEVELS])
def test_every_level_begins_where_its_name_says(level: Level, console: Console) -> None:
    console.load(level.folder)
    found = console.state(level)
    name, _, act = level.state.partition(".")
    zone = ZONES[original(level.folder)][found["zone"]]
    assert f"{zone}Zone" == name
    if act.startswith("Act"):
        wanted = int(act[3:]) - 1
        # Sonic 2 keeps the third act of Metropolis as a zone of its own.
        assert found["act"] == (0 if level.state == "MetropolisZone.Act3" else wanted)
    assert {key: found[key] for key in START if key in found} == {
        key: value for key, value in START.items() if key in found
    }
    assert found.get("game_mode", 12) & 0x7F == 12, "a level is running"
    end = ends(level.folder)[found["zone"], found["act"]]
    assert found["screen_x"] <= found["x"] < end - 1000
    assert console.frame() == (0.0, False), "standing still earns nothing"
    assert console.frame(x=found["x"] + 100)[0] == pytest.approx(
        9000 * 100 / (end - found["x"]), abs=0.01
    )
    assert console.frame(lives=2)[1]


@pytest.mark.parametrize("folder", GAMES, ids=IDS)
def test_the_variables_are_the_bytes_of_the_save_states(folder: Path, console: Console) -> None:
    console.load(folder)
    described = variables(folder)
    kinds = {"|u1": (1, False), "|i1": (1, True), ">u2": (2, False), ">i2": (2, True)}
    kinds[">u4"] = (4, False)
    spans = []
    for level in (level for level in LEVELS if level.folder == folder):
        found = console.state(level)
        for name, entry in described.items():
            size, signed = kinds[entry["type"]]
            address = entry["address"]
            assert RAM <= address <= RAM + 0xFFFF - size + 1
            raw = bytes(console.byte(address + i) for i in range(size))
            assert found[name] == int.from_bytes(raw, "big", signed=signed), (level.name, name)
            spans.append((address, size))
    spans = sorted(set(spans))
    assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(spans)), "none overlaps another"


@pytest.mark.parametrize("folder", GAMES, ids=IDS)
def test_the_scripts_use_variables_that_there_are(folder: Path) -> None:
    described = variables(folder)
    lua = script(folder)
    own = set(re.findall(r"^\s*data\.(\w+) =", lua, re.MULTILINE))
    used = set(re.findall(r"data\.(\w+)", lua))
    assert used - own <= set(described) and {"x", "lives", "zone", "act"} <= used
    contest = json.loads((folder / "contest.json").read_text())
    assert contest["done"] == {"script": "lua:contest_done"}
    assert contest["reward"] == {"script": "lua:contest_reward"}
    assert "function contest_done" in lua and "function contest_reward" in lua


def test_a_custom_game_ends_its_acts_where_the_original_does() -> None:
    """The contest's custom levels fill the same acts; where they end is in each script."""
    for folder in GAMES:
        (stable,) = (each for each in GAMES if each.name == f"{original(folder)}-Genesis-v0")
        assert ends(folder) == ends(stable), folder.name


# --- the sets ---


def test_the_sets_are_the_states_that_stable_retro_ships() -> None:
    """Every state of the three games is in one set of 58, and every custom one in one of 16."""
    listed = {name: {level.name for level in levels} for name, levels in SETS.items()}
    for names in (("sonic-train", "sonic-validation"),
                  ("sonic-leaderboard-2018", "sonic-final-2018")):  # fmt: skip
        one, other = (listed[name] for name in names)
        assert not one & other
        folders = {level.folder for name in names for level in SETS[name]}
        shipped = {f"{folder.name}/{state}" for folder in folders for state in states(folder)}
        assert one | other == shipped
    assert {name: len(of) for name, of in listed.items()} == {
        "sonic-train": 47,
        "sonic-validation": 11,
        "sonic-leaderboard-2018": 5,
        "sonic-final-2018": 11,
    }


# --- the buttons ---


@pytest.mark.parametrize("folder", GAMES, ids=IDS)
def test_buttons_that_no_player_could_press_are_filtered_out(
    folder: Path, console: Console
) -> None:
    console.load(folder)
    bit = {name: 1 << number for number, name in enumerate(BUTTONS)}
    for pressed in range(1 << 12):
        held = console.data.filter_action(pressed)
        assert not held & (bit["START"] | bit["MODE"])
        assert held & (bit["LEFT"] | bit["RIGHT"]) != bit["LEFT"] | bit["RIGHT"]
        assert held & (bit["UP"] | bit["DOWN"]) != bit["UP"] | bit["DOWN"]
        assert console.data.filter_action(held) == held
    for names in ("", "LEFT", "RIGHT", "LEFT DOWN", "RIGHT DOWN", "DOWN", "DOWN B", "B",
                  "LEFT B", "RIGHT B", "A", "C"):  # fmt: skip
        pressed = sum(bit[name] for name in names.split())
        assert console.data.filter_action(pressed) == pressed, names
