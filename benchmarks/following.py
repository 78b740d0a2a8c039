"""How well what was done once is done again: ways to follow an agent's own routes.

    python -m benchmarks.following --bundle FOLDER [--sets train heldout] [--json FILE]

The agent plays a few episodes of each act without learning. The best of them is its route, which it
then tries to repeat:

- open_loop: the route's actions, one after the other; at its end the policy goes on;
- nearest: the action of the route's point that is nearest in x and time, see `Pointer`;
- alone: the policy, which knows nothing of the route.

*Retention* is the mean return divided by the route's, *finish_again* the share of finished episodes
where the route finished. Everything is played in the native simulator, with sticky actions; actions
of the policy are sampled. Intervals are from 1,000 resamples of the routes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import tyro

from agent import bundle
from agent.models.controller import Features
from benchmarks.command import run
from benchmarks.native import BundlePlayer, play
from benchmarks.report import report
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import FINISHED, Worlds
from pretrain.data import acts as data

Way = Literal["open_loop", "nearest", "alone"]
WAYS: tuple[Way, ...] = ("open_loop", "nearest", "alone")
PATIENCE = 300
"""timesteps without new ground after which an episode ends here"""
RESAMPLES = 1000


@dataclasses.dataclass
class Args:
    """Measure how an agent repeats its own routes."""

    bundle: Path
    """the agent"""
    sets: tuple[Literal["fresh", "train", "heldout"], ...] = ("fresh",)
    """acts: `fresh`, generated ones that nothing is trained in, `train` or `heldout`"""
    seeds: int = 1
    """seeds of the fresh acts, 18 acts each"""
    routes: int = 3
    """routes of each act"""
    explore: int = 3
    """episodes that a route is the best of"""
    episodes: int = 3
    """episodes of each route in each way"""
    seed: int = 0
    """of the actions and of the stickiness"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


class Route(NamedTuple):
    """What was done in an episode, up to its highest sum of rewards."""

    actions: np.ndarray
    """indices of the agent's actions, int64 (T,)"""
    earned: np.ndarray
    """sum of the contest's rewards before each action, and after the last one, float64 (T + 1,)"""

    @classmethod
    def of(cls, actions: Sequence[int], earned: Sequence[float]) -> Route:
        """The route of an episode's T actions, and the T + 1 sums of rewards around them."""
        length = int(np.argmax(earned))
        return cls(np.array(actions[:length], np.int64), np.array(earned[: length + 1]))


class Pointer:
    """A player's place on a route: the point that is nearest in x and time.

    The contest's rewards are the way along x, so their sum is the player's place, exactly. The
    point moves on by one in each timestep; it moves by more or less where the sums say so. If they
    differ by more than `LOST` points, the whole route is searched.
    """

    BACK, FORTH = 3, 6
    """how many timesteps the point may move in one, back and forth"""
    LOST = 150.0
    """points; a whole level is worth 9000, and the player's top speed about 30 a timestep"""

    def __init__(self, route: Route):
        self.route, self.point, self.distance = route, 0, 0.0

    def action(self) -> int | None:
        """The route's action at the point; None beyond its end, or where the route is far."""
        if self.distance > self.LOST or self.point >= len(self.route.actions):
            return None
        return int(self.route.actions[self.point])

    def move(self, earned: float) -> None:
        """Add a timestep, after which the player has this sum of rewards."""
        next_point, last = self.point + 1, len(self.route.actions)
        window = np.arange(max(0, self.point - self.BACK), min(last, self.point + self.FORTH) + 1)
        far = np.abs(self.route.earned[window] - earned)
        self.point = int(window[np.argmin(far + np.abs(window - next_point))])
        if abs(self.route.earned[self.point] - earned) > self.LOST:
            points = np.arange(last + 1)
            far = np.abs(self.route.earned - earned) + 0.1 * np.abs(points - next_point)
            self.point = int(np.argmin(far))
        self.distance = abs(self.route.earned[self.point] - earned)


class Repeater(BundlePlayer):
    """An agent that does not learn, and repeats a route in each world; it records its episodes."""

    def __init__(self, folder: Path, seed: int, way: Way, routes: Sequence[Route]):
        """
        Args:
            routes: one for each world; none to play alone.
        """
        super().__init__(folder, seed)
        self.way, self.routes = way, routes
        self.pointers = [Pointer(route) for route in routes] if way == "nearest" else []
        self.actions: dict[int, list[int]] = {}
        self.earned: dict[int, list[float]] = {}

    def choose(self, worlds: Worlds, running: np.ndarray, features: Features) -> torch.Tensor:
        chosen = super().choose(worlds, running, features).tolist()
        for row, world in enumerate(running.tolist()):
            t = len(self.actions.setdefault(world, []))
            earned = float(worlds.state["score"][world])
            wanted = None
            if self.way == "open_loop" and t < len(self.routes[world].actions):
                wanted = int(self.routes[world].actions[t])
            elif self.way == "nearest":
                if t:
                    self.pointers[world].move(earned)
                wanted = self.pointers[world].action()
            if wanted is not None:
                chosen[row] = wanted
            self.actions[world].append(chosen[row])
            self.earned.setdefault(world, []).append(earned)
        return torch.tensor(chosen)

    def episodes(self, scores: np.ndarray) -> list[Route]:
        """The episodes as routes, given the scores (N,) that they ended with."""
        return [
            Route.of(self.actions[world], [*self.earned[world], float(score)])
            for world, score in enumerate(scores)
        ]


