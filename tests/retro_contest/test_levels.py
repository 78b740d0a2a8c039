import shutil
from pathlib import Path

import pytest
import yaml

from retro_common.errors import UsageError
from retro_contest.cli.main import main
from retro_contest.emulator.game_files import GameFiles
from retro_contest.levels import (
    LEVELS_FILE,
    Level,
    benchmark_of,
    check_playable,
    find,
    find_one,
    hashes_of,
    load_sets,
    rom_file,
    sha1,
    stable_retro_games,
    states,
)

AIRSTRIKER = Level("Airstriker-Genesis-v0", "Level1")
ONE_SET = """
mine:
  split: test
  description: one level
  integrations: games
  levels:
    - game: Mine-Genesis-v0
      states: [Act1, Act2]
"""


@pytest.fixture
def folder(tmp_path):
    """A custom integration folder with a set that uses it; the ROM is missing."""
    game = tmp_path / "games/Mine-Genesis-v0"
    game.mkdir(parents=True)
    (game / "data.json").write_text("{}")
    (game / "rom.sha").write_text("0" * 40 + "\n")
    for state in ("Act1", "Act2", "Act3"):
        (game / f"{state}.state").touch()
    (tmp_path / "levels.yaml").write_text(ONE_SET)
    return tmp_path


def test_every_listed_level_has_its_state():
    for levels in load_sets().values():
        for level in levels.levels:
            assert (level.folder / f"{level.state}.state").is_file(), level.name


def test_sets_of_2018_have_the_published_sizes():
    sets = load_sets()
    sizes = {name: len(sets[name].levels) for name in sets if name.startswith("sonic")}
    assert sizes == {
        "sonic-train": 47,
        "sonic-validation": 11,
        "sonic-leaderboard-2018": 5,
        "sonic-final-2018": 11,
    }
    per_game: dict[str, int] = {}
    for level in sets["sonic-train"].levels:
        per_game[level.game] = per_game.get(level.game, 0) + 1
    assert list(per_game.values()) == [13, 15, 19]


def test_no_level_is_in_two_splits():
    split: dict[Level, str] = {}
    for levels in load_sets().values():
        for level in levels.levels:
            assert split.setdefault(level, levels.split) == levels.split, level.name


def test_find_by_set_level_and_folder(folder):
    file = folder / "levels.yaml"
    games = folder / "games"
    acts = [Level("Mine-Genesis-v0", f"Act{n}", games) for n in (1, 2, 3)]
    assert find("mine", file) == acts[:2]
    assert find("Mine-Genesis-v0/Act1", file) == acts[:1]
    assert find("Mine-Genesis-v0/Act3", file) == acts[2:], "a state that no set lists"
    assert find(f"{games}/Mine-Genesis-v0", file) == acts
    assert find(f"{games}/Mine-Genesis-v0/", file) == acts
    assert find(f"{games}/Mine-Genesis-v0/Act2", file) == [acts[1]]
    assert find(f"mine, {AIRSTRIKER.name},mine", file) == [*acts[:2], AIRSTRIKER]
    assert find("airstriker") == [AIRSTRIKER]


def test_a_state_alone_is_enough_where_one_game_has_it(folder):
    file = folder / "levels.yaml"
    assert find("Act2", file) == find("Mine-Genesis-v0/Act2", file)
    (level,) = find("FernHollow.Act3")
    assert level.game == "PangolinDash-Genesis-v0"
    with pytest.raises(UsageError, match=r"did you mean 'FernHollow\.Act3'"):
        find("FernHolow.Act3")
    again = ONE_SET.replace("mine:", "other:").replace("Mine-", "Other-")
    file.write_text(ONE_SET + again)
    with pytest.raises(UsageError, match=r"2 games have a state 'Act2': name Mine-.* or Other-"):
        find("Act2", file)


def test_one_level_is_found_or_refused(folder):
    file = folder / "levels.yaml"
    assert find_one("Act1", file) == find("Act1", file)[0]
    with pytest.raises(UsageError, match="'mine' means 2 levels: name one, as GAME/STATE"):
        find_one("mine", file)


def test_a_relative_folder_is_found_from_where_one_stands(folder, monkeypatch):
    monkeypatch.chdir(folder / "games")
    (level,) = find("Mine-Genesis-v0/Act3")
    assert level == Level("Mine-Genesis-v0", "Act3", folder / "games")


