"""The committed ROM and its integration: header, checks of the code, identical rebuild."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

import pangolin_dash
from pangolin_dash import movies
from pangolin_dash.acts import SHIPPED, Options
from pangolin_dash.build import build
from pangolin_dash.compile import ram, toolchain
from pangolin_dash.compile.errors import BuildError
from pangolin_dash.levels.generator import Act
from retro_common.movies import Movie
from retro_contest import levels
from tests.pangolin_dash.conftest import FOLDER

needs_compiler = pytest.mark.skipif(
    not toolchain.have_cross_compiler(), reason="gcc-m68k-linux-gnu is not installed"
)


def test_header_is_what_the_machine_and_the_emulator_expect() -> None:
    rom = (FOLDER / "rom.md").read_bytes()
    assert len(rom) <= 1 << 20
    assert rom[0x100:0x110] == b"SEGA MEGA DRIVE "
    assert int.from_bytes(rom[0x18E:0x190], "big") == toolchain.header_checksum(rom)
    assert (FOLDER / "rom.sha").read_text().strip() == hashlib.sha1(rom).hexdigest()


def test_integration_is_complete(acts: list[Act]) -> None:
    states = {path.stem for path in FOLDER.glob("*.state")}
    assert states == {act.name for act in acts}
    assert len(states) == 18
    data = json.loads((FOLDER / "data.json").read_text())
    assert data == ram.data_json()
    wanted = "x y speed_x speed_y screen_x screen_y on_ground rolling lives rings score zone act"
    assert set(wanted.split()) | {"level_end", "frame"} <= set(data["info"])
    for variable in data["info"].values():
        if variable["type"] != "|u1":
            assert variable["address"] % 2 == 0


@pytest.mark.slow
@needs_compiler
def test_rebuild_is_byte_identical(tmp_path: Path) -> None:
    folder = build(Options(out=tmp_path))
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in FOLDER.iterdir())
    for path in folder.iterdir():
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name
    assert folder.name == SHIPPED


def _link(source: str, folder: Path) -> Path:
    """Compile and link a scrap of C for the Mega Drive, behind the header's place."""
    (folder / "scrap.c").write_text(source)
    compiler = [toolchain.CROSS + "gcc", *toolchain.CROSS_FLAGS, "-c"]
    subprocess.run([*compiler, folder / "scrap.c", "-o", folder / "scrap.o"], check=True)
    linker = [toolchain.CROSS + "ld", "-Ttext=0x400", "-e", "0x400", folder / "scrap.o"]
    done = subprocess.run(
        [*linker, "-o", folder / "scrap.elf"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(done.stderr)
    return folder / "scrap.elf"


@needs_compiler
def test_odd_accesses_are_found(tmp_path: Path) -> None:
    """GCC 12 reads (short)(long >> 8) at an odd address: exactly what the check is for."""
    source = "struct {{ int a; short b; }} w; void f(void) {{ w.b = (short)(w.a >> {}); }}"
    version = subprocess.run(
        [toolchain.CROSS + "gcc", "-dumpversion"], capture_output=True, text=True, check=True
    )
    if version.stdout.startswith("12"):
        with pytest.raises(BuildError, match="odd"):
            toolchain.check_code(_link(source.format(8), tmp_path))
    toolchain.check_code(_link(source.format(16), tmp_path))


@needs_compiler
@pytest.mark.parametrize(
    "line",
    [
        "move.w 0xff0039, %d0",
        "move.l %d1, 0xff0001",
        "add.w 3(%a2), %d0",
        "clr.w -1(%a6)",
        "cmpi.w #4, 0xff0051",
    ],
)
def test_every_form_of_odd_access_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "odd.s").write_text(f"    .text\n    {line}\n    move.b 0xff0039, %d0\n    rts\n")
    steps = (
        ["as", "-m68000", "odd.s", "-o", "odd.o"],
        ["ld", "-Ttext=0x400", "-e", "0x400", "odd.o", "-o", "odd.elf"],
    )
    for tool, *arguments in steps:
        subprocess.run([toolchain.CROSS + tool, *arguments], cwd=tmp_path, check=True)
    assert len(toolchain.odd_accesses(tmp_path / "odd.elf")) == 1


@needs_compiler
def test_undefined_symbols_fail_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="__modsi3"):  # it is in libgcc
        _link("int a, b; int f(void) { return a % b; }", tmp_path)


def test_data_card_has_the_files_hashes_and_the_acts(acts: list[Act]) -> None:
    card = (Path(pangolin_dash.__file__).parent / "DATA_CARD.md").read_text()
    hashes = dict(reversed(pair) for pair in re.findall(r"^    ([0-9a-f]{64})  (\S+)$", card, re.M))
    assert set(hashes) == {"rom.md", *(f"{act.name}.state" for act in acts)}
    for name, digest in hashes.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
    test = {level.state for level in levels.find("pangolin-test")}
    for act in acts:
        movie = Movie.load(movies.FOLDER / f"{act.name}.json")
        cells = (
            *(act.name, "test" if act.name in test else "train", act.end_x - act.start[0]),
            *(len(act.sections), len(act.things), len(act.rings), movie.frames),
        )
        assert f"| {' | '.join(map(str, cells))} |" in card, act.name