def repeat(
    folder: Path, acts: Sequence[Act], each: int, way: Way, routes: Sequence[Route], seed: int
) -> tuple[np.ndarray, np.ndarray, list[Route]]:
    """Play so many episodes of each act, side by side.

    Args:
        routes: what is repeated, (acts * each); none to play alone.

    Returns:
        Scores, float64, whether the level was finished, bool, each (acts * each,), and the
        episodes as routes.
    """
    player = Repeater(folder, seed, way, routes)
    scores, ends, _ = play(player, acts, each, seed, PATIENCE)
    return scores.ravel(), ends.ravel() == FINISHED, player.episodes(scores.ravel())


def measure(acts: Sequence[Act], args: Args) -> dict[str, dict[str, float]]:
    """All ways on some acts: score, finish share, retention and finish_again with intervals."""
    generator, count = np.random.default_rng(args.seed), len(acts) * args.routes
    each, seed = args.routes * args.explore, args.seed + 1
    _, done, found = repeat(args.bundle, acts, each, "alone", [], seed)
    best = [
        max(found[first : first + args.explore], key=lambda route: route.earned[-1])
        for first in range(0, len(found), args.explore)
    ]
    finished = done.reshape(count, args.explore).any(axis=1)
    earned = np.array([route.earned[-1] for route in best])
    figures = {"routes": {"score": float(earned.mean()), "finished": float(finished.mean())}}
    repeated = [route for route in best for _ in range(args.episodes)]
    for way in WAYS:
        each, seed = args.routes * args.episodes, seed + 1
        played, done, _ = repeat(args.bundle, acts, each, way, repeated, seed)
        scores, done = (x.reshape(count, args.episodes).mean(axis=1) for x in (played, done))
        rows = generator.integers(count, size=(RESAMPLES, count))
        # A resample may hold no route that finished.
        finishing = np.maximum(finished[rows].sum(axis=1), 1e-9)
        again = (done * finished)[rows].sum(axis=1) / finishing
        retention = scores[rows].sum(axis=1) / earned[rows].sum(axis=1)
        figures[way] = {
            "score": float(scores.mean()),
            "finished": float(done.mean()),
            "retention": float(scores.sum() / earned.sum()),
            "retention_low": float(np.quantile(retention, 0.025)),
            "retention_high": float(np.quantile(retention, 0.975)),
        }
        if finished.any():
            figures[way] |= {
                "finish_again": float(done[finished].mean()),
                "finish_again_low": float(np.quantile(again, 0.025)),
                "finish_again_high": float(np.quantile(again, 0.975)),
            }
    return {way: {key: round(x, 4) for key, x in row.items()} for way, row in figures.items()}


def by_figure(ways: dict[str, dict[str, float]]) -> dict[str, dict]:
    """The figures of `measure` as they are stored: figure, then way; intervals under `ci95`."""
    names = ("score", "finished", "retention", "finish_again")
    stored: dict[str, dict] = {
        name: {way: row[name] for way, row in ways.items() if name in row} for name in names
    }
    stored["ci95"] = {
        name: {
            way: [row[f"{name}_low"], row[f"{name}_high"]]
            for way, row in ways.items()
            if f"{name}_low" in row
        }
        for name in ("retention", "finish_again")
    }
    return stored


def acts_of(name: str, seeds: int) -> list[Act]:
    """The acts of a set; of `fresh` ones those of so many seeds."""
    if name == "fresh":
        return [known.act for known in data.generated_acts(data.FRESH_SEED, seeds, None)]
    level_set = "pangolin-train" if name == "train" else "pangolin-test"
    return [known.act for known in data.acts_of_levels(level_set)]


def main() -> None:
    args = tyro.cli(Args, prog="python -m benchmarks.following", description=__doc__)
    torch.set_num_threads(1)
    manifest = bundle.read_manifest(args.bundle)
    measured = {name: measure(acts_of(name, args.seeds), args) for name in args.sets}
    rows: list[list] = [["acts", "way", "score", "finished", "retention", "finish again"]]
    for name, ways in measured.items():
        for way, row in ways.items():
            again = f"{row['finish_again']:.2f}" if "finish_again" in row else ""
            retention = f"{row['retention']:.2f}" if "retention" in row else ""
            finished = f"{row['finished']:.2f}"
            rows.append([name, way, f"{row['score']:.0f}", finished, retention, again])
    facts = {
        "controller_sha256": manifest.weights["controller"].sha256,
        "routes": args.routes,
        "explore": args.explore,
        "episodes": args.episodes,
        "seed": args.seed,
    }
    stored = {name: by_figure(ways) for name, ways in measured.items()}
    report(f"Repeating own routes: {args.bundle}", rows, {**facts, **stored}, args.json)


if __name__ == "__main__":
    run(main)
