"""What each system is measured by: the rows of the laboratory's table.

A figure is a ratio of two numbers of the runs' committed results, for each seed by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]
Figure = Callable[[Result], float]
"""a number of a run's results"""


def last(key: str = "score") -> Figure:
    """A number of the end of the curve."""
    return lambda result: float(result["curve"][-1][key])


def first(key: str = "score") -> Figure:
    return lambda result: float(result["curve"][0][key])


def best(key: str = "score") -> Figure:
    return lambda result: max(float(entry[key]) for entry in result["curve"])


def at(timesteps: int, key: str = "score") -> Figure:
    """A number of the first entry of the curve that is as far."""
    return lambda result: next(
        float(entry[key]) for entry in result["curve"] if entry["step"] >= timesteps
    )


def lowest_until(timesteps: int) -> Figure:
    """The lowest score after the start, until the first entry that is as far."""

    def figure(result: Result) -> float:
        entries = result["curve"][1:]
        within = [e for e in entries if e["step"] < timesteps]
        return min(float(e["score"]) for e in entries[: len(within) + 1])

    return figure


def data_mean(result: Result) -> float:
    """The recorded episodes' mean reward, mean over the acts."""
    return float(result["data"]["mean"])


@dataclass(frozen=True)
class Row:
    """A line of the table: figure `of` of one configuration's runs ÷ figure `to` of another's."""

    system: str
    source: str
    measure: str
    """what is divided by what"""
    of: tuple[str, Figure]
    to: tuple[str, Figure]
    least: float | None = None
    """the ratio should be at least this"""
    most: float | None = None
    """the ratio should be at most this"""
    peer: str = ""
    """configuration of the peer whose score stands beside; empty for none"""
    no_peer: str = "none"
    """why there is none"""
    until: bool = False
    """the figure is how far `of` has to go until it reaches the mean of `to`, as a share of how
    far `to` went"""

    @property
    def target(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.measure}: {self.least:g} to {self.most:g}"
        if self.least is not None:
            return f"{self.measure}: at least {self.least:g}"
        return f"{self.measure}: at most {self.most:g}"


IQL, ILQL = "arXiv 2110.06169", "arXiv 2206.11871"
SCALED, DR3, SAC = "arXiv 2211.15144", "arXiv 2112.04716", "arXiv 2406.12563"
FORMULA = "Dopamine's formula, compared in tests/lab/test_lab_values.py"
NO_SAC = "not run: no public discrete QR-SAC with an asymmetric critic"

ROWS = [
    Row(
        *("ILQL", IQL, "IQL's score ÷ clone's"),
        of=("iql", last()),
        to=("clone", last()),
        least=1.15,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "IQL's score ÷ that of the best tenth's clone"),
        of=("iql", last()),
        to=("clone-best", last()),
        least=1.0,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "IQL's score ÷ the data's mean"),
        of=("iql", last()),
        to=("iql", data_mean),
        least=1.0,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "IQL's score ÷ the peer's"),
        of=("iql", last()),
        to=("peer-iql", last()),
        least=0.95,
        most=1.05,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", "d3rlpy", "clone's score ÷ the peer's"),
        of=("clone", last()),
        to=("peer-clone", last()),
        least=0.95,
        most=1.05,
        peer="peer-clone",
    ),
    Row(
        *("ILQL", ILQL, "score of the clone reweighted by Q - V ÷ clone's"),
        of=("ilql", last()),
        to=("clone", last()),
        least=1.15,
        no_peer="none: its code is for language models",
    ),
    Row(
        *("ILQL", IQL, "timesteps of PPO from IQL to the level of PPO at 204,800 ÷ 204,800"),
        of=("ppo-from-iql", last()),
        to=("ppo", last()),
        most=0.5,
        until=True,
    ),
    Row(
        *("ILQL", IQL, "lowest score within 5,000 timesteps of fine-tuning ÷ score before"),
        of=("ppo-from-iql", lowest_until(5_000)),
        to=("ppo-from-iql", first()),
        least=0.95,
    ),
    Row(
        *("Scaled-QL", SCALED, "score, categorical and normalised ÷ scalar (CQL)"),
        of=("scaled-256", last()),
        to=("cql", last()),
        least=1.0,
        peer="peer-scaled",
    ),
    Row(
        *("Scaled-QL", SCALED, "score ÷ the data's mean"),
        of=("scaled-256", last()),
        to=("scaled-256", data_mean),
        least=1.5,
        peer="peer-scaled",
    ),
    Row(
        *("Scaled-QL", SCALED, "score at 512 units ÷ at 64 units"),
        of=("scaled-512", last()),
        to=("scaled-64", last()),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "score with a head for each act ÷ with one head"),
        of=("scaled-heads", last()),
        to=("scaled-256", last()),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "held-out acts: score with 2,700 timesteps of their data ÷ before"),
        of=("scaled-new", last()),
        to=("scaled-new", first()),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", "arXiv 2006.04779", "CQL's score ÷ the peer's"),
        of=("cql", last()),
        to=("peer-cql", last()),
        least=0.95,
        most=1.05,
        peer="peer-cql",
    ),
    Row(
        *("DR3", DR3, "dot products, TD with the best action ÷ SARSA"),
        of=("dr3-max", last("dots")),
        to=("dr3-sarsa", last("dots")),
        least=3.0,
        no_peer=FORMULA,
    ),
    Row(
        *("DR3", DR3, "dot products, TD with the best action and the term ÷ SARSA"),
        of=("dr3-max-term", last("dots")),
        to=("dr3-sarsa", last("dots")),
        most=1.5,
        no_peer=FORMULA,
    ),
    Row(
        *("DR3", DR3, "effective rank with the term ÷ without"),
        of=("dr3-max-term", last("rank")),
        to=("dr3-max", last("rank")),
        least=1.0,
        no_peer=FORMULA,
    ),
    Row(
        *("DR3", DR3, "CQL with the term: score at 5 x the steps ÷ its best"),
        of=("cql-dr3-long", last()),
        to=("cql-dr3-long", best()),
        least=0.95,
        no_peer=FORMULA,
    ),
    Row(
        *("DR3", "arXiv 2006.04779", "CQL alone: score at 5 x the steps ÷ its best"),
        of=("cql-long", last()),
        to=("cql-long", best()),
        least=0.95,
        no_peer=FORMULA,
    ),
    Row(
        *("QR-SAC", SAC, "score after 51,200 timesteps ÷ PPO's"),
        of=("qr-sac", last()),
        to=("ppo", at(51_200)),
        least=1.0,
        no_peer=NO_SAC,
    ),
    Row(
        *("QR-SAC", "arXiv 2504.09021", "score, critic sees the game's memory ÷ it does not"),
        of=("qr-sac", last()),
        to=("qr-sac-symmetric", last()),
        least=1.0,
        no_peer=NO_SAC,
    ),
]
