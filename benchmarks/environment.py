"""How fast the contest's environment is, one by one and in numbers.

    python -m benchmarks.environment [--quick] [--json FILE]

Compared in one run, in turns, on the same level and with the same buttons:

- stable-retro's own API with sticky frame skip and time limit as wrappers, what people run today;
- the lean loop: 4 × (``em.step`` + RAM + reward + end), one read of the screen, nothing else;
- ours with every frame drawn (``--draw-all``), and ours as it is.

Single environments are measured in CPU seconds, which other programs on the machine disturb least;
vectors of them in wall seconds. Every figure is the median over rounds, every ratio the median of
the rounds' ratios.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import psutil
import stable_retro
import tyro
from gymnasium.vector import AsyncVectorEnv

from benchmarks.command import one_level, run
from benchmarks.report import report
from benchmarks.timing import median_ratio
from retro_contest import levels
from retro_contest.emulator.environment import STICKY, TIME_LIMIT
from retro_contest.emulator.game_files import GameFiles
from retro_contest.emulator.make import make
from retro_contest.emulator.proof import prove
from retro_contest.emulator.vector import VectorEnv


@dataclasses.dataclass
class Args:
    """Measure the environment against its peers."""

    level: str = "Airstriker-Genesis-v0/Level1"
    """the level that is played, as GAME/STATE"""
    quick: bool = False
    """under a minute, with more noise"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


class StickySkip(gymnasium.Wrapper):
    """The contest's frame skip as a wrapper around stable-retro's API."""

    def reset(self, **kwargs):
        self.held = None
        return self.env.reset(**kwargs)

    def step(self, action):
        total = 0.0
        for i in range(4):
            if i or self.held is None or self.np_random.random() >= STICKY:
                self.held = action
            frame, reward, terminated, truncated, info = self.env.step(self.held)
            total += reward
            if terminated:
                break
        return frame, total, terminated, truncated, info


class LeanLoop:
    """The least that the rules ask for on top of stable-retro's emulator."""

    def __init__(self, retro: stable_retro.RetroEnv) -> None:
        self.retro = retro
        self.close = retro.close

    def reset(self) -> None:
        self.retro.reset()

    def step(self, action):
        em, data = self.retro.em, self.retro.data
        (buttons,) = self.retro.action_to_array(action)
        em.set_button_mask(buttons, 0)
        total = 0.0
        for _ in range(4):
            em.step()
            data.update_ram()
            total += data.current_reward()
            if done := data.is_done():
                break
        return em.get_screen(), total, done, False, {}


def plain(level: levels.Level) -> stable_retro.RetroEnv:
    files = GameFiles.of(level)
    return stable_retro.RetroEnv(
        level.game,
        level.state,
        scenario=files.scenario,
        inttype=files,
        render_mode="rgb_array",
    )


def peer(level: levels.Level) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(StickySkip(plain(level)), TIME_LIMIT)


