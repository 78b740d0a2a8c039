"""`python -m pangolin_dash.build`: art + levels -> ROM -> save-states -> stable-retro integration.

Without arguments it makes the 18 acts of the shipped game again, byte for byte, in
`pangolin_dash/integration`. With `--seed` and `--name` it makes a game of unseen acts. Either way
every act is then finished once in the emulator, by a stored movie or by one that is searched.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import stable_retro as retro
import tyro

from pangolin_dash import movies
from pangolin_dash.acts import Options, check_options, make_acts
from pangolin_dash.check import check
from pangolin_dash.cli import exit_code
from pangolin_dash.compile import ram, toolchain
from pangolin_dash.compile.errors import BuildError
from pangolin_dash.levels.generator import Act
from pangolin_dash.solve import solve_all
from retro_common.errors import UsageError
from retro_common.movies import Movie

CONTEST = {
    # 9000 points for the whole level: `progress` counts 1/4096 points.
    # 1000 x (1 - frames / 18000) at the end: `time_left` is 18000 - frames.
    "reward": {
        "variables": {
            "progress": {"measurement": "delta", "reward": 1 / 4096, "penalty": 1 / 4096},
            "time_left": {"measurement": "delta", "reward": 1 / 18},
        }
    },
    "done": {
        "condition": "any",
        "variables": {
            "lives": {"measurement": "delta", "op": "negative"},
            "level_end": {"op": "nonzero"},
        },
    },
}
# Bytes of a save-state that the core (Genesis Plus GX 1.7.5 in stable-retro 1.0.1) writes for this
# machine; the rest of its megabyte is left over from earlier use of the memory. So are 24 bytes
# inside it: the core saves 24 numbers of 8 bits as 16.
STATE_USED = 144_681
STATE_UNSET = slice(144_228, 144_275, 2)

SCENARIO = {
    "reward": {"variables": {"score": {"measurement": "delta", "reward": 1.0}}},
    "done": {"variables": {"lives": {"op": "zero"}}},
}


def canonical(state: bytes) -> bytes:
    """The save-state without the bytes that differ from run to run and are not read back.

    The emulator leaves old memory behind the used part, and its own addresses (of tables and
    functions, which it sets again on loading) inside it.
    """
    data = np.frombuffer(state[:STATE_USED], np.uint8).copy()
    values = np.lib.stride_tricks.sliding_window_view(data, 8).copy().view("<u8").ravel()
    address = np.zeros(len(values), bool)
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        address |= (values >= max(low, 1 << 32)) & (values < high)
    for start in np.flatnonzero(address):
        data[start : start + 8] = 0
    data[STATE_UNSET] = 0
    return data.tobytes().ljust(len(state), b"\0")


def make_states(game: str, parent: Path, acts: list[Act]) -> None:
    """Boot the ROM, choose each act on the title screen and save its first frame.

    Raises:
        BuildError: an act does not start.
    """
    retro.data.Integrations.add_custom_path(str(parent.resolve()))
    env = retro.make(
        game,
        state=retro.State.NONE,
        inttype=retro.data.Integrations.CUSTOM_ONLY,
        render_mode="rgb_array",
    )
    try:
        buttons = {name: i for i, name in enumerate(env.buttons) if name}

        def hold(*names: str, frames: int) -> None:
            mask = np.zeros(len(env.buttons), np.uint8)
            mask[[buttons[name] for name in names]] = 1
            for _ in range(frames):
                env.em.set_button_mask(mask, 0)
                env.em.step()

        env.reset()
        hold(frames=60)
        title = env.em.get_state()
        for i, act in enumerate(acts):
            hold("START", frames=2)
            for _ in range(400):  # until the title card is gone
                hold(frames=1)
                env.data.update_ram()
                if env.data.lookup_value("playing"):
                    break
            else:
                raise BuildError(f"{act.name}: the act did not start")
            if env.data.lookup_value("frame") != 0:
                raise BuildError(f"{act.name}: the state was taken too late")
            state = env.em.get_state()
            with gzip.GzipFile(
                filename="", mode="wb", fileobj=(parent / game / f"{act.name}.state").open("wb"),
                compresslevel=9, mtime=0,
            ) as file:  # fmt: skip
                file.write(canonical(state))
            env.em.set_state(title)
            hold(frames=2)
            for _ in range(i + 1):
                hold("RIGHT", frames=2)
                hold(frames=4)
            hold(frames=20)
    finally:
        env.close()


def build(options: Options) -> Path:
    """Make the integration's folder; returns it.

    Raises:
        UsageError: a compiler is missing, or the ROM would be too large.
        BuildError: the sources do not compile, or an act does not start.
    """
    acts = make_acts(options)
    folder = options.out / options.name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        generated = Path(temporary)
        toolchain.write_sources(acts, generated)
        rom = toolchain.build_rom(generated)
    for old in folder.glob("*.state"):
        old.unlink()
    (folder / "rom.md").write_bytes(rom)
    (folder / "rom.sha").write_text(hashlib.sha1(rom).hexdigest() + "\n")
    for name, content in (
        ("data", ram.data_json()),
        ("contest", CONTEST),
        ("scenario", SCENARIO),
        ("metadata", {"default_state": acts[0].name, "acts": _summary(acts, options)}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    make_states(options.name, options.out, acts)
    return folder


def _summary(acts: list[Act], options: Options) -> dict:
    """Seed, length in pixels and sections of every act, for `metadata.json`."""
    return {
        act.name: {
            "seed": options.seed,
            "length": act.end_x - act.start[0],
            "sections": [name for _, name in act.sections],
        }
        for act in acts
    }


def movies_of(options: Options, acts: list[Act]) -> dict[str, Movie]:
    """A movie of every act: the stored ones of the shipped game, new ones of an own game.

    Raises:
        UsageError: an act has no movie, or the search finds no route through it.
    """
    if options.shipped:
        return movies.load(movies.FOLDER, [act.name for act in acts])
    found = {}
    for name, movie in solve_all(acts).items():
        if movie is None:
            raise UsageError(f"the search finds no route through {name}: choose another --seed")
        found[name] = movie
    return found


def main() -> int:
    """The command line; returns its exit code."""
    options = tyro.cli(Options, prog="python -m pangolin_dash.build")
    check_options(options)
    toolchain.require_compilers(search=not options.shipped)
    acts = make_acts(options)
    folder = build(options)
    found = movies_of(options, acts)
    if not options.shipped:
        for name, movie in found.items():
            movie.save(movies.folder_of(folder) / f"{name}.json")
    problems = check(folder, found)
    print(folder)
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
