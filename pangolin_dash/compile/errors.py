"""The error of a game that cannot be built."""


class BuildError(RuntimeError):
    """The compiler, or a check of its output, refuses the game's sources.

    It shows a fault in the sources. What a person can change (an option, a missing compiler) is a
    `UsageError`.
    """
