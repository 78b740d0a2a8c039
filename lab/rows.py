"""What each system is measured by: the rows of the laboratory's table.

A row's result is a figure of one configuration's runs divided by a figure of another's, for each
seed by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]
SEEDS = (0, 1, 2)
"""seeds that every configuration is run with"""


@dataclass(frozen=True)
class Figure:
    """A number of the results of a configuration's runs."""

    name: str
    """the configuration's"""
    read: Callable[[Result], float]
    what: str = ""
    """what it is, for people; empty for the score at the end"""

    @property
    def label(self) -> str:
        return f"{self.name}, {self.what}" if self.what else self.name


def at_end(name: str, key: str = "score") -> Figure:
    """A number of the end of the curve."""
    what = "" if key == "score" else key
    return Figure(name, lambda result: float(result["curve"][-1][key]), what)


def at_start(name: str) -> Figure:
    return Figure(name, lambda result: float(result["curve"][0]["score"]), "before")


def at_best(name: str) -> Figure:
    return Figure(name, lambda result: max(e["score"] for e in result["curve"]), "best")


def at(name: str, step: int) -> Figure:
    """The first score of the curve that is as far."""

    def read(result: Result) -> float:
        return float(next(e["score"] for e in result["curve"] if e["step"] >= step))

    return Figure(name, read, f"at {step:,}")


def held_out(name: str) -> Figure:
    """The score on held-out acts."""
    return Figure(name, lambda result: float(result["held_out"]["score"]), "held-out acts")


def played(name: str) -> Figure:
    """The mean reward of the episodes that were played while learning."""
    return Figure(name, lambda result: float(result["played"]), "while learning")


def data_mean(name: str) -> Figure:
    """The mean reward of the episodes that a configuration learns from."""
    return Figure(name, lambda result: float(result["data"]["mean"]), "mean of its data")


def likelihood(name: str, key: str = "nll") -> Figure:
    """The likelihood at the end (geometric mean) whose negative logarithm is a measure."""
    return Figure(name, lambda result: math.exp(-result["curve"][-1][key]), "likelihood")


def in_body(name: str, body: str) -> Figure:
    """The score in a body at the end."""
    return Figure(name, lambda result: float(result["curve"][-1]["bodies"][body]), body)


@dataclass(frozen=True)
class Row:
    """A line of the table: figure `of` ÷ figure `to`."""

    system: str
    source: str
    measure: str
    """what is divided by what"""
    of: Figure
    to: Figure
    least: float | None = None
    """the ratio should be at least this"""
    most: float | None = None
    """the ratio should be at most this"""
    peer: str = ""
    """configuration of the peer whose score stands beside; empty for none"""
    no_peer: str = "none"
    """why there is none"""
    until: bool = False
    """the result is how far `of` goes until its score is the mean of `to`, as a share of how far
    `to` went"""

    @property
    def target(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.measure}: {self.least:g} to {self.most:g}"
        if self.least is not None:
            return f"{self.measure}: at least {self.least:g}"
        return f"{self.measure}: at most {self.most:g}"


IQL, ILQL, CQL = "arXiv 2110.06169", "arXiv 2206.11871", "arXiv 2006.04779"
SCALED, DR3, SAC = "arXiv 2211.15144", "arXiv 2112.04716", "arXiv 2406.12563"
FORMULA = "none to run: Dopamine's formula, compared in tests/lab/test_lab_values.py"
LDR, WITHIN = "arXiv 1810.02309", 0.98
CROSS = "arXiv 2408.11812"
NO_CROSS = "none: the public code is a transformer of 130 million weights"
WHOLE = 0.52
"""5 MB as a share of the shipped bundle's 9.57"""
LAYER = "torch-structured 1.3.0: equal outputs, tests/lab/test_lab_structured.py"
NO_SAC = "none: no public discrete QR-SAC with an asymmetric critic"


def same(system: str, mine: str) -> Row:
    """Ours and a peer's, on the same arrays, within 5% of each other."""
    of, to = at_end(mine), at_end(f"peer-{mine}")
    return Row(
        *(system, "the peer", f"score of {mine} ÷ the peer's"),
        *(of, to),
        least=0.95,
        most=1.05,
        peer=to.name,
    )