def test_a_contrib_game_is_found_in_stable_retro():
    (level,) = find("SonicTheHedgehogCustomCathy-Genesis/StarLightZone.Custom")
    assert level.integrations == stable_retro_games("contrib")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("airstrikr", "did you mean 'airstriker'"),
        ("Airstriker-Genesis-v0/Level2", "has no state 'Level2'; did you mean 'Level1'"),
        ("Airstriker-Genesis-v0/Zzz", "it has: Level1"),
        ("Nope-Genesis-v0/Level1", "no level or level set"),
        ("/nowhere/Game/Act1", "no level or level set"),
        ("airstriker,", "empty name"),
        ("", "empty name"),
    ],
)
def test_unknown_levels_say_what_was_perhaps_meant(text, says):
    with pytest.raises(UsageError) as error:
        find(text)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("split: test", "splitt: test"), "set 'mine': unknown key 'splitt'"),
        (("split: test", "split: secret"), "key 'split' is 'secret'"),
        (("split: test", "split: 3"), "key 'split' must be text, not 3"),
        (("  description: one level\n", ""), "key 'description' is missing"),
        (("states: [Act1, Act2]", "states: Act1"), "entry 1: key 'states' must be a list"),
        (("states: [Act1, Act2]", "states: [1]"), "key 'states' must hold names, not 1"),
        (("states: [Act1, Act2]", "states: []"), "holds no level"),
        (("states: [Act1, Act2]", "states: [Act1, Act1]"), "names a level twice"),
        (("    - game: Mine-Genesis-v0\n      ", "    - "), "entry 1: key 'game' is missing"),
        (("mine:", "mine/yours:"), "without '/'"),
        ((ONE_SET, "[1, 2]"), "one mapping"),
        ((ONE_SET, "mine: text"), "must be a mapping with the keys"),
        (("split: test", "split: [test"), "not valid YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named(folder, change, says):
    file = folder / "levels.yaml"
    assert change[0] in ONE_SET
    file.write_text(ONE_SET.replace(*change))
    with pytest.raises(UsageError) as error:
        load_sets(file)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*no\.yaml: no such file"):
        load_sets(tmp_path / "no.yaml")


def test_a_missing_rom_is_named_with_the_way_to_get_it(folder):
    with pytest.raises(UsageError, match=r"SHA-1 69e102855d.*retro-contest roms import PATH"):
        check_playable(find("SonicTheHedgehog-Genesis-v0/GreenHillZone.Act1"))
    with pytest.raises(UsageError) as error:
        check_playable(find("sonic-final-2018"))
    text = str(error.value)
    assert "made from the ROM of SonicTheHedgehog-Genesis-v0, SHA-1 69e102855d" in text
    assert "then retro-contest roms patch (and no ROM for SonicTheHedgehogCustomCathy-Gen" in text
    assert text.count("Genesis") == 5, "every game without a ROM is named"
    levels = find("mine", folder / "levels.yaml")
    with pytest.raises(UsageError, match=rf"put it into {levels[0].folder} as rom\.md"):
        check_playable(levels)
    (levels[0].folder / "rom.md").touch()
    (levels[0].folder / "rom.sha").write_text(sha1(levels[0].folder / "rom.md"))
    check_playable(levels)


def test_another_rom_than_that_of_the_game_is_refused(folder):
    levels = find("mine", folder / "levels.yaml")
    rom = levels[0].folder / "rom.md"
    rom.write_bytes(b"another game")
    with pytest.raises(UsageError, match=rf"{rom} is another ROM .*{sha1(rom)}.*{'0' * 40}"):
        check_playable(levels)
    with pytest.raises(UsageError, match="is another ROM"):
        GameFiles.of(levels[0])


@pytest.fixture
def frozen(folder):
    """A set with hashes of its files, and its levels."""
    game = folder / "games/Mine-Genesis-v0"
    (game / "rom.md").write_bytes(b"a game")
    (game / "rom.sha").write_text(sha1(game / "rom.md"))
    file = folder / "levels.yaml"
    levels = find("mine", file)
    (name, content), *_ = yaml.safe_load(ONE_SET).items()
    file.write_text(yaml.safe_dump({name: {**content, "hashes": hashes_of(levels)}}))
    check_playable(levels, file)
    return file, find("mine", file)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rom.md", "rom.md is not"),
        ("Act2.state", "Act2.state is not"),
        ("data.json", r"\*\.json is not"),
        ("contest.json", r"\*\.json is not"),
        ("reward.lua", r"\*\.json is not"),
    ],
)
def test_a_file_that_a_set_was_not_made_with_is_refused(frozen, name, says):
    file, levels = frozen
    (levels[0].folder / name).write_bytes(b"changed")
    (levels[0].folder / "rom.sha").unlink()
    with pytest.raises(UsageError, match=rf"level set mine: .*{says}") as error:
        check_playable(levels, file)
    assert len(str(error.value).splitlines()) == 1


