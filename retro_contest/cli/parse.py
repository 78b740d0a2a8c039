"""Parses the command line into one command's dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, subcommand
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from retro_contest.cli.board import Board
from retro_contest.cli.clean import Clean
from retro_contest.cli.doctor import Doctor
from retro_contest.cli.evaluate import Evaluate
from retro_contest.cli.film import Film
from retro_contest.cli.levels import Levels
from retro_contest.cli.publish import Publish
from retro_contest.cli.serve import Serve

Command = (
    Annotated[Levels, subcommand(name="levels")]
    | Annotated[Serve, subcommand(name="serve")]
    | Annotated[Evaluate, subcommand(name="evaluate")]
    | Annotated[Board, subcommand(name="board")]
    | Annotated[Film, subcommand(name="film")]
    | Annotated[Publish, subcommand(name="publish")]
    | Annotated[Clean, subcommand(name="clean")]
    | Annotated[Doctor, subcommand(name="doctor")]
)


def parse(
    words: Sequence[str], program: str
) -> Levels | Serve | Evaluate | Board | Film | Publish | Clean | Doctor:
    """The command that a command line means. Ends the process for --help and for wrong options.

    Raises:
        UsageError: a value is impossible.
    """
    return tyro.cli(
        Command,
        prog=program,
        args=words,
        description="The contest on your own machine: serve levels, evaluate agents, rank them.",
        config=(OmitArgPrefixes,),
        registry=_numbers(),
    )


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
