"""`retro-contest roms import`: every form of a dump, and a sentence for whatever will not do."""

import io
import os
import socket
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from retro_common.errors import UsageError
from retro_contest.cli.main import main
from retro_contest.containers.options import of_server
from retro_contest.emulator.game_files import GameFiles
from retro_contest.levels import Level, check_playable, find, rom_file
from retro_contest.rom_files import own_rom, own_roms, stable_retro_games
from retro_contest.roms import catalogue as known_roms
from retro_contest.roms.catalogue import LOCKED_ON, LOWER, UPPER, catalogue
from retro_contest.roms.importing import import_roms
from retro_contest.roms.search import MOST_ROM, Search
from retro_contest.rules import Rules
from retro_contest.runs.match import Run
from tests.retro_contest.rom_kit import integration, rom_of, sha1, smd, swapped, zipped

ROM = rom_of("A GAME")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def level(tmp_path: Path) -> Level:
    """A level of a game whose ROM is `ROM`, and missing."""
    folder = integration(tmp_path / "games/Mine-Genesis-v0", ROM)
    (level,) = find(str(folder))
    return level


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    (tmp_path / "owner").mkdir()
    return tmp_path / "owner"


def sentences(paths, levels=(), **bounds) -> list[tuple[str, str, str]]:
    found = import_roms(paths, catalogue(levels), Search(**bounds))
    return [(each.kind.value, each.name, each.sentence) for each in found]


