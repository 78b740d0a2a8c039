"""The error that a person can mend, and values as its message may show them."""

from __future__ import annotations

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 2


class UsageError(Exception):
    """What was asked for cannot be done; the message is one line that says what to change.

    Command lines print the message without a traceback and exit with code 2.
    """


def shown(value: object, limit: int = 80) -> str:
    """A value from a file as a message shows it: its `repr` on one line, cut to `limit`.

    Characters that a terminal would obey, and those that cannot be encoded, come out escaped.
    """
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = "a huge number"
    return cut(text, limit)


def cut(text: object, limit: int = 200) -> str:
    """A text on one line, with everything escaped that is not printable, and cut to `limit`."""
    line = " ".join(str(text)[: 2 * limit].split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return line if len(line) <= limit else line[: limit - 3] + "..."
