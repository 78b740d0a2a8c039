"""`retro-contest COMMAND ...`: finds the command and turns errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence

# Only modules that every Python has: a missing library must give a message, not a traceback.

PROGRAM = "retro-contest"
COMMANDS = (
    *("new", "levels", "roms", "serve", "evaluate", "submit", "board", "film", "publish"),
    *("login", "logout", "status", "cancel", "restart", "logs", "host", "admin"),
    *("environment", "clean", "doctor"),
)
OF_HOST = ("anyio", "argon2", "starlette", "uvicorn")
"""libraries of the extra `host`"""
OURS = ("gym_remote", "pangolin_dash", "retro_common", "retro_contest")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; the exit code.

    Args:
        words: the command line without the program; None for that of this process.
    """
    words = sys.argv[1:] if words is None else list(words)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f": it has {', '.join(COMMANDS)}"
        return _fail(f"{PROGRAM} has no command '{words[0]}'{hint}", 2)
    try:
        return _run(words)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        if error.name in OF_HOST:
            return _fail(
                f"a contest's host needs the library {error.name}: "
                "pip install 'retro-contest-kit[host]' "
                "(in a checkout: pip install -r requirements.txt)",
                2,
            )
        return _fail(
            f"{sys.executable} lacks the library '{error.name}': activate the environment that "
            "this was installed into (in a checkout, after make demo or make test: "
            ". .venv/bin/activate), or run pip install -r retro_contest/requirements.txt",
            2,
        )
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output (head, less) has closed it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # The machine's doing: a full disk, a file that was removed meanwhile.
        return _fail(str(error), 1)


def _run(words: Sequence[str]) -> int:
    from retro_common.errors import UsageError
    from retro_contest.cli.parse import parse

    try:
        return parse(words, PROGRAM).run()
    except UsageError as error:
        return _fail(str(error), 2)


def _fail(message: str, code: int) -> int:
    from retro_common.text import clean

    print(f"error: {clean(message, 2000)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