FORMS = {
    "no-name-that-helps.txt": (ROM, ""),
    "copied.bin": (bytes(512) + ROM, " (copier header removed)"),
    "interleaved.smd": (
        smd(ROM),
        " (copier header removed, Super Magic Drive dump converted)",
    ),
    "interleaved-without-header.md": (smd(ROM)[512:], " (Super Magic Drive dump converted)"),
    "swapped.bin": (swapped(ROM), " (bytes swapped back)"),
    "copied-and-swapped.bin": (
        bytes(512) + swapped(ROM),
        " (copier header removed, bytes swapped back)",
    ),
    "padded.gen": (ROM + b"\xff" * 5000, " (padding removed)"),
    "zipped.zip": (zipped(folder__a=b"text", folder__rom=ROM), ""),
    "zipped-interleaved.dat": (
        zipped(rom=smd(ROM)),
        " (copier header removed, Super Magic Drive dump converted)",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_rom_is_known_by_its_content_in_every_form(name, owner, level):
    content, note = FORMS[name]
    (owner / "deeper").mkdir()
    (owner / "deeper" / name).write_bytes(content)
    found = [each for each in sentences([owner], [level]) if each[0] != "other"]
    assert [(kind, text) for kind, _, text in found] == [
        ("imported", f"Mine-Genesis-v0: imported{note}")
    ]
    assert found[0][1].startswith(str(owner / "deeper" / name))
    rom = rom_file(level)
    assert rom == own_rom(sha1(ROM), level.game) and rom.read_bytes() == ROM
    assert not list(level.folder.glob("rom.md")), "site-packages need not be writable"
    check_playable([level])


@pytest.mark.parametrize(
    ("name", "content", "kind", "says"),
    [
        (
            "rev00.md",
            rom_of("SONIC THE               HEDGEHOG", "GM 00001009-00"),
            "refused",
            "looks like 'SONIC THE HEDGEHOG', serial GM 00001009-00, revision 00, for JUE, SHA-1 "
            "{sha1}: another revision; SonicTheHedgehog-Genesis-v0 needs revision 01, SHA-1 "
            "69e102855d4389c3fd1a8f3dc7d193f8eee5fe5b",
        ),
        (
            "rev00.smd",
            smd(rom_of("SONIC THE               HEDGEHOG", "GM 00001009-00")),
            "refused",
            "(copier header removed, Super Magic Drive dump converted)",
        ),
        (
            "cut.md",
            rom_of("SONIC THE             HEDGEHOG 2", "GM 00001051-01")[:0x4000],
            "refused",
            "but cut off: its header says 32,768 bytes, it has 16,384: "
            "SonicTheHedgehog2-Genesis-v0 needs revision 01, SHA-1 8bca5dce",
        ),
        (
            "hacked.md",
            rom_of("SONIC & KNUCKLES")[:-1] + b"!",
            "refused",
            "but damaged or changed: its checksum is wrong: SonicAndKnuckles-Genesis-v0 needs "
            "SHA-1 88d6499d",
        ),
        (
            "unknown.md",
            rom_of("ANOTHER GAME", ""),
            "refused",
            "looks like 'ANOTHER GAME', for JUE: no game that is wanted here has SHA-1 {sha1}",
        ),
        ("notitle.md", rom_of("", ""), "refused", "looks like a ROM without a title"),
        ("noise.bin", bytes(range(256)) * 4, "refused", "no Mega Drive ROM: the console's name"),
        ("README.md", b"# Text", "other", "no Mega Drive ROM"),
        ("empty.md", b"", "other", "an empty file"),
        ("page.zip", b"<html>not found", "refused", "no zip archive, whatever its name says"),
        ("cut.zip", zipped(rom=ROM)[:-30], "skipped", "skipped: a damaged zip archive"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), "skipped", "a 7z archive: unpack it first"),
        ("a.rar", b"Rar!\x1a\x07\x01\0" + bytes(99), "skipped", "a RAR archive: unpack it first"),
        ("a.gz", b"\x1f\x8b\x08" + bytes(99), "skipped", "a gzip archive: unpack it first"),
        ("a.xz", b"\xfd7zXZ\0" + bytes(99), "skipped", "an xz archive: unpack it first"),
        (
            "twice.zip",
            zipped(inner=zipped(rom=ROM)),
            "skipped",
            "a zip archive in a zip archive: unpack it first",
        ),
    ],
)
def test_what_will_not_do_has_a_sentence_of_its_own(name, content, kind, says, owner):
    (owner / name).write_bytes(content)
    ((found, where, text),) = sentences([owner / name])
    assert found == kind and where.startswith(str(owner / name))
    assert says.format(sha1=sha1(content)) in text and "\n" not in text
    assert not own_roms().exists()


def test_a_revision_known_by_its_hash_is_named(owner, monkeypatch):
    """No ROM with such a hash is here; one of ours stands in."""
    rom = rom_of("X")
    words = "Sonic the Hedgehog, revision 00", "SonicTheHedgehog-Genesis-v0"
    monkeypatch.setitem(known_roms.REVISIONS, sha1(rom), words)
    (owner / "rom.bin").write_bytes(swapped(rom))
    ((_, _, text),) = sentences([owner])
    assert text.startswith("Sonic the Hedgehog, revision 00: SonicTheHedgehog-Genesis-v0 needs rev")


# --- archives and files that would do harm ---


def archive_of(owner: Path, method: int, content: bytes) -> Path:
    with zipfile.ZipFile(owner / "a.zip", "w", method) as file:
        file.writestr("rom.bin", content)
    return owner / "a.zip"


def test_members_that_ask_for_memory_are_skipped(owner):
    archive_of(owner, zipfile.ZIP_LZMA, ROM)
    assert "compressed in an unusual way" in sentences([owner])[0][2]
    archive_of(owner, zipfile.ZIP_DEFLATED, bytes(MOST_ROM + 1))
    assert "too big for a ROM (16,777,729 bytes)" in sentences([owner])[0][2]


def test_a_member_that_unpacks_to_more_than_it_says(owner):
    path = archive_of(owner, zipfile.ZIP_DEFLATED, bytes(MOST_ROM + 1))
    content = bytearray(path.read_bytes())
    for at in (22, content.rindex(b"PK\1\2") + 24):  # in front of it, and in the list of members
        content[at : at + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    text = sentences([owner])[0][2]
    assert "damaged in its zip archive" in text or "unpacks to more than it says" in text


def test_an_encrypted_member(owner):
    path = archive_of(owner, zipfile.ZIP_DEFLATED, ROM)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    assert "encrypted: unpack the archive with its password first" in sentences([owner])[0][2]


def test_a_damaged_member(owner):
    path = archive_of(owner, zipfile.ZIP_STORED, ROM)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert "damaged in its zip archive" in sentences([owner])[0][2]


def test_a_list_of_members_without_end(owner):
    with zipfile.ZipFile(owner / "a.zip", "w") as file:
        file.writestr("rom.bin", ROM)
    content = bytearray((owner / "a.zip").read_bytes())
    end = content.rindex(b"PK\5\6")
    content[end + 12 : end + 16] = struct.pack("<I", 1 << 30)
    with (owner / "a.zip").open("wb") as out:  # sparse: the list would be a gigabyte of zeros
        out.write(content[:end])
        out.seek(1 << 30, os.SEEK_CUR)
        out.write(content[end:])
    assert "a zip archive with too many members" in sentences([owner])[0][2]


def test_an_archive_that_unpacks_to_much(owner):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(30):
            file.writestr(f"{number}", bytes(1 << 20))
    (owner / "bomb.zip").write_bytes(archive.getvalue())
    assert len(archive.getvalue()) < 1 << 16
    found = sentences([owner], most_unpacked=10 << 20)
    assert found[-1][2] == "skipped: a zip archive with more than 10,485,760 bytes in it"
    assert len(found) < 15
    *_, last = sentences([owner], most_bytes=10 << 20)
    assert last[0] == "ended" and "stopped after 10,485,760 bytes" in last[2]


def test_what_is_no_file_is_skipped_without_waiting(owner, level):
    os.mkfifo(owner / "fifo.md")
    (owner / "gone.md").symlink_to(owner / "nowhere")
    (owner / "zeros.md").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(owner / "socket.md"))
        (owner / "z.bin").write_bytes(ROM)
        found = {Path(name).name: text for _, name, text in sentences([owner], [level])}
    assert found == {
        "fifo.md": "skipped: a FIFO, not a plain file",
        "gone.md": "skipped: no such file",
        "socket.md": "skipped: a socket or a device, not a plain file",
        "z.bin": "Mine-Genesis-v0: imported",
        "zeros.md": "skipped: a device, not a plain file",
    }


def test_a_file_too_big_for_a_rom_is_not_read(owner):
    with (owner / "film.bin").open("wb") as file:
        file.truncate(3 << 40)
    with (owner / "disc.bin").open("wb") as file:
        file.truncate(600 << 20)
    texts = [text for _, _, text in sentences([owner])]
    assert texts[0] == "skipped: too big for a ROM (629,145,600 bytes)"
    assert texts[1].startswith("skipped: it has 3,298,534,883,328 bytes, more than")


def test_links_in_a_circle_and_links_to_folders(owner, level, tmp_path):
    (owner / "a/b").mkdir(parents=True)
    (owner / "a/b/up").symlink_to(owner)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/rom").write_bytes(ROM)
    (owner / "link").symlink_to(tmp_path / "elsewhere")
    found = sentences([owner, owner], [level])
    again = "skipped: a link to a folder that was looked at already"
    assert (str(owner / "a/b/up"), again) in [each[1:] for each in found]
    assert [each[1] for each in found if each[0] == "imported"] == [str(owner / "link/rom")]


def test_folders_without_bottom(owner):
    deep = owner
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert "folders nested more than 40 deep" in sentences([owner])[0][2]


def test_a_million_files_end_the_search(owner, level):
    for number in range(300):
        (owner / f"{number}").touch()
    *_, last = sentences([owner], [level], most_files=200)
    assert last[0] == "ended"
    assert last[2].startswith("stopped after 200 files and folders: name the folder that holds")
    members = zipped(**{f"m{number}": b"x" for number in range(300)})
    (owner / "a.zip").write_bytes(members)
    *_, last = sentences([owner / "a.zip"], [level], most_files=200)
    assert last[0] == "ended"


def test_a_path_that_is_not_there(owner):
    with pytest.raises(UsageError, match=r"there is no file or folder .*nowhere"):
        sentences([owner / "nowhere"])


# --- where ROMs lie ---


def test_a_good_rom_is_never_overwritten_and_a_bad_one_is(owner, level):
    (owner / "rom").write_bytes(ROM)
    assert sentences([owner], [level])[0][0] == "imported"
    rom = rom_file(level)
    before = rom.stat()
    assert sentences([owner], [level])[0][2] == "Mine-Genesis-v0: already here"
    assert rom.stat().st_mtime_ns == before.st_mtime_ns and rom.stat().st_ino == before.st_ino
    (owner / "rom").write_bytes(rom_of("ANOTHER"))
    assert sentences([owner], [level])[0][0] == "refused"
    assert rom.read_bytes() == ROM

    rom.write_bytes(ROM[:-1] + b"!")
    with pytest.raises(UsageError, match="is another ROM than that of Mine-Genesis-v0"):
        check_playable([level])
    (owner / "rom").write_bytes(ROM)
    assert sentences([owner], [level])[0][0] == "imported"
    assert rom.read_bytes() == ROM
    assert [path.name for path in rom.parent.iterdir()] == ["rom.md"], "no temporary file stays"


def test_a_rom_that_stable_retros_own_tool_imported_is_found(owner, level):
    (level.folder / "rom.md").write_bytes(ROM)
    (owner / "rom").write_bytes(ROM)
    assert sentences([owner], [level])[0][2] == "Mine-Genesis-v0: already here"
    assert rom_file(level) == level.folder / "rom.md" and not own_roms().exists()

    # A wrong one there does not hide the right one here.
    (level.folder / "rom.md").write_bytes(rom_of("ANOTHER"))
    assert sentences([owner], [level])[0][0] == "imported"
    assert rom_file(level) == own_rom(sha1(ROM), level.game)
    first, second = GameFiles.of(level).paths
    assert (first, second) == (str(own_roms() / sha1(ROM)), str(level.folder.parent))


def test_two_games_of_one_name_keep_their_roms(owner, level, tmp_path):
    other_rom = rom_of("OTHER")
    (other,) = find(str(integration(tmp_path / "others/Mine-Genesis-v0", other_rom)))
    (owner / "one").write_bytes(ROM)
    (owner / "two").write_bytes(other_rom)
    assert [each[0] for each in sentences([owner], [level, other])] == ["imported", "imported"]
    assert rom_file(level).read_bytes() == ROM and rom_file(other).read_bytes() == other_rom


def test_a_folder_that_cannot_be_written_is_named(owner, level, monkeypatch):
    (owner / "rom").write_bytes(ROM)
    monkeypatch.setenv("XDG_DATA_HOME", str(owner / "rom"))
    with pytest.raises(UsageError, match=r"cannot write .*rom\.md: Not a directory \(the envir.*X"):
        sentences([owner], [level])


# --- Sonic & Knuckles with Sonic 3 in its slot ---


@pytest.fixture
def halves(tmp_path):
    """Stand-ins for the two cartridges, and games that want them and both together."""
    lower, upper = rom_of("LOWER"), rom_of("UPPER")
    folders = [
        integration(tmp_path / "games" / name, rom)
        for name, rom in ((LOWER, lower), (UPPER, upper), (LOCKED_ON, lower + upper))
    ]
    return lower, upper, [level for folder in folders for level in find(str(folder))]


def test_two_cartridges_make_the_locked_on_rom(owner, halves):
    lower, upper, levels = halves
    (owner / "upper.smd").write_bytes(smd(upper))
    *_, last = sentences([owner], levels)
    assert last[2].startswith(
        f"{LOCKED_ON} is still missing: it can be put together from {UPPER}, which is here, and "
        f"{LOWER}, SHA-1 {sha1(lower)}"
    )
    # On another day the other one.
    (owner / "upper.smd").unlink()
    (owner / "lower.bin").write_bytes(lower)
    *_, last = sentences([owner], levels)
    assert last == (
        "imported",
        f"{LOWER} + {UPPER}",
        f"{LOCKED_ON}: put together and imported",
    )
    assert rom_file(levels[-1]).read_bytes() == lower + upper
    assert len(sentences([owner], levels)) == 1, "nothing is left to say"


def test_halves_of_other_revisions_do_not_make_it(owner, halves):
    lower, upper, levels = halves
    (levels[-1].folder / "rom.sha").write_text("0" * 40)
    (owner / "a").write_bytes(lower)
    (owner / "b").write_bytes(upper)
    *_, last = sentences([owner], levels)
    assert last[0] == "refused" and "put together they are not the ROM of" in last[2]
    assert rom_file(levels[-1]) is None


# --- the command ---


def test_the_command_says_what_it_found_and_what_is_next(owner, level, tmp_path, capsys):
    (owner / "rom.smd").write_bytes(smd(ROM))
    for number in range(50):
        (owner / f"photo{number}.jpg").write_bytes(b"\xff\xd8")
    words = ["roms", "import", str(owner), "--levels", str(level.folder)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "rom.smd: Mine-Genesis-v0: imported (copier header removed, Super Magic" in out
    assert "... and 10 more files that are no ROMs" in out
    assert f"1 imported into {own_roms()}, 0 already here, 0 not usable" in out
    assert f"{level.folder}: every ROM is here" in out
    assert "sonic-final-2018: no ROM for SonicTheHedgehogCustomKevin-Genesis, " in out
    assert main(words) == 0 and "0 imported" in capsys.readouterr().out
    assert main(["roms", "import", str(owner / "photo1.jpg")]) == 1
    assert main(["roms", "import", str(tmp_path / "nowhere")]) == 2
    assert main(["roms", "import"]) == 2


def test_every_game_of_the_level_sets_is_known():
    known = catalogue()
    for name in ("sonic-train", "sonic-validation", "sonic-leaderboard-2018", "sonic-final-2018"):
        for level in find(name):
            game = known.named(level.game)
            assert game is not None and game.folder == level.folder
            assert all(game in known.by_digest[digest] for digest in game.digests)
    for name in (LOWER, UPPER, LOCKED_ON, *known_roms.TITLES.values(), *known_roms.NEEDED):
        assert (stable_retro_games("stable") / name / "rom.sha").is_file()


def test_a_container_gets_the_rom_from_wherever_it_lies(owner, level, tmp_path):
    """The environment's image holds no ROM: the level's files are mounted, and no others."""
    (owner / "rom").write_bytes(ROM)
    (level.folder / "rom.md").write_bytes(rom_of("ANOTHER"))
    assert sentences([owner], [level])[0][0] == "imported"
    run = Run(level, 0, tmp_path / "results", Rules())
    mounts = of_server(run, 1000, SimpleNamespace(name="volume"))["mounts"]
    files = {mount["Target"]: mount for mount in mounts if mount["Target"].startswith("/levels/")}
    assert set(files) == {
        f"/levels/{level.game}/{name}"
        for name in (f"{level.state}.state", "contest.json", "data.json", "metadata.json",
                     "scenario.json", "rom.md")
    }  # fmt: skip
    rom = files[f"/levels/{level.game}/rom.md"]
    assert rom["Source"] == str(own_rom(sha1(ROM), level.game)) and rom["ReadOnly"]
