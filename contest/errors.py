"""What a person did wrong, as opposed to what went wrong."""

from __future__ import annotations


class UsageError(Exception):
    """A mistake of the person at the keyboard, in one line that says how to put it right.

    ``contest/__main__.py`` prints the message on stderr without a traceback and exits with 2.
    """