def actions(count: int) -> np.ndarray:
    """Random buttons, each held for 4 timesteps."""
    return np.random.default_rng(0).integers(0, 2, (count // 4 + 1, 12), np.int8).repeat(4, axis=0)


def single(make_env: Callable, timesteps: int) -> float:
    """CPU seconds per timestep of one environment."""
    env = make_env()
    env.reset()
    chosen = actions(timesteps + 20)
    for action in chosen[:20]:
        env.step(action)
    start = time.process_time()
    for action in chosen[:timesteps]:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    seconds = time.process_time() - start
    env.close()
    return seconds / timesteps


def vector(envs: gymnasium.vector.VectorEnv, timesteps: int, processes: list) -> tuple:
    """(wall, CPU) seconds per timestep of a vector of environments that is already running."""
    chosen = actions(timesteps)
    cpu, start = cpu_seconds(processes), time.perf_counter()
    for i in range(timesteps // envs.num_envs):
        envs.step(np.tile(chosen[i], (envs.num_envs, 1)))
    played = timesteps // envs.num_envs * envs.num_envs
    return (time.perf_counter() - start) / played, (cpu_seconds(processes) - cpu) / played


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """CPU seconds used so far by this process and the given ones."""
    return time.process_time() + sum(sum(process.cpu_times()[:2]) for process in processes)


def workers(envs: VectorEnv) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in envs.pids]


def measure_single(level: levels.Level, rounds: int, timesteps: int) -> tuple[list, dict]:
    arms = {
        "stable_retro": lambda: peer(level),
        "lean_loop": lambda: LeanLoop(plain(level)),
        "draw_all": lambda: make(level, seed=0, draw_all=True),
        "ours": lambda: make(level, seed=0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for i in range(2 * rounds):
        for name in list(arms)[:: 1 if i % 2 else -1]:  # to and fro, so that drifts cancel out
            seconds[name].append(single(arms[name], timesteps // 2))
    rate = {name: round(1 / statistics.median(values)) for name, values in seconds.items()}
    figures = {f"timesteps_per_second_{name}": value for name, value in rate.items()}
    figures["ratio_to_lean_loop"] = median_ratio(seconds["lean_loop"], seconds["draw_all"])
    figures["ratio_undrawn_to_draw_all"] = median_ratio(seconds["draw_all"], seconds["ours"])
    figures["ratio_to_stable_retro"] = median_ratio(seconds["stable_retro"], seconds["ours"])
    labels = {
        "stable_retro": "one, stable-retro's API and wrappers",
        "lean_loop": "one, lean loop",
        "draw_all": "one, ours, every frame drawn",
        "ours": "one, ours",
    }
    return [[labels[name], rate[name]] for name in arms], figures


def measure_two(level: levels.Level, rounds: int, timesteps: int) -> tuple[list, dict]:
    theirs = AsyncVectorEnv([lambda: peer(level)] * 2, shared_memory=True)
    bare = AsyncVectorEnv([lambda: make(level)] * 2, shared_memory=True)
    with VectorEnv([level], 2, seed=0) as ours:
        arms = {"gymnasium": theirs, "gymnasium_ours": bare, "ours": ours}
        seconds: dict[str, list[float]] = {name: [] for name in arms}
        for envs in arms.values():
            envs.reset()
        for _ in range(rounds):
            for name, envs in arms.items():
                seconds[name].append(vector(envs, timesteps, [])[0])
    theirs.close()
    bare.close()
    rate = {name: round(1 / statistics.median(values)) for name, values in seconds.items()}
    figures = {f"timesteps_per_second_two_{name}": value for name, value in rate.items()}
    figures["ratio_two_workers"] = median_ratio(seconds["gymnasium"], seconds["ours"])
    figures["ratio_two_workers_to_async_over_ours"] = median_ratio(
        seconds["gymnasium_ours"], seconds["ours"]
    )
    return [
        ["two, gymnasium AsyncVectorEnv of stable-retro", rate["gymnasium"]],
        ["two, gymnasium AsyncVectorEnv of ours", rate["gymnasium_ours"]],
        ["two, VectorEnv", rate["ours"]],
    ], figures


def measure_many(level: levels.Level, rounds: int, timesteps: int) -> tuple[list, dict]:
    """Cost per timestep from 1 to 16 workers, and memory."""
    counts = [1, 2, 4, 16] if rounds < 20 else [1, 2, 4, 8, 16]  # starting many takes a while
    vectors = {n: VectorEnv([level], n, seed=0) for n in counts}
    wall: dict[int, list[float]] = {n: [] for n in counts}
    cpu: dict[int, list[float]] = {n: [] for n in counts}
    for envs in vectors.values():
        envs.reset()
    for _ in range(rounds // 2):
        for n, envs in vectors.items():
            one = vector(envs, 2 * timesteps, workers(envs))
            wall[n].append(one[0])
            cpu[n].append(one[1])
    memory = [process.memory_full_info().uss for process in workers(vectors[16])]
    for envs in vectors.values():
        envs.close()
    cores = len(os.sched_getaffinity(0))
    figures = {
        f"timesteps_per_second_{n}_workers": round(1 / statistics.median(wall[n])) for n in counts
    }
    # 1 is perfect: as much per timestep with n workers as with as many workers as cores.
    full = wall[min(cores, 16)]
    figures["flatness_wall"] = min(median_ratio(full, wall[n]) for n in counts if n >= cores)
    figures["flatness_cpu"] = min(median_ratio(cpu[1], cpu[n]) for n in counts)
    figures["memory_per_worker_mb"] = round(statistics.median(memory) / 1e6, 1)
    return [
        [f"{n} workers, VectorEnv", figures[f"timesteps_per_second_{n}_workers"]] for n in counts
    ], figures


def main() -> None:
    options = tyro.cli(Args, prog="python -m benchmarks.environment", description=__doc__)
    rounds, timesteps = (10, 100) if options.quick else (40, 250)  # short turns: fair in noise
    level = one_level(options.level)

    start = time.perf_counter()
    difference = prove(level)
    proof = round(time.perf_counter() - start, 2)
    rows: list[list] = []
    figures: dict = {"level": level.name, "quick": options.quick, "proof_seconds": proof}
    figures["proof_difference"] = difference
    for measure in (measure_single, measure_two, measure_many):
        more_rows, more_figures = measure(level, rounds, timesteps)
        rows += more_rows
        figures |= more_figures
    report(f"Environment, {level.name}", [["", "timesteps/s"], *rows], figures, options.json)


if __name__ == "__main__":
    run(main)
