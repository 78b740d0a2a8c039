"""How a stage can end before it is done."""


class Stopped(Exception):
    """The stage was asked to stop and has saved its work."""


class Diverged(Exception):
    """Training left the finite numbers; the message says where, and what is still good."""
