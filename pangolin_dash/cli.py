"""How the commands of this package end: one exit code and one line for every kind of failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pangolin_dash.compile.errors import BuildError
from retro_common.errors import UsageError


def exit_code(command: Callable[[], int]) -> int:
    """Run a command; returns its exit code.

    2 for a `UsageError` (the line says what to change), 1 for a game that cannot be built and for
    what goes wrong outside of this program (a full disk), otherwise what the command returns.
    """
    try:
        return command()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of the output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BuildError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
