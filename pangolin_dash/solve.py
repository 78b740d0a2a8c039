"""`python -m pangolin_dash.solve`: find a route through acts, as input movies.

The search keeps one save-state for every small cell of the level that it has reached (position,
speed, on the ground or not, levers pulled), picks a state that was tried seldom and lies far to the
right, and plays random button presses from it. It is the idea of Go-Explore (Ecoffet et al. 2019,
arXiv 1901.10995): return to a known state, then explore. It runs in the game's own logic compiled
for this machine.
"""

from __future__ import annotations

import random
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import tyro
from rich.console import Console
from rich.table import Table

from pangolin_dash.acts import Options, make_acts
from pangolin_dash.cli import exit_code
from pangolin_dash.levels.generator import Act
from pangolin_dash.movies import FOLDER
from pangolin_dash.simulator import DOWN, LEFT, RIGHT, B, Simulator, buttons
from retro_common.errors import UsageError
from retro_common.movies import Movie

FRAME_LIMIT = 18_000
CELL = 24  # pixels

PADS = (RIGHT, RIGHT, RIGHT | B, RIGHT | B, RIGHT | DOWN, LEFT, LEFT | B, B, 0, LEFT | DOWN)
"""what the search presses, the likely buttons twice"""
FRAMES = (4, 8, 8, 12, 16, 24, 40)
"""lengths of a press in frames: whole timesteps of the contest"""


@dataclass
class _Node:
    """A state reached: its save-state, the inputs that led to it, and how often it was tried."""

    state: bytes
    parent: int
    inputs: tuple[tuple[int, int], ...]
    frames: int
    x: int
    tries: int = 0


def solve(
    simulator: Simulator,
    index: int,
    *,
    seed: int = 0,
    effort: int = 400_000,
    polish: float = 0.3,
) -> Movie | None:
    """Search a route through act `index`; None when `effort` presses did not find one.

    Args:
        simulator: the game.
        index: number of the act.
        seed: of the random presses; the same seed gives the same movie.
        effort: presses to try at most.
        polish: after the first solution, go on for this part of the presses it took, to find a
            shorter route.
    """
    rng = random.Random(seed)
    simulator.load(index)
    variables = simulator.variables
    nodes = [_Node(simulator.save(), -1, (), 0, variables.x)]
    cells: dict[tuple, int] = {}
    order: list[int] = [0]  # current node of every cell
    far = variables.x
    best: tuple[int, int, tuple] | None = None
    presses, last = 0, effort

    while presses < last:
        index_of = _pick(nodes, order, far, rng)
        node = nodes[index_of]
        node.tries += 1
        simulator.restore(node.state)
        inputs: list[tuple[int, int]] = []
        frames = node.frames
        for _ in range(rng.randint(1, 6)):
            pad, length = rng.choice(PADS), rng.choice(FRAMES)
            played = simulator.hold(pad, length)
            presses += 1
            frames += played
            inputs.append((pad, length))
            if simulator.dead or frames > FRAME_LIMIT - 200:
                break
            if variables.level_end:
                if best is None:
                    last = min(effort, presses + int(polish * presses) + 2000)
                if best is None or frames < best[0]:
                    best = (frames, index_of, (*inputs[:-1], (pad, played)))
                break
            if best is not None and frames >= best[0]:
                break
            cell = (
                variables.x // CELL,
                variables.y // CELL,
                variables.on_ground,
                variables.speed_x // 600,
                simulator.levers(),
            )
            known = cells.get(cell)
            if known is not None and nodes[order[known]].frames <= frames:
                continue
            nodes.append(_Node(simulator.save(), index_of, tuple(inputs), frames, variables.x))
            if known is None:
                cells[cell] = len(order)
                order.append(len(nodes) - 1)
            else:
                nodes[-1].tries = nodes[order[known]].tries // 2
                order[known] = len(nodes) - 1
            far = max(far, variables.x)
    if best is None:
        return None
    return _movie(simulator, index, nodes, best)


def _pick(nodes: list[_Node], order: list[int], far: int, rng: random.Random) -> int:
    """The next state to explore: of 8 drawn at random the least tried, further right preferred."""
    near_front = rng.random() < 0.7
    best, best_score = order[-1], None
    for _ in range(8):
        # new states are at the end of the list: draw half of the candidates there
        recent = rng.random() < 0.5
        low = max(0, len(order) - 300) if recent else 0
        candidate = order[rng.randrange(low, len(order))]
        node = nodes[candidate]
        score = node.tries + (max(0, far - node.x) / 150 if near_front else 0)
        if best_score is None or score < best_score:
            best, best_score = candidate, score
    return best


def _movie(simulator: Simulator, index: int, nodes: list[_Node], best: tuple) -> Movie:
    """The inputs that lead to the solution, and the reward they earn when played again."""
    _, at, tail = best
    parts = [tail]
    while at >= 0:
        parts.append(nodes[at].inputs)
        at = nodes[at].parent
    runs: list[tuple[int, int]] = []
    for pad, frames in (run for part in reversed(parts) for run in part):
        if runs and runs[-1][0] == pad:
            runs[-1] = (pad, runs[-1][1] + frames)
        else:
            runs.append((pad, frames))
    simulator.load(index)
    for pad, frames in runs:
        simulator.hold(pad, frames)
    variables = simulator.variables
    if not variables.level_end:
        raise AssertionError("a solution did not replay")
    inputs = tuple((buttons(pad), frames) for pad, frames in runs)
    return Movie(inputs, variables.progress / 4096 + variables.time_left / 18)


def _job(acts: list[Act], index: int, seed: int, effort: int) -> Movie | None:
    return solve(Simulator([acts[index]]), 0, seed=seed, effort=effort)


def solve_all(
    acts: list[Act], *, seed: int = 0, effort: int = 400_000, workers: int = 2
) -> dict[str, Movie | None]:
    """Movies of several acts by name, searched in parallel; None where there is none."""
    with ProcessPoolExecutor(workers) as pool:
        jobs = {a.name: pool.submit(_job, acts, i, seed, effort) for i, a in enumerate(acts)}
        return {name: job.result() for name, job in jobs.items()}


@dataclass
class Arguments:
    """Search a route through the acts of the shipped game and store it as input movies.

    Exit code 0 when every act has a route, 1 when one has none.
    """

    only: tuple[str, ...] = ()
    """names of acts; all by default"""
    seed: int = 0
    """of the search"""
    effort: int = 400_000
    """button presses to try for an act, at most"""


def main() -> int:
    """The command line; returns its exit code."""
    arguments = tyro.cli(Arguments, prog="python -m pangolin_dash.solve")
    acts = make_acts(Options())
    names = [act.name for act in acts]
    unknown = [name for name in arguments.only if name not in names]
    if unknown:
        raise UsageError(f"unknown act {unknown[0]}: choose from {', '.join(names)}")
    acts = [act for act in acts if not arguments.only or act.name in arguments.only]
    found = solve_all(acts, seed=arguments.seed, effort=arguments.effort)
    table = Table("act", "frames", "reward")
    for name, movie in found.items():
        if movie is None:
            table.add_row(name, "-", "no route found")
        else:
            movie.save(FOLDER / f"{name}.json")
            table.add_row(name, str(movie.frames), f"{movie.reward:.1f}")
    Console().print(table)
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(exit_code(main))
