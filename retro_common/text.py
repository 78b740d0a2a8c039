"""Text of strangers, made fit to be shown: names, log lines, exceptions, fields of their files."""

from __future__ import annotations

LIMIT = 200
"""characters of a text that are shown, unless the caller asks for another number"""


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
