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
from agent.models.actor import Actor, Models
from benchmarks.command import run
from benchmarks.report import report
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import FINISHED, Worlds, pad_of
from pretrain.data import acts as data

Way = Literal["open_loop", "nearest", "alone"]
WAYS: tuple[Way, ...] = ("open_loop", "nearest", "alone")
PATIENCE = 300
"""timesteps without new ground after which an episode ends here"""
TIME_LIMIT = 4500
"""most timesteps of an episode"""
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
    def of(cls, actions: Sequence[int], rewards: Sequence[float]) -> Route:
        """The route of an episode's actions and rewards."""
        earned = np.concatenate([[0.0], np.cumsum(rewards)])
        length = int(np.argmax(earned))
        return cls(np.array(actions[:length], np.int64), earned[: length + 1])


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
        self.route, self.point, self.earned = route, 0, 0.0

    def action(self) -> int | None:
        """The route's action at the point; None beyond its end, or where the route is far."""
        far = abs(self.route.earned[self.point] - self.earned) > self.LOST
        return (
            None if far or self.point >= len(self.route.actions) else self.route.actions[self.point]
        )

    def move(self, reward: float) -> None:
        """Add a timestep with its reward."""
        self.earned += reward
        next_point, last = self.point + 1, len(self.route.actions)
        window = np.arange(max(0, self.point - self.BACK), min(last, self.point + self.FORTH) + 1)
        distance = np.abs(self.route.earned[window] - self.earned)
        nearest = int(np.argmin(distance + np.abs(window - next_point)))
        self.point = int(window[nearest])
        if distance[nearest] > self.LOST:
            points = np.arange(last + 1)
            distance = np.abs(self.route.earned - self.earned) + 0.1 * np.abs(points - next_point)
            self.point = int(np.argmin(distance))


def play(
    models: Models,
    acts: Sequence[Act],
    each: int,
    *,
    way: Way,
    routes: Sequence[Route] | None = None,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, list[Route]]:
    """Play so many episodes of each act, side by side.

    Args:
        routes: what is repeated, (acts * each); not needed to play alone.

    Returns:
        Scores, float64, whether the level was finished, bool, each (acts * each,), and the
        episodes as routes.
    """
    count = len(acts) * each
    worlds = Worlds(acts, count, seed=seed, patience=PATIENCE, frames=True)
    for world in range(count):
        worlds.load(world, world // each)
    pads = np.array([pad_of(buttons.split()) for buttons in models.config.actions], np.uint8)
    actor, running = Actor(models, count, seed=seed), np.arange(count)
    pointers = [Pointer(route) for route in routes or []]
    episodes: list[tuple[list[int], list[float]]] = [([], []) for _ in range(count)]
    for t in range(TIME_LIMIT):
        features = actor.observe(worlds.draw_small()[running])
        actions = actor.act(features).actions.clone()
        if routes is not None:
            for row, world in enumerate(running):
                if way == "open_loop" and t < len(routes[world].actions):
                    actions[row] = int(routes[world].actions[t])
                elif way == "nearest" and (wanted := pointers[world].action()) is not None:
                    actions[row] = int(wanted)
        pressed = np.zeros(count, np.uint8)
        pressed[running] = pads[actions.numpy()]
        worlds.step(pressed, restart=False)
        rewards = worlds.rewards[running].copy()
        for world, action, reward in zip(running, actions.tolist(), rewards.tolist(), strict=True):
            episodes[world][0].append(action)
            episodes[world][1].append(reward)
            if routes is not None:
                pointers[world].move(reward)
        going = worlds.state["over"][running] == 0
        if not going.any():
            break
        actor.remember(features, actions, rewards, ~going)
        actor.keep(going)
        running = running[going]
    found = [Route.of(*episode) for episode in episodes]
    return worlds.state["score"].copy(), worlds.state["over"] == FINISHED, found


def measure(models: Models, acts: Sequence[Act], args: Args) -> dict[str, dict[str, float]]:
    """All ways on some acts: score, finish share, retention and finish_again with intervals."""
    generator, count = np.random.default_rng(args.seed), len(acts) * args.routes
    each, seed = args.routes * args.explore, args.seed + 1
    _, done, found = play(models, acts, each, way="alone", seed=seed)
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
        played, done, _ = play(models, acts, each, way=way, routes=repeated, seed=seed)
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
    models, manifest = bundle.load(args.bundle)
    measured = {name: measure(models, acts_of(name, args.seeds), args) for name in args.sets}
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
