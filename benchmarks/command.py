"""Shared by the benchmarks' command lines: errors in one line, and the level to measure on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from retro_common.errors import UsageError
from retro_contest import levels


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and exit with its code: 0 for None, 2 after a wrong usage, 1 after an OSError.

    Either error is printed as one line, without a traceback.
    """
    try:
        sys.exit(main())
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def one_level(text: str) -> levels.Level:
    """The level that `--level` names.

    Raises:
        UsageError: there is no such level, or the text means several.
    """
    found = levels.find(text)
    if len(found) != 1:
        raise UsageError(f"--level: '{text}' is {len(found)} levels; name one, as GAME/STATE")
    return found[0]
