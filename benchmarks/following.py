"""How well what was done once is done again: ways to follow an agent's own routes.

    python -m benchmarks.following --bundle FOLDER [--json FILE]

The agent plays a few episodes of each act without learning; of each such trial the best episode is
its route. Then it plays the act again in several ways:

- open_loop: the route's actions, one after the other; at its end the policy goes on;
- nearest: the action of the route's point that is nearest in x and time (`agent.models.following`);
- alone: the policy, without a route;
- following: the policy, which reads the route.

*Retention* is the mean return divided by the route's, *finish_again* the share of finished episodes
where the route finished. Everything is played in the native simulator, with sticky actions; actions
of the policy are sampled. Intervals are from 1,000 resamples of trials.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from agent import bundle
from agent.models.actor import Actor, Models
from agent.models.following import MAX_LENGTH, Follower, Route
from benchmarks.command import run
from benchmarks.report import report
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import FINISHED, Worlds, pad_of
from pretrain.data import acts as data
from pretrain.data.pool import Record

Way = Literal["open_loop", "nearest", "alone", "following"]
PATIENCE = 300
"""timesteps without new ground after which an episode ends here"""
WAYS: tuple[Way, ...] = ("open_loop", "nearest", "alone", "following")


@dataclasses.dataclass
class Args:
    """Measure how an agent follows its own routes."""

    bundle: Path
    """the agent; `following` needs one that reads routes"""
    sets: tuple[str, ...] = ("fresh",)
    """acts: `fresh`, generated ones that nothing is trained in, `train` or `heldout`"""
    seeds: int = 1
    """seeds of the fresh acts, 18 acts each"""
    trials: int = 3
    """routes of each act"""
    explore: int = 3
    """episodes that a route is the best of"""
    episodes: int = 3
    """episodes of each route in each way"""
    seed: int = 0
    """of the actions and of the stickiness"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


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
        routes: what is followed, (acts * each); not needed to play alone.

    Returns:
        Scores, float64, whether the level was finished, bool, each (acts * each,), and the
        episodes as routes.
    """
    count, actions = len(acts) * each, len(models.config.actions)
    worlds = Worlds(acts, count, seed=seed, patience=PATIENCE, frames=True)
    pads = np.array([pad_of(buttons.split()) for buttons in models.config.actions], np.uint8)
    actor, guide = Actor(models, count, seed=seed), Follower(count, actions)
    for world in range(count):
        worlds.load(world, world // each)
        if routes is not None and way != "alone":
            guide.follow(world, routes[world])
            if way == "following":
                assert actor.follower is not None, "the bundle reads no routes"
                actor.follower.follow(world, routes[world])
    record, running = Record(count), np.arange(count)
    for t in range(MAX_LENGTH):
        features = actor.observe(worlds.draw_small()[running])
        chosen = actor.act(features).actions
        wanted = np.full(len(running), actions)
        if way == "nearest":
            wanted = guide.actions()
        elif way == "open_loop" and routes is not None:
            wanted = np.array(
                [[*routes[world].actions[t : t + 1], actions][0] for world in running]
            )
        wanted = torch.from_numpy(wanted.astype(np.int64))
        chosen = torch.where(wanted < actions, wanted, chosen)
        pressed, pressing = np.zeros(count, np.uint8), np.zeros(count, np.int64)
        pressed[running], pressing[running] = pads[chosen.numpy()], chosen.numpy()
        worlds.step(pressed, restart=False)
        record.add(pressing, worlds.rewards, np.isin(np.arange(count), running))
        going = worlds.state["over"][running] == 0
        if not going.any():
            break
        actor.remember(features, chosen, worlds.rewards[running], ~going)
        guide.remember(worlds.rewards[running], ~going)
        actor.keep(going)
        guide.keep(going)
        running = running[going]
    scores, over = worlds.state["score"].copy(), worlds.state["over"]
    return scores, over == FINISHED, [record.route(world) for world in range(count)]


def measure(models: Models, acts: Sequence[Act], args: Args) -> dict[str, dict[str, float]]:
    """All ways on some acts: score, retention and finish_again, the last two with intervals."""
    generator = np.random.default_rng(args.seed)
    trials = len(acts) * args.trials
    _, done, found = play(models, acts, args.trials * args.explore, way="alone", seed=args.seed + 1)
    best = [
        max(found[first : first + args.explore], key=lambda route: route.earned[-1])
        for first in range(0, len(found), args.explore)
    ]
    finished = done.reshape(trials, args.explore).any(axis=1)
    earned = np.array([route.earned[-1] for route in best])
    figures = {"routes": {"score": float(earned.mean()), "finished": float(finished.mean())}}
    ways = [w for w in WAYS if w != "following" or "route" in models.config.controller.features]
    for number, way in enumerate(ways):
        repeated = [route for route in best for _ in range(args.episodes)]
        scores, done, _ = play(
            models,
            acts,
            args.trials * args.episodes,
            way=way,
            routes=repeated,
            seed=args.seed + 2 + number,
        )
        scores, done = (each.reshape(trials, args.episodes).mean(axis=1) for each in (scores, done))
        retention, again = [], []
        for _ in range(1000):
            rows = generator.integers(trials, size=trials)
            retention.append(scores[rows].sum() / earned[rows].sum())
            again.append(done[rows][finished[rows]].mean() if finished[rows].any() else np.nan)
        figures[way] = {
            "score": float(scores.mean()),
            "finished": float(done.mean()),
            "retention": float(scores.sum() / earned.sum()),
            "retention_low": float(np.quantile(retention, 0.025)),
            "retention_high": float(np.quantile(retention, 0.975)),
            "finish_again": float(done[finished].mean()),
            "finish_again_low": float(np.nanquantile(again, 0.025)),
            "finish_again_high": float(np.nanquantile(again, 0.975)),
        }
    return {way: {key: round(x, 4) for key, x in each.items()} for way, each in figures.items()}


def acts_of(name: str, seeds: int) -> list[Act]:
    """The acts of a set."""
    if name == "fresh":
        return [each.act for each in data.generated_acts(data.FRESH_SEED, seeds, None)]
    return [
        each.act
        for each in data.acts_of_levels({"train": "pangolin-train"}.get(name, "pangolin-test"))
    ]


def main() -> None:
    args = tyro.cli(Args, prog="python -m benchmarks.following", description=__doc__)
    torch.set_num_threads(1)
    models, _ = bundle.load(args.bundle)
    figures: dict[str, dict] = {}
    rows: list[list] = [["acts", "way", "score", "finished", "retention", "finish again"]]
    for name in args.sets:
        figures[name] = measure(models, acts_of(name, args.seeds), args)
        for way, each in figures[name].items():
            if way != "routes":
                rows.append(
                    [
                        name,
                        way,
                        *(
                            f"{each[key]:.3f}"
                            for key in ("score", "finished", "retention", "finish_again")
                        ),
                    ]
                )
        print(name, figures[name]["routes"])
    report(f"Following own routes: {args.bundle}", rows, figures, args.json)


if __name__ == "__main__":
    run(main)
