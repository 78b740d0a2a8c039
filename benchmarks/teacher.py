"""How well a teacher plays: finish share and contest score, act by act, with sticky actions.

    python -m benchmarks.teacher --teacher FILE [--seeds 3] [--json FILE]

It plays in the native simulator under the contest's rules, actions sampled. `--seeds` takes
generated acts of that many seeds that nothing is trained in, 18 acts each, in place of the level
set. The standard error is over all episodes of all acts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.command import run
from benchmarks.report import report
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import FINISHED, Worlds
from pretrain.data import acts as data
from pretrain.teacher import Teacher


@dataclasses.dataclass
class Args:
    """Measure a teacher."""

    teacher: Path
    """the teacher's file"""
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


def play(
    teacher: Teacher, acts: Sequence[Act], episodes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Play whole episodes, side by side, each act as often.

    Returns:
        Scores, float64, and how the episodes ended, uint8, both (acts, episodes).
    """
    worlds = Worlds(acts, len(acts) * episodes, seed=seed)
    teacher.check(worlds)
    for world in range(worlds.count):
        worlds.load(world, world // episodes)
    generator = torch.Generator().manual_seed(seed)
    observations = worlds.observe()
    while not worlds.state["over"].all():
        running = np.flatnonzero(worlds.state["over"] == 0)
        log_probs, _ = teacher.label(observations[running])
        drawn = torch.multinomial(torch.from_numpy(log_probs).exp(), 1, generator=generator)
        actions = drawn.squeeze(1)
        pads = np.zeros(worlds.count, np.uint8)
        pads[running] = teacher.pads[actions.numpy()]
        worlds.step(pads, restart=False, out=observations)
    shape = (len(acts), episodes)
    return worlds.state["score"].reshape(shape), worlds.state["over"].reshape(shape)


def main() -> None:
    options = tyro.cli(Args, prog="python -m benchmarks.teacher", description=__doc__)
    torch.set_num_threads(1)
    teacher = Teacher.load(options.teacher)
    if options.seeds:
        known = list(data.generated_acts(data.FRESH_SEED, options.seeds, None))
    else:
        known = data.acts_of_levels(options.levels)
    acts = [each.act for each in known]
    scores, ends = play(teacher, acts, options.episodes, options.seed)
    finished = ends == FINISHED
    rows: list[list] = [["act", "finished", "score"]]
    for each, score, done in zip(known, scores, finished, strict=True):
        rows.append([each.name, f"{done.mean():.2f}", f"{score.mean():.0f}"])
    rows.append(["all", f"{finished.mean():.3f}", f"{scores.mean():.0f}"])
    figures = {
        "teacher_sha256": Teacher.sha256(options.teacher),
        "timesteps": teacher.origin.get("timesteps"),
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
    }
    report("Teacher", rows, figures, options.json)


if __name__ == "__main__":
    run(main)
