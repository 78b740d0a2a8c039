"""The error for what a person can mend: one line, exit code 2."""


class UsageError(Exception):
    """What was asked cannot be done as asked; the message says what to change."""
