"""The whole way of an owner of games: a folder of files -> imported -> patched -> on the board.

Builds of our own game stand in for those of Sonic, in the forms in which people have them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import pyxdelta
import yaml

from pangolin_dash.acts import Options
from pangolin_dash.build import build
from retro_contest.levels import states
from tests.pangolin_dash.test_rom import needs_compiler
from tests.retro_contest.rom_kit import (
    PANGOLIN,
    SHIPPED,
    changed_build,
    integration,
    sha1,
    smd,
    swapped,
    zipped,
)

ROOT = Path(__file__).parents[2]


def variant(number: int) -> bytes:
    """A build that plays as ours does; its last bytes, which are not used, differ."""
    rom = bytearray(changed_build())
    rom[-1] = number
    return bytes(rom)


def write_delta(folder: Path, target: bytes, scratch: Path) -> None:
    (scratch / "target").write_bytes(target)
    assert pyxdelta.run(
        infile=str(SHIPPED / "rom.md"),
        outfile=str(scratch / "target"),
        patchfile=str(folder / "rom.delta"),
    )
    (folder / "rom.source").write_text(f"{sha1(PANGOLIN)}\n")


def level_set(path: Path, games: dict[str, list[str]]) -> None:
    levels = [{"game": game, "states": names} for game, names in games.items()]
    entry = {"split": "test", "description": "stand-ins", "integrations": "games", "levels": levels}
    path.write_text(yaml.safe_dump({"all": entry}))


def run(folder: Path, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(folder / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "retro_contest", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def play(folder: Path, levels: str) -> None:
    code, text = run(
        folder,
        *("evaluate", "--levels", levels, "--agent", "hold-right", "--timesteps", "120"),
        *("--results", "results/hold-right"),
    )
    assert code == 0, text
    summary = json.loads((folder / "results/hold-right/summary.json").read_text())
    assert summary["complete"] and summary["score"] > 0
    code, text = run(folder, "board", "results", "--out", "site")
    assert code == 0, text
    (board,) = json.loads((folder / "site/board.json").read_text())["boards"]
    assert "hold-right" in json.dumps(board) and (folder / "site/index.html").is_file()


def test_from_a_folder_of_files_to_a_row_of_the_board(tmp_path: Path) -> None:
    games = tmp_path / "games"
    roms = {
        "Renamed-Genesis": variant(1),
        "Zipped-Genesis": PANGOLIN,
        "Interleaved-Genesis": variant(2),
        "Swapped-Genesis": variant(3),
        "Headered-Genesis": variant(4),
    }
    folders = {game: integration(games / game, rom) for game, rom in roms.items()}
    folders["Changed-Genesis"] = integration(games / "Changed-Genesis", variant(5))
    write_delta(folders["Changed-Genesis"], variant(5), tmp_path)
    level_set(tmp_path / "own.yaml", {game: states(path) for game, path in folders.items()})

    owner = tmp_path / "owner"
    (owner / "old disks/more").mkdir(parents=True)
    (owner / "holiday.jpg").write_bytes(roms["Renamed-Genesis"])
    (owner / "all.zip").write_bytes(zipped(readme=b"text", discs__game=roms["Zipped-Genesis"]))
    (owner / "old disks/GAME.SMD").write_bytes(smd(roms["Interleaved-Genesis"]))
    (owner / "old disks/game.bin").write_bytes(swapped(roms["Swapped-Genesis"]))
    (owner / "old disks/more/game.gen").write_bytes(bytes(512) + roms["Headered-Genesis"])
    (owner / "old disks/more/cut.md").write_bytes(PANGOLIN[:100_000])
    (owner / "old disks/loop").symlink_to(owner)
    os.mkfifo(owner / "fifo")

    levels = ("--levels", "own.yaml")
    code, text = run(tmp_path, "evaluate", *levels, "--agent", "random", "--results", "results/no")
    assert code == 2 and "no ROM for Renamed-Genesis: it needs the ROM with SHA-1" in text
    code, text = run(tmp_path, "roms", "patch", *levels)
    assert code == 1 and "FAIL  Changed-Genesis: the ROM of Zipped-Genesis with SHA-1" in text
    code, text = run(tmp_path, "roms", "import", "owner", *levels)
    assert code == 0, text
    assert f"5 imported into {tmp_path}/data/" in text
    assert (
        "own.yaml: no ROM for Changed-Genesis: retro-contest roms patch --levels own.yaml" in text
    )
    code, text = run(tmp_path, "roms", "patch", *levels)
    assert code == 0 and "own.yaml: every ROM is here" in text
    assert not list(games.glob("*/rom.md"))

    played = (folders[game] for game in ("Interleaved-Genesis", "Changed-Genesis"))
    play(tmp_path, ",".join(f"games/{folder.name}/{states(folder)[0]}" for folder in played))


@pytest.mark.slow
@needs_compiler
def test_a_game_that_others_built_travels_as_a_delta(tmp_path: Path) -> None:
    """Acts of another seed: another ROM of the game's own compiler, made from the shipped one."""
    options = Options(
        out=tmp_path / "games", name="Custom-Genesis", seed=4711, zones=("AmberDunes",), acts=1
    )
    folder = build(options)
    rom = (folder / "rom.md").read_bytes()
    assert rom != PANGOLIN
    write_delta(folder, rom, tmp_path)
    (folder / "rom.md").unlink()
    integration(tmp_path / "games/Original-Genesis", PANGOLIN)
    level_set(
        tmp_path / "own.yaml",
        {"Custom-Genesis": states(folder), "Original-Genesis": ["AmberDunes.Act1"]},
    )
    levels = ("--levels", "own.yaml")
    assert run(tmp_path, "roms", "import", str(SHIPPED / "rom.md"), *levels)[0] == 0
    code, text = run(tmp_path, "roms", "patch", *levels)
    assert code == 0 and "ok    Custom-Genesis: made from the ROM with SHA-1" in text, text
    play(tmp_path, f"games/Custom-Genesis/{states(folder)[0]}")
