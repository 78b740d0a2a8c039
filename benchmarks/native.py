"""How well a policy plays without learning: finish share and contest score, act by act.

    python -m benchmarks.native --policy FILE_OR_FOLDER [--seeds 3] [--json FILE]

The policy is a teacher's file or a bundle, which sees frames only. It plays in the native simulator
under the contest's rules, sticky actions included, and its actions are sampled. `--seeds` takes
generated acts of that many seeds that nothing is trained in, 18 acts each, in place of the level
set. The standard error is over all episodes of all acts. The last rows are the kinds of section at
which most episodes ended: the share that got past one, and how often one was entered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import tyro

from agent import bundle
from agent.models.actor import Actor
from agent.models.controller import Features
from benchmarks.command import run
from benchmarks.report import report
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import FINISHED, Worlds, pad_of
from pretrain.data import acts as data
from pretrain.teacher import Teacher


@dataclasses.dataclass
class Args:
    """Measure a policy."""

    policy: Path
    """a teacher's file, or a bundle's folder"""
    levels: str = "pangolin-train"
    """level set that it plays; held-out levels are for the last look"""
    seeds: int = 0
    """play generated acts of so many fresh seeds instead"""
    episodes: int = 20
    """episodes of each act"""
    seed: int = 0
    """of the actions and of the stickiness"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


WORST = 8
"""kinds of section in the table"""


class Player(Protocol):
    """Plays worlds of which fewer and fewer still run."""

    frames: bool
    """whether the worlds must keep frames"""

    def act(self, worlds: Worlds, running: np.ndarray) -> np.ndarray:
        """Pad bits uint8 for the running worlds, int64 (R,), a subset of the last call's."""


class TeacherPlayer:
    """A teacher, which reads the memory."""

    frames = False

    def __init__(self, path: Path, seed: int):
        self.teacher = Teacher.load(path)
        self.generator = torch.Generator().manual_seed(seed)
        self.facts = {
            "teacher_sha256": Teacher.sha256(path),
            "timesteps": self.teacher.origin.get("timesteps"),
        }

    def act(self, worlds: Worlds, running: np.ndarray) -> np.ndarray:
        self.teacher.check(worlds)
        log_probs, _ = self.teacher.label(worlds.observe()[running])
        drawn = torch.multinomial(torch.from_numpy(log_probs).exp(), 1, generator=self.generator)
        return self.teacher.pads[drawn.squeeze(1).numpy()]


class BundlePlayer:
    """An agent that does not learn."""

    frames = True

    def __init__(self, folder: Path, seed: int):
        self.models, manifest = bundle.load(folder)
        self.seed = seed
        self.pads = np.array([pad_of(each.split()) for each in self.models.config.actions])
        self.actor: Actor | None = None
        # The worlds that ran in the last timestep, what it saw there, and what it did.
        self.last: tuple[np.ndarray, Features, torch.Tensor]
        self.facts = {
            "controller_sha256": manifest.weights["controller"].sha256,
            "timesteps": manifest.origin["pretraining_timesteps"]["controller"],
        }

    def act(self, worlds: Worlds, running: np.ndarray) -> np.ndarray:
        if self.actor is None:
            self.actor = Actor(self.models, len(running), seed=self.seed)
        else:
            before, features, actions = self.last
            kept = np.isin(before, running)
            self.actor.remember(features, actions, worlds.rewards[before], np.zeros_like(kept))
            self.actor.keep(kept)
        features = self.actor.observe(worlds.draw_small()[running])
        actions = self.choose(worlds, running, features)
        self.last = running, features, actions
        return self.pads[actions.numpy()]

    def choose(self, worlds: Worlds, running: np.ndarray, features: Features) -> torch.Tensor:
        """The policy's actions, int64 (R,), in the running worlds."""
        return self.actor.act(features).actions


