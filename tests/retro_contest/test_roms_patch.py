"""`retro-contest roms patch`: a ROM and a delta make another ROM, and nothing else gets through."""

import shutil
import sys
import time

import numpy as np
import pytest
import pyxdelta

from retro_common.errors import UsageError
from retro_contest.cli.main import main
from retro_contest.levels import Level, check_playable, find, rom_file
from retro_contest.rom_files import SOURCES, own_rom, own_roms, sources, stable_retro_games
from retro_contest.roms.catalogue import catalogue
from retro_contest.roms.delta import MOST_TARGET, DamagedDelta, read_delta
from retro_contest.roms.patching import CannotPatch, apply_delta, patch_roms
from retro_contest.roms.readiness import readiness
from tests.retro_contest.rom_kit import PANGOLIN, SHIPPED, changed_build, integration, sha1

SHIPPED_DELTAS = {  # bytes of the result, bytes of the source that it copies from, windows
    "SonicAndKnuckles3CustomKevin-Genesis": (3_360_356, 4_194_304, 206),
    "SonicTheHedgehog2CustomKevin-Genesis": (1_048_576, 1_048_576, 65),
    "SonicTheHedgehog2CustomLeaderboard-Genesis": (1_048_576, 1_048_576, 65),
    "SonicTheHedgehogCustomCathy-Genesis": (524_288, 524_288, 33),
    "SonicTheHedgehogCustomKevin-Genesis": (557_056, 524_288, 35),
    "SonicTheHedgehogCustomLeaderboard-Genesis": (524_288, 524_288, 33),
}
DECODERS = [
    "library",
    pytest.param(
        "program", marks=pytest.mark.skipif(not shutil.which("xdelta3"), reason="needs xdelta3")
    ),
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def decoder(request, monkeypatch, tmp_path):
    """Only the library, or only the program."""
    if request.param == "library":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setitem(sys.modules, "pyxdelta", None)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[bytes, bytes]:
    """A build of our own game, and the delta that makes it of the shipped one."""
    folder = tmp_path_factory.mktemp("delta")
    (folder / "source").write_bytes(PANGOLIN)
    (folder / "target").write_bytes(changed_build())
    assert pyxdelta.run(
        infile=str(folder / "source"),
        outfile=str(folder / "target"),
        patchfile=str(folder / "delta"),
    )
    return changed_build(), (folder / "delta").read_bytes()


@pytest.fixture
def level(tmp_path, pair) -> Level:
    """A level of a changed game, whose ROM is missing; its source is the shipped game's."""
    folder = integration(tmp_path / "games/Changed-Genesis", pair[0])
    (folder / "rom.delta").write_bytes(pair[1])
    (folder / "rom.source").write_text(sha1(PANGOLIN))
    (level,) = find(str(folder))
    return level


def patched(level: Level) -> tuple[bool, str]:
    known = catalogue([level, *find("pangolin-test")])
    (found,) = patch_roms([known.named(level.game)], known)
    return found.good, found.sentence


@pytest.mark.parametrize("decoder", DECODERS, indirect=True)
def test_a_rom_of_our_own_is_made(decoder, level, pair):
    assert patched(level) == (True, f"made from the ROM with SHA-1 {sha1(PANGOLIN)}")
    assert rom_file(level).read_bytes() == pair[0]
    assert rom_file(level) == own_rom(sha1(pair[0]), level.game)
    assert patched(level) == (True, "already here")
    assert sorted(path.name for path in level.folder.glob("rom.*")) == [
        "rom.delta",
        "rom.sha",
        "rom.source",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "rom.source").unlink(), "rom.source is missing"),
        (
            lambda folder: (folder / "rom.source").write_text("1" * 40),
            f"the ROM with SHA-1 {'1' * 40} is missing: retro-contest roms import PATH",
        ),
        (
            lambda folder: (folder / "rom.sha").write_text("2" * 40),
            f"the result is another ROM: its SHA-1 is {sha1(changed_build())}, that in rom.sha is "
            + "2" * 40,
        ),
        (lambda folder: (folder / "rom.delta").write_bytes(b"text"), "it is no VCDIFF delta"),
        (
            lambda folder: (folder / "rom.delta").write_bytes(
                (folder / "rom.delta").read_bytes()[:3000]
            ),
            "rom.delta cannot be used: it is cut off, or damaged",
        ),
    ],
)
def test_each_reason_has_its_sentence(change, says, level):
    change(level.folder)
    good, text = patched(level)
    assert not good and says in text and "\n" not in text
    assert not own_roms().exists(), "nothing is stored"


def test_a_delta_that_is_no_plain_file(level, tmp_path):
    (level.folder / "rom.delta").unlink()
    with (level.folder / "rom.delta").open("wb") as file:
        file.truncate(1 << 40)
    assert "rom.delta cannot be read: it has 1,099,511,627,776 bytes" in patched(level)[1]