def test_a_state_that_the_set_does_not_have_may_be_any(frozen):
    file, levels = frozen
    (levels[0].folder / "Act3.state").write_bytes(b"changed")
    check_playable(find("Mine-Genesis-v0/Act3", file), file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rom": "0"}, "64 digits"),
        ({"states": {}}, "the states of the set"),
        ({"more": "x"}, "unknown key"),
        ({"states": []}, "must be a mapping"),
    ],
)
def test_hashes_that_cannot_be_are_refused(frozen, change, says):
    file, _ = frozen
    content = yaml.safe_load(file.read_text())
    content["mine"]["hashes"]["Mine-Genesis-v0"] |= change
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=says):
        load_sets(file)


@pytest.mark.parametrize("name", ["pangolin-train", "pangolin-test"])
def test_the_sets_of_pangolin_dash_have_the_hashes_of_their_files(name, capsys):
    """The command regenerates them."""
    known = yaml.safe_load(LEVELS_FILE.read_text())[name]["hashes"]
    assert main(["levels", name, "--hashes"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"hashes": known}


def test_one_changed_byte_is_no_frozen_benchmark(tmp_path):
    level = find("FernHollow.Act3")[0]
    assert benchmark_of(level) == "Pangolin v1"
    assert benchmark_of(find("airstriker")[0]) == ""
    copy = tmp_path / level.game
    shutil.copytree(level.folder, copy)
    (same,) = find(str(copy / level.state))
    assert benchmark_of(same) == "Pangolin v1", "wherever the files lie"
    for name in ("rom.md", f"{level.state}.state", "scenario.json"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert benchmark_of(same) == ""
        (copy / name).write_bytes(whole)


def test_a_state_that_was_removed_is_noticed(folder):
    levels = find("mine", folder / "levels.yaml")
    (levels[1].folder / "rom.md").touch()
    (levels[1].folder / "rom.sha").unlink()
    (levels[1].folder / "Act2.state").unlink()
    with pytest.raises(UsageError, match="no state 'Act2'"):
        check_playable(levels)


def test_the_rom_that_ships_is_the_one_its_hash_names():
    rom = rom_file(AIRSTRIKER)
    assert rom is not None
    assert sha1(rom) == (AIRSTRIKER.folder / "rom.sha").read_text().strip()
    assert states(AIRSTRIKER.folder) == ["Level1"]
    assert isinstance(AIRSTRIKER.folder, Path)


# --- a file of one's own ---

OWN = """
easy:
  split: train
  description: acts of the game that the kit ships
  levels:
    - game: PangolinDash-Genesis-v0
      states: [FernHollow.Act1, AmberDunes.Act1]
own:
  split: test
  description: one's own game
  integrations: games
  levels:
    - game: Mine-Genesis-v0
      states: [Act1]
"""


def test_level_sets_of_one_s_own_file(folder, monkeypatch, capsys):
    (folder / "mine.yaml").write_text(OWN)
    shipped = find("FernHollow.Act1,AmberDunes.Act1")
    own = Level("Mine-Genesis-v0", "Act1", (folder / "games").resolve())
    monkeypatch.chdir(folder)
    assert find("mine.yaml/easy") == shipped
    assert find("mine.yaml/own") == [own]
    assert find("mine.yaml") == [*shipped, own]
    assert find("airstriker,mine.yaml/own") == [AIRSTRIKER, own]
    assert main(["levels", "mine.yaml"]) == 0
    output = capsys.readouterr().out
    assert "AmberDunes.Act1" in output and "missing" in output
    with pytest.raises(UsageError, match=r"mine.yaml has no level set 'eas'; did you mean 'easy'"):
        find("mine.yaml/eas")
    with pytest.raises(UsageError, match=r"nothing\.yaml"):
        find("nothing.yaml")
    assert main(["levels", "mine.yaml/eas"]) == 2


def test_hashes_in_a_file_of_one_s_own_count(folder, monkeypatch):
    hashes = hashes_of(find("FernHollow.Act1,AmberDunes.Act1"))
    content = yaml.safe_load(OWN)
    content["easy"]["hashes"] = hashes
    monkeypatch.chdir(folder)
    Path("mine.yaml").write_text(yaml.safe_dump(content))
    assert len(find("mine.yaml/easy")) == 2
    hashes["PangolinDash-Genesis-v0"]["states"]["AmberDunes.Act1"] = "0" * 64
    Path("mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=r"AmberDunes.Act1.state is not what the set was made"):
        find("mine.yaml/easy")
