"""Reference rows of a board: the agents that this kit was measured with, and published scores.

`references.json` is written by `python -m benchmarks.score --report-only` from the committed runs.
The published scores of 2018 below it have no runs: only a mean.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retro_common.files import write_atomically
from retro_contest.board import statistics
from retro_contest.board.statistics import Interval
from retro_contest.runs.results import mean_score

FILE = Path(__file__).with_name("references.json")
VALIDATION = "sonic-validation"
FINAL = "sonic-final-2018"
GOTTA_LEARN_FAST = "Nichol et al., Gotta Learn Fast, arXiv 1804.03720"
RESULTS_2018 = "OpenAI, Retro Contest: Results, 2018"

PUBLISHED = {
    VALIDATION: (
        ("human", 7438.2, GOTTA_LEARN_FAST),
        ("joint PPO", 3127.9, GOTTA_LEARN_FAST),
        ("joint Rainbow", 2969.2, GOTTA_LEARN_FAST),
        ("Rainbow", 2748.6, GOTTA_LEARN_FAST),
        ("JERK", 1904.0, GOTTA_LEARN_FAST),
        ("PPO", 1488.8, GOTTA_LEARN_FAST),
    ),
    FINAL: (
        ("Dharmaraja (joint PPO)", 4692.0, RESULTS_2018),
        ("mistake (Rainbow)", 4446.0, RESULTS_2018),
        ("aborg (joint PPO)", 4430.0, RESULTS_2018),
        ("whatever", 4274.0, RESULTS_2018),
        ("Students of Plato", 4269.0, RESULTS_2018),
        ("joint PPO baseline", 4070.0, RESULTS_2018),
        ("joint Rainbow baseline", 3843.0, RESULTS_2018),
        ("Rainbow baseline", 3498.0, RESULTS_2018),
    ),
}
"""level set -> (name, mean score over its 11 levels with 1,000,000 timesteps each, source)"""
PUBLISHED_TIMESTEPS = 1_000_000


@dataclass(frozen=True)
class Reference:
    """An agent that a board shows for comparison; it has no rank."""

    name: str
    """what it is"""
    source: str
    """where its score comes from"""
    scores: dict[str, list[float]]
    """`GAME/STATE` -> the scores of its runs; nothing for a published mean"""
    curves: dict[str, np.ndarray]
    """`GAME/STATE` -> learning curves `(runs, bins)`; nothing for a published mean"""
    published: float | None = None
    """the published mean score"""

    @cached_property
    def score(self) -> float | None:
        """Mean over levels of the mean over runs, or the published mean."""
        return self.published if self.published is not None else mean_score(self.scores)

    @cached_property
    def interval(self) -> Interval | None:
        """95% bootstrap interval of the score; None without runs."""
        return statistics.interval([np.array(runs) for runs in self.scores.values()])

    def level_score(self, level: str) -> float | None:
        """Mean over its runs of a level; None without any."""
        runs = self.scores.get(level)
        return float(np.mean(runs)) if runs else None


def references(levels: tuple[str, ...], timesteps: int) -> tuple[Reference, ...]:
    """The references of a board with these levels and this budget, the best first.

    Agents that were measured on more levels are compared on these.
    """
    found = [
        Reference(
            name=entry["name"],
            source=entry["source"],
            scores={level: entry["scores"][level] for level in levels},
            curves={level: np.array(entry["curves"][level]) for level in levels},
        )
        for entry in _measured()
        if entry["timesteps"] == timesteps and set(levels) <= set(entry["scores"])
    ]
    if timesteps == PUBLISHED_TIMESTEPS:
        for level_set, scores in PUBLISHED.items():
            if set(_levels_of(level_set)) == set(levels):
                found += [Reference(name, source, {}, {}, mean) for name, mean, source in scores]
    return tuple(sorted(found, key=lambda reference: -(reference.score or 0.0)))


def write_references(entries: Iterable[dict[str, Any]], path: Path = FILE) -> None:
    """Write the measured references, one on a line.

    Args:
        entries: each with `name`, `source`, `timesteps`, `scores` and `curves` as in `Reference`.
    """
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    write_atomically(path, f"[\n{lines}\n]\n")


@functools.cache
def _measured() -> list[dict[str, Any]]:
    return json.loads(FILE.read_text()) if FILE.exists() else []


@functools.cache
def _levels_of(level_set: str) -> tuple[str, ...]:
    from retro_contest.levels import load_sets

    return tuple(level.name for level in load_sets()[level_set].levels)
