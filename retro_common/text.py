"""Text of strangers, made fit to be shown: names, log lines, exceptions, fields of their files."""

from __future__ import annotations

import reprlib

LIMIT = 200
"""characters of a text that are shown, unless the caller asks for another number"""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 2


def clean(text: object, limit: int = LIMIT) -> str:
    """A text as one line of printable characters, cut to `limit`.

    White space of any kind becomes single blanks. Everything else that is not printable is written
    as its Python escape: control characters (a terminal would obey them), marks that change the
    direction of writing, lone surrogates (no file can hold them), characters without a meaning.

    The result is still text: a program that reads markup in it (rich, HTML, matplotlib's formulas)
    must be given it as plain text.
    """
    # Cut before anything that takes time: the text may have any length.
    words = str(text)[: 4 * limit + 4].split()
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(words))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def shown(value: object, limit: int = 80) -> str:
    """A value from a file as a message shows it: its `repr` on one line, cut to `limit`.

    Characters that a terminal would obey, and those that cannot be encoded, come out escaped.
    """
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = "a huge number"
    return clean(text, limit)