def dot_products(on: str, prefix: str) -> list[Row]:
    """DR3's own test, on one kind of features."""
    names = [f"{prefix}-{end}" for end in ("sarsa", "resampled", "term")]
    sarsa, resampled, term = (at_end(name, "dots") for name in names)
    return [
        Row(
            *("DR3", DR3, f"dot products on {on}, TD with resampled actions ÷ SARSA"),
            *(resampled, sarsa),
            least=3.0,
            no_peer=FORMULA,
        ),
        Row(
            *("DR3", DR3, f"dot products on {on}, the same with DR3's term ÷ SARSA"),
            *(term, sarsa),
            most=1.5,
            no_peer=FORMULA,
        ),
        Row(
            *("DR3", DR3, f"effective rank on {on}, with the term ÷ without"),
            *(at_end(names[2], "rank"), at_end(names[1], "rank")),
            least=1.0,
            no_peer=FORMULA,
        ),
    ]


def across_bodies(body: str) -> list[Row]:
    """A body played by the C that three share, and by a specialist."""
    one, many = f"bodies-{body}", "bodies-shared"
    return [
        Row(
            *("CrossFormer", CROSS, f"{body}: score of the shared C ÷ the specialist's"),
            *(in_body(many, body), in_body(one, body)),
            least=0.95,
            no_peer=NO_CROSS,
        ),
        Row(
            *(
                "CrossFormer",
                CROSS,
                f"{body}: likelihood of held-back actions, shared ÷ specialist",
            ),
            *(likelihood(many, f"nll {body}"), likelihood(one, f"nll {body}")),
            least=0.95,
            no_peer=NO_CROSS,
        ),
    ]


def left_out(to: str, what: str) -> Row:
    """The fourth body, learnt with half of the timesteps from what three others share."""
    return Row(
        *(
            "CrossFormer",
            CROSS,
            f"a body left out: likelihood, shared C and half the data ÷ {what}",
        ),
        *(likelihood("bodies-new-shared", "nll both"), likelihood(to, "nll both")),
        least=1.0,
        no_peer=NO_CROSS,
    )


