"""The error that a person can mend."""

from __future__ import annotations


class UsageError(Exception):
    """What was asked for cannot be done; the message is one line that says what to change.

    Command lines print the message without a traceback and exit with code 2.
    """
