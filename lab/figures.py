"""What the laboratory's table is made of: figures of results, and rows that compare two of them.

A row's result is a figure of one configuration's runs divided by a figure of another's, for each
seed by itself; or, where it says so, the figure alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]
HELD_OUT = 5
"""acts that nothing is trained on"""


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


def at_start(name: str, key: str = "score") -> Figure:
    """A number of the curve's first entry, where that is before the first step."""
    what = "before" if key == "score" else f"{key} before"
    return Figure(name, lambda result: float(result["curve"][0][key]), what)


def constant(name: str, value: float, unit: str) -> Figure:
    """A bound in units of its own, to divide by."""
    return Figure(name, lambda result: value, f"{value:g} {unit}")


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


def in_others(name: str, key: str) -> Figure:
    """A measure on the data of other acts, the held-out ones."""
    return Figure(name, lambda result: float(result["other"][key]), f"{key}, held-out acts")


def success(name: str, part: int, what: str) -> Figure:
    """The share of tried goals that were reached in a quarter of the timesteps."""
    return Figure(name, lambda result: result["reached"][part] / result["tried"][part], what)


def simple(name: str) -> Figure:
    """The error of a ridge regression on the data of held-out acts, or that of the best constant
    where it is smaller."""
    return Figure(
        name,
        lambda result: min(float(result["other"][key]) for key in ("error", "constant")),
        "error or that of the best constant, held-out acts",
    )


def played(name: str) -> Figure:
    """The mean reward of the episodes that were played while learning."""
    return Figure(name, lambda result: float(result["played"]), "while learning")


def data_mean(name: str) -> Figure:
    """The mean reward of the episodes that a configuration learns from."""
    return Figure(name, lambda result: float(result["data"]["mean"]), "mean of its data")


def likelihood(
    name: str, key: str = "nll", what: str = "likelihood", *, others: bool = False
) -> Figure:
    """The likelihood (geometric mean) whose negative logarithm is a measure: at the end, or on the
    data of other acts."""

    def read(result: Result) -> float:
        found = result["other"] if others else result["curve"][-1]
        return math.exp(-found[key])

    return Figure(name, read, what)


def in_body(name: str, body: str) -> Figure:
    """The score in a body at the end."""
    return Figure(name, lambda result: float(result["curve"][-1]["bodies"][body]), body)


def gain(name: str) -> Figure:
    """What adapting M has taken off its NLL in the act."""

    def read(result: Result) -> float:
        return float(result["curve"][0]["nll"] - result["curve"][-1]["nll"])

    return Figure(name, read, "nats per unit gained")


def harm(name: str) -> Figure:
    """What it has put on M's NLL in acts that M was not adapted to, those M was trained on."""

    def read(result: Result) -> float:
        return float(result["other"]["nll"] - result["other"]["nll_before"])

    return Figure(name, read, "nats per unit more in training acts")


def own_gain(name: str) -> Figure:
    """What it has gained in the act beyond what it has gained in others, where M has nothing to
    learn but how it is measured."""

    def read(result: Result) -> float:
        return gain(name).read(result) + harm(name).read(result)

    return Figure(name, read, "nats per unit gained beyond training acts")


def seconds(name: str) -> Figure:
    """Processor seconds of the gradient steps for one act."""
    return Figure(name, lambda result: result["fitting_seconds"] / HELD_OUT, "seconds an act")


@dataclass(frozen=True)
class Row:
    """A line of the table: figure `of` ÷ figure `to`, or `of` alone."""

    system: str
    source: str
    measure: str
    """what is divided by what, or what the figure is"""
    of: Figure
    to: Figure
    least: float | None = None
    """the result should be at least this"""
    most: float | None = None
    """the result should be at most this"""
    alone: bool = False
    """the result is the figure `of`; `to` is no more than shown beside it"""
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