ROWS = [
    Row(
        *("ILQL", IQL, "IQL's score ÷ the clone's"),
        *(at_end("iql"), at_end("clone")),
        least=1.15,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "IQL's score ÷ that of the best tenth's clone"),
        *(at_end("iql"), at_end("clone-best")),
        least=1.0,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "IQL's score ÷ the mean of its data"),
        *(at_end("iql"), data_mean("iql")),
        least=1.0,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "held-out acts: IQL's score ÷ the clone's"),
        *(held_out("iql"), held_out("clone")),
        least=1.0,
    ),
    same("ILQL", "clone"),
    same("ILQL", "iql"),
    Row(
        *("ILQL", ILQL, "score of the clone reweighted by Q - V ÷ the clone's"),
        *(at_end("ilql"), at_end("clone")),
        least=1.15,
        no_peer="none: its code is for language models",
    ),
    Row(
        *("Scaled-QL", SCALED, "score, categorical and normalised ÷ scalar (CQL)"),
        *(at_end("scaled-256"), at_end("cql")),
        least=1.0,
        peer="peer-scaled",
    ),
    Row(
        *("Scaled-QL", SCALED, "score ÷ the mean of its data"),
        *(at_end("scaled-256"), data_mean("scaled-256")),
        least=1.5,
        peer="peer-scaled",
    ),
    Row(
        *("Scaled-QL", SCALED, "score at 512 units ÷ at 64 units"),
        *(at_end("scaled-512"), at_end("scaled-64")),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "score at 256 units ÷ at 64 units"),
        *(at_end("scaled-256"), at_end("scaled-64")),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "score with a head for each act ÷ with one head"),
        *(at_end("scaled-heads"), at_end("scaled-256")),
        least=1.0,
    ),
    same("Scaled-QL", "cql"),
    Row(
        *("Scaled-QL", SCALED, "held-out acts: score after 2,700 timesteps of data each ÷ before"),
        *(at_end("scaled-new"), at_start("scaled-new")),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "held-out acts: score after 2,700 timesteps of play each ÷ before"),
        *(at_end("scaled-new-online"), at_start("scaled-new-online")),
        least=1.0,
    ),
    *dot_products("frozen features", "dr3"),
    Row(
        *("DR3", DR3, "CQL with the term: score at 5 x the steps ÷ its best"),
        *(at_end("cql-dr3-long"), at_best("cql-dr3-long")),
        least=0.95,
        no_peer=FORMULA,
    ),
    Row(
        *("DR3", CQL, "CQL alone: score at 5 x the steps ÷ its best"),
        *(at_end("cql-long"), at_best("cql-long")),
        least=0.95,
        no_peer=FORMULA,
    ),
    Row(
        *("ILQL", IQL, "timesteps of PPO from IQL to the level of PPO at 409,600 ÷ 409,600"),
        *(at_end("ppo-from-iql"), at_end("ppo")),
        most=0.5,
        until=True,
    ),
    Row(
        *("ILQL", IQL, "score after 4,056 timesteps of fine-tuning ÷ before"),
        *(at("ppo-from-iql", 4_000), at_start("ppo-from-iql")),
        least=0.95,
    ),
    Row(
        *("ILQL", ILQL, "held-out acts, 20,000 timesteps each: C frozen, Q - V learnt ÷ PPO"),
        *(played("ilql-online"), played("ppo-online")),
        least=0.97,
    ),
    Row(
        *("QR-SAC", SAC, "score after 409,600 timesteps ÷ PPO's"),
        *(at_end("qr-sac"), at_end("ppo")),
        least=1.0,
        no_peer=NO_SAC,
    ),
    Row(
        *("QR-SAC", SAC, "score after 51,200 timesteps ÷ PPO's"),
        *(at("qr-sac", 51_200), at("ppo", 51_200)),
        least=1.0,
        no_peer=NO_SAC,
    ),
    Row(
        *("QR-SAC", "arXiv 2504.09021", "score, critics see the game's memory ÷ they do not"),
        *(at_end("qr-sac"), at_end("qr-sac-symmetric")),
        least=1.0,
        no_peer=NO_SAC,
    ),
    *dot_products("learnt features", "dr3-frames"),
    Row(
        *("LDR", LDR, "bytes of the bundle ÷ those of the dense one"),
        *(at_end("ldr", "megabytes"), at_end("ldr-dense", "megabytes")),
        most=WHOLE,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "M's likelihood of a latent unit ÷ the dense M's, within 0.02 nats"),
        *(likelihood("ldr"), likelihood("ldr-dense")),
        least=WITHIN,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "the same ÷ that of low rank at equal bytes"),
        *(likelihood("ldr"), likelihood("ldr-low-rank")),
        least=1.0,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "the same ÷ that of 8 bits in a smaller bundle"),
        *(likelihood("ldr"), likelihood("ldr-int8")),
        least=1.0,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "C's distance (KL) from the shipped C ÷ that with low rank"),
        *(at_end("ldr", "kl"), at_end("ldr-low-rank", "kl")),
        most=1.0,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "score ÷ the dense bundle's"),
        *(at_end("ldr"), at_end("ldr-dense")),
        least=0.97,
        no_peer=LAYER,
    ),
    *(row for body in ("home", "mirrored", "buttons") for row in across_bodies(body)),
    Row(
        *(
            "CrossFormer",
            CROSS,
            "a body left out: score, shared C and half the data ÷ scratch, all",
        ),
        *(at_end("bodies-new-shared"), at_end("bodies-new")),
        least=1.0,
        no_peer=NO_CROSS,
    ),
    left_out("bodies-new", "scratch, all"),
    left_out("bodies-new-half", "scratch, half"),
]


def names() -> list[str]:
    """The configurations of all rows, each once, in the rows' order; baselines come first."""
    found = [each.name for row in ROWS for each in (row.to, row.of)]
    peers = [row.peer for row in ROWS if row.peer]
    return list(dict.fromkeys([*found, *peers]))