def play(
    player: Player, acts: Sequence[Act], episodes: int, seed: int, patience: int = 0
) -> tuple[np.ndarray, ...]:
    """Play whole episodes, side by side, each act as often.

    Args:
        patience: timesteps without new ground after which an episode ends; 0 for any number.

    Returns:
        Scores, float64, how the episodes ended, uint8, and the furthest x, pixels, int16, each
        (acts, episodes).
    """
    worlds = Worlds(
        acts,
        len(acts) * episodes,
        seed=seed,
        patience=patience,
        frames=player.frames,
        on_screen=True,
    )
    for world in range(worlds.count):
        worlds.load(world, world // episodes)
    furthest = worlds.state["variables"]["x"].copy()
    while len(running := np.flatnonzero(worlds.state["over"] == 0)):
        pads = np.zeros(worlds.count, np.uint8)
        pads[running] = player.act(worlds, running)
        worlds.step(pads, restart=False)
        np.maximum(furthest, worlds.state["variables"]["x"], out=furthest)
    ends = worlds.state["score"], worlds.state["over"], furthest
    return tuple(each.reshape(len(acts), episodes).copy() for each in ends)


def by_section(
    acts: Sequence[Act], finished: np.ndarray, furthest: np.ndarray
) -> dict[str, dict[str, int]]:
    """How often each kind of section was entered, and how often an episode got no further.

    Args:
        finished: bool (acts, episodes).
        furthest: pixels, (acts, episodes).
    """
    counts: dict[str, dict[str, int]] = {}
    for act, done, reached in zip(acts, finished, furthest, strict=True):
        names = [name for _, name in act.sections]
        first = np.array([column for column, _ in act.sections]) * 16
        # Who is stopped by a wall stands a body's width before it.
        last = np.searchsorted(first, reached + 16, side="right") - 1
        for stop, whole in zip(last, done, strict=True):
            for number in range(len(names) if whole else stop + 1):
                count = counts.setdefault(names[number], {"entered": 0, "failed": 0})
                count["entered"] += 1
                count["failed"] += bool(not whole and number == stop)
    return dict(sorted(counts.items(), key=lambda each: -each[1]["failed"]))


def main() -> None:
    options = tyro.cli(Args, prog="python -m benchmarks.native", description=__doc__)
    torch.set_num_threads(1)
    kind = BundlePlayer if options.policy.is_dir() else TeacherPlayer
    player = kind(options.policy, options.seed)
    if options.seeds:
        known = list(data.generated_acts(data.FRESH_SEED, options.seeds, None))
    else:
        known = data.acts_of_levels(options.levels)
    acts = [each.act for each in known]
    scores, ends, furthest = play(player, acts, options.episodes, options.seed)
    finished = ends == FINISHED
    sections = by_section(acts, finished, furthest)
    rows: list[list] = [["act", "finished", "score"]]
    for each, score, done in zip(known, scores, finished, strict=True):
        rows.append([each.name, f"{done.mean():.2f}", f"{score.mean():.0f}"])
    rows.append(["all", f"{finished.mean():.3f}", f"{scores.mean():.0f}"])
    rows += [
        [f"section {name}", f"{1 - count['failed'] / count['entered']:.2f}", count["entered"]]
        for name, count in list(sections.items())[:WORST]
    ]
    figures = {
        **player.facts,
        "levels": f"{options.seeds} fresh seeds" if options.seeds else options.levels,
        "acts": len(acts),
        "episodes": options.episodes,
        "seed": options.seed,
        "finish_share": round(float(finished.mean()), 4),
        "score": round(float(scores.mean()), 1),
        "standard_error": round(float(scores.std() / np.sqrt(scores.size)), 1),
        "per_act": {
            each.name: {"finish_share": float(done.mean()), "score": round(float(score.mean()), 1)}
            for each, score, done in zip(known, scores, finished, strict=True)
        },
        "per_section": sections,
    }
    report(f"Without learning: {options.policy}", rows, figures, options.json)


if __name__ == "__main__":
    run(main)
