"""How fast the native simulator of Pangolin Dash is, against the contest's environment.

    python -m benchmarks.simulator [--quick] [--json FILE]

In turns, on one core, with random buttons that hold right half of the time:

- the contest's environment, as the agent gets it (`retro_contest.emulator.make`);
- `pangolin_dash.simulator.Worlds`: 256 worlds over all acts, their episodes begun along the acts'
  movies; once with stepping alone, once with an observation of every world after every timestep,
  once with a frame of every world, 64 x 64, after every timestep.

Figures are in seconds of processor time, which other programs on the machine disturb least; each is
the median over rounds, every ratio the median of the rounds' ratios.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tyro

from benchmarks.command import one_level, run
from benchmarks.report import report
from benchmarks.timing import median_ratio
from pangolin_dash import movies, routes
from pangolin_dash.acts import SHIPPED, Options, make_acts
from pangolin_dash.simulator import DOWN, LEFT, RIGHT, B, Worlds, buttons
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.make import make

WORLDS = 256
PADS = (RIGHT, RIGHT | B, RIGHT, RIGHT | B, 0, LEFT, B, DOWN)


@dataclasses.dataclass
class Args:
    """Measure the simulator against the emulator."""

    level: str = f"{SHIPPED}/FernHollow.Act1"
    """the level that the emulator plays, as GAME/STATE"""
    quick: bool = False
    """a few seconds, with more noise"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


def worlds_along_movies(*, frames: bool) -> Worlds:
    """Worlds whose episodes begin at random places of the movies."""
    acts = make_acts(Options())
    stored = movies.load(movies.FOLDER, [act.name for act in acts])
    scratch = Worlds(acts, 1, frames=frames)
    traces = [routes.trace(scratch, i, stored[act.name]) for i, act in enumerate(acts)]
    known = [route for route, _ in traces]
    worlds = Worlds(acts, WORLDS, routes=known, patience=300, frames=frames)
    rng = np.random.default_rng(0)
    for world in range(WORLDS):
        states = traces[world % len(acts)][1]
        worlds.restore(world, states[rng.integers(len(states) - 15)])
        worlds.begin(world)
    worlds.starts[:] = worlds.slots
    return worlds


def seconds(work: Callable[[], int]) -> float:
    """Processor seconds for each timestep of some work, which returns how many it played."""
    start = time.process_time()
    played = work()
    return (time.process_time() - start) / played


def main() -> None:
    options = tyro.cli(Args, prog="python -m benchmarks.simulator", description=__doc__)
    rounds, timesteps = (8, 100) if options.quick else (40, 200)
    env = make(one_level(options.level), seed=0)
    worlds, drawn = (worlds_along_movies(frames=frames) for frames in (False, True))
    rng = np.random.default_rng(0)
    pads = rng.choice(np.array(PADS, np.uint8), (timesteps, WORLDS))
    observations = worlds.observe()
    pictures = drawn.draw_small()
    names = {name: i for i, name in enumerate(env.retro.buttons) if name}
    actions = [[names[name] for name in buttons(pad)] for pad in pads[:, 0]]

    arms: dict[str, Callable[[], int]] = {
        "emulator": lambda: play_emulator(env, actions),
        "stepping": lambda: play_worlds(worlds, pads),
        "observing": lambda: play_worlds(worlds, pads, observations),
        "frames": lambda: draw_worlds(drawn, pads[: timesteps // 10], pictures),
    }
    env.reset()
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for i in range(rounds):
        for name in list(arms)[:: 1 if i % 2 else -1]:  # to and fro, so that drifts cancel out
            spent[name].append(seconds(arms[name]))
    env.close()
    rate = {name: round(1 / statistics.median(values)) for name, values in spent.items()}
    figures = {
        "level": options.level,
        "quick": options.quick,
        "worlds": WORLDS,
        "observation_size": worlds.observation_size,
        **{f"timesteps_per_second_{name}": value for name, value in rate.items()},
        "ratio_stepping_to_emulator": median_ratio(spent["emulator"], spent["stepping"]),
        "ratio_observing_to_emulator": median_ratio(spent["emulator"], spent["observing"]),
        "ratio_frames_to_environment": median_ratio(spent["emulator"], spent["frames"]),
    }
    rows = [
        ["", "timesteps/s of one core"],
        [f"contest's environment, {options.level}", rate["emulator"]],
        [f"simulator, {WORLDS} worlds", rate["stepping"]],
        [f"simulator, {WORLDS} worlds, with observations", rate["observing"]],
        [f"simulator, {WORLDS} worlds, with frames of 64 x 64", rate["frames"]],
    ]
    report("Simulator of Pangolin Dash", rows, figures, options.json)


def play_emulator(env: ContestEnv, actions: list[list[int]]) -> int:
    for pressed in actions:
        action = np.zeros(12, np.int8)
        action[pressed] = 1
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return len(actions)


def play_worlds(worlds: Worlds, pads: np.ndarray, observations: np.ndarray | None = None) -> int:
    for row in pads:
        worlds.step(row, out=observations)
    return pads.size


def draw_worlds(worlds: Worlds, pads: np.ndarray, pictures: np.ndarray) -> int:
    for row in pads:
        worlds.step(row)
        worlds.draw_small(pictures)
    return pads.size


if __name__ == "__main__":
    run(main)
