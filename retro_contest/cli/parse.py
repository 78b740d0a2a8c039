"""Parses the command line into one command's dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Protocol

import tyro
from tyro.conf import OmitArgPrefixes, subcommand
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from retro_contest.cli.admin import Admin
from retro_contest.cli.board import Board
from retro_contest.cli.clean import Clean
from retro_contest.cli.doctor import Doctor
from retro_contest.cli.environment import Environment
from retro_contest.cli.evaluate import Evaluate
from retro_contest.cli.film import Film
from retro_contest.cli.host import Host
from retro_contest.cli.jobs import Cancel, Logs, Restart, Status
from retro_contest.cli.levels import Levels
from retro_contest.cli.login import Login, Logout
from retro_contest.cli.new import New
from retro_contest.cli.publish import Publish
from retro_contest.cli.roms import Roms
from retro_contest.cli.serve import Serve
from retro_contest.cli.submit import Submit

BUILDING = ("submit", "environment")
"""commands that take options of `docker build` after `--`"""

Command = (
    Annotated[New, subcommand(name="new")]
    | Annotated[Levels, subcommand(name="levels")]
    | Annotated[Roms, subcommand(name="roms")]
    | Annotated[Serve, subcommand(name="serve")]
    | Annotated[Evaluate, subcommand(name="evaluate")]
    | Annotated[Submit, subcommand(name="submit")]
    | Annotated[Board, subcommand(name="board")]
    | Annotated[Login, subcommand(name="login")]
    | Annotated[Logout, subcommand(name="logout")]
    | Annotated[Status, subcommand(name="status")]
    | Annotated[Cancel, subcommand(name="cancel")]
    | Annotated[Restart, subcommand(name="restart")]
    | Annotated[Logs, subcommand(name="logs")]
    | Annotated[Film, subcommand(name="film")]
    | Annotated[Publish, subcommand(name="publish")]
    | Annotated[Host, subcommand(name="host")]
    | Annotated[Admin, subcommand(name="admin")]
    | Annotated[Environment, subcommand(name="environment")]
    | Annotated[Clean, subcommand(name="clean")]
    | Annotated[Doctor, subcommand(name="doctor")]
)


class Runnable(Protocol):
    """A command with its options."""

    def run(self) -> int:
        """Do it; the exit code."""


def parse(words: Sequence[str], program: str) -> Runnable:
    """The command that a command line means. Ends the process for --help and for wrong options.

    Raises:
        UsageError: a value is impossible.
    """
    own, rest = list(words), None
    if words and words[0] in BUILDING and "--" in words:
        end = own.index("--")
        own, rest = own[:end], tuple(own[end + 1 :])
    command = tyro.cli(
        Command,
        prog=program,
        args=own,
        description="The contest on your own machine: serve levels, evaluate agents, rank them.",
        config=(OmitArgPrefixes,),
        registry=_numbers(),
    )
    if rest is not None and isinstance(command, Submit | Environment):
        return dataclasses.replace(command, build=rest)
    return command


def _numbers() -> ConstructorRegistry:
    """Whole numbers may be written as 1000000, 1_000_000 or 1e6."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def whole_number(kind: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
        if kind.type is not int:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="N",
            instance_from_str=lambda words: _whole(words[0]),
            is_instance=lambda value: isinstance(value, int),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        value = float(word)
    if not value.is_integer():
        raise ValueError(f"'{word}' is not a whole number")
    return int(value)