def test_a_missing_decoder_is_said_how_to_get(level, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pyxdelta", None)
    with pytest.raises(UsageError, match=r"pip install .*\[roms\].*\(apt install xdelta3\)"):
        patched(level)
    assert main(["roms", "patch", "--levels", str(level.folder)]) == 1  # its source is unknown here


def test_the_command(level, capsys, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        f"changed:\n  split: test\n  description: two games\n  integrations: {tmp_path}/games\n"
        f"  levels:\n    - {{game: {level.game}, states: [{level.state}]}}\n"
        f"    - {{game: Original-Genesis, states: [{level.state}]}}\n"
    )
    integration(tmp_path / "games/Original-Genesis", PANGOLIN)
    words = ["roms", "patch", "--levels", str(own)]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert f"FAIL  Changed-Genesis: the ROM of Original-Genesis with SHA-1 {sha1(PANGOLIN)}" in out
    assert "own.yaml: no ROM for Changed-Genesis, Original-Genesis: retro-contest roms imp" in out
    assert main(["roms", "import", str(SHIPPED / "rom.md"), "--levels", str(own)]) == 0
    out = capsys.readouterr().out
    assert f"own.yaml: no ROM for Changed-Genesis: retro-contest roms patch --levels {own}" in out
    assert main(words) == 0
    assert "ok    Changed-Genesis: made from the ROM" in capsys.readouterr().out
    assert readiness(find(str(own)), str(own))[-1].words == "every ROM is here"
    assert main(["roms", "patch", "--levels", "pangolin-test"]) == 0
    assert "none of these games is a changed one" in capsys.readouterr().out


def test_without_any_rom_all_six_games_say_what_they_need(capsys):
    assert main(["roms", "patch"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert len(lines) == 6
    for line in lines:
        game = line.split()[1].rstrip(":")
        assert f"the ROM of {SOURCES[game]} with SHA-1" in line
        assert "is missing: retro-contest roms import PATH" in line


# --- the deltas that stable-retro ships ---


@pytest.mark.parametrize("name", SHIPPED_DELTAS)
def test_every_shipped_delta_is_whole_as_far_as_its_source_is_not_needed(name):
    folder = stable_retro_games("contrib") / name
    delta = read_delta((folder / "rom.delta").read_bytes())
    found = delta.target_bytes, delta.source_bytes, len(delta.windows)
    assert found == SHIPPED_DELTAS[name] and not delta.compressed
    assert all(window.adler32 is not None for window in delta.windows)
    assert set(SHIPPED_DELTAS) == set(SOURCES) and sources(folder)


def test_shipped_deltas_are_all_there_is():
    found = {path.parent.name for path in stable_retro_games("contrib").glob("*/rom.delta")}
    found |= {path.parent.name for path in stable_retro_games("stable").glob("*/rom.delta")}
    assert found == set(SHIPPED_DELTAS)


@pytest.mark.parametrize("name", ["SonicTheHedgehogCustomKevin-Genesis"])
def test_a_wrong_source_is_noticed_by_the_checksums_of_the_delta(name, tmp_path):
    content = (stable_retro_games("contrib") / name / "rom.delta").read_bytes()
    delta = read_delta(content)
    (tmp_path / "source").write_bytes(np.random.default_rng(0).bytes(delta.source_bytes))
    with pytest.raises(CannotPatch, match=r"checksum mismatch: .* made for another ROM"):
        apply_delta(tmp_path / "source", content, delta)
    (tmp_path / "source").write_bytes(bytes(1000))
    with pytest.raises(CannotPatch, match=r"copies from byte 524,288 of a source that has 1,000"):
        apply_delta(tmp_path / "source", content, delta)


# --- deltas that would do harm ---


def number(value: int) -> bytes:
    """As VCDIFF writes it."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def window(
    target: int,
    data: bytes = b"",
    instructions: bytes = b"",
    addresses: bytes = b"",
    *,
    source: tuple[int, int] | None = None,
    indicator: int | None = None,
    length: int | None = None,
    compressed: int = 0,
) -> bytes:
    """A window without a checksum, right unless a field says otherwise."""
    body = number(target) + bytes([compressed])
    body += b"".join(number(len(part)) for part in (data, instructions, addresses))
    body += data + instructions + addresses
    segment = b"" if source is None else number(source[0]) + number(source[1])
    bits = (source is not None) if indicator is None else indicator
    return bytes([bits]) + segment + number(len(body) if length is None else length) + body


HEADER = b"\xd6\xc3\xc4\0\0"
ADD_3 = bytes([4])  # code 4 of the default table: ADD of size 3
RUN = b"\0"  # code 0: RUN, its size follows
COPY = bytes([19])  # code 19: COPY from an address of its own, its size follows


def test_the_test_can_write_a_delta(tmp_path):
    (tmp_path / "source").write_bytes(b"0123456789")
    instructions = ADD_3 + COPY + number(4)
    content = HEADER + window(7, b"abc", instructions, number(2), source=(10, 0))
    assert apply_delta(tmp_path / "source", content, read_delta(content)) == b"abc2345"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no VCDIFF"),
        (b"PK\3\4", "no VCDIFF"),
        (HEADER, "it makes nothing"),
        (HEADER[:4], "cut off"),
        (b"\xd6\xc3\xc4\0\2" + window(3, b"abc", ADD_3), "code table"),
        (b"\xd6\xc3\xc4\0\4" + number(1 << 31), "cut off"),
        (HEADER + window(1 << 31, b"a", RUN + number(1 << 31)), "more than 16,777,216 bytes"),
        (HEADER + window((1 << 32) + 5, b"a", RUN), "a number in it is beyond 32 bits"),
        (HEADER + b"\0" + b"\xff" * 40, "a number in it is beyond 32 bits"),
        (HEADER + window(3, b"abc", ADD_3, length=99), "do not add up"),
        (HEADER + window(3, b"abc", ADD_3, length=3), "do not add up"),
        (HEADER + window(3, b"abc", ADD_3, compressed=1), "compressed, the delta is not"),
        (HEADER + window(3, b"abc", ADD_3, indicator=2), "copies from what it makes"),
        (HEADER + window(1 << 20, b"a", RUN + number(1 << 20)) * 17, "more than 16,777,216"),
    ],
)
def test_a_hostile_delta_is_refused_before_a_decoder_sees_it(content, says):
    with pytest.raises(DamagedDelta) as error:
        read_delta(content)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "source"),
    [
        # Copies from behind the end of the source's part and of what is made so far.
        (HEADER + window(50, b"", COPY + number(50), number(5000), source=(100, 0)), 1000),
        (HEADER + window(8000, b"", COPY + number(8000), number(0), source=(100, 0)), 1000),
        # Adds more than the data has; makes more, or less, than it says.
        (HEADER + window(3, b"a", ADD_3), 10),
        (HEADER + window(3, b"a", RUN + number(1 << 27)), 10),
        (HEADER + window(1000, b"abc", ADD_3), 10),
        # An address that is none.
        (HEADER + window(4, b"", COPY + number(4), b"\xff" * 4, source=(10, 0)), 10),
    ],
)
@pytest.mark.parametrize("decoder", DECODERS, indirect=True)
def test_instructions_that_cannot_be_end_in_one_line(decoder, content, source, tmp_path):
    (tmp_path / "source").write_bytes(bytes(source))
    began = time.monotonic()
    with pytest.raises(CannotPatch, match=r"rom\.delta cannot be applied: \w+"):
        apply_delta(tmp_path / "source", content, read_delta(content))
    assert time.monotonic() - began < 20


def test_the_largest_delta_that_is_allowed_fits_the_decoders_limits(tmp_path):
    (tmp_path / "source").write_bytes(b"x")
    content = HEADER + window(MOST_TARGET // 4, b"a", RUN + number(MOST_TARGET // 4)) * 4
    result = apply_delta(tmp_path / "source", content, read_delta(content))
    assert result == b"a" * MOST_TARGET


def test_a_delta_compressed_twice_needs_the_program(level, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    content = b"\xd6\xc3\xc4\0\1\2" + window(3, b"abc", ADD_3, compressed=1)
    (level.folder / "rom.delta").write_bytes(content)
    with pytest.raises(UsageError, match=r"compressed a second time.*\(apt install xdelta3\)"):
        patched(level)


def test_no_change_of_a_byte_makes_another_rom(pair, tmp_path):
    """Whatever is changed in a delta: the right ROM, or an error."""
    source = tmp_path / "source"
    source.write_bytes(PANGOLIN)
    target, content = pair
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):  # most of them without a decoder
        changed = bytearray(content)
        for at in rng.integers(0, min(len(content), 60), rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        try:
            read_delta(bytes(changed))
        except DamagedDelta:
            refused += 1
    assert refused > 500
    for at in (*range(20, 60, 8), *rng.integers(60, len(content), 5)):
        changed = bytearray(content)
        changed[at] ^= 0x55
        try:
            assert apply_delta(source, bytes(changed), read_delta(bytes(changed))) == target
        except UsageError as error:
            assert "\n" not in str(error)


def test_a_level_without_its_rom_says_how_it_is_made(level):
    with pytest.raises(
        UsageError, match=r"made from the ROM of the original game, SHA-1 .*roms pa"
    ):
        check_playable([level])
