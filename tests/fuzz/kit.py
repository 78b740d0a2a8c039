"""How many examples a property runs, and the count of their outcomes.

`make test` runs the short profile: few examples, the same ones every time. `make fuzz` sets
`FUZZ=long`: new examples in every run, `FUZZ_FACTOR` times as many (50 if it is not set), and a
failing one is shrunk.
"""

from __future__ import annotations

import collections
import os
import time

from hypothesis import HealthCheck, Phase, settings

LONG = os.environ.get("FUZZ") == "long"
FACTOR = float(os.environ.get("FUZZ_FACTOR", 50 if LONG else 1))

settings.register_profile(
    "short",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
settings.register_profile(
    "long",
    derandomize=False,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)


def examples(count: int) -> settings:
    """The settings of a property that runs `count` examples in the short profile."""
    # Not settings.load_profile: it would change the properties of other folders, too.
    profile = settings.get_profile("long" if LONG else "short")
    return settings(profile, max_examples=max(1, round(count * FACTOR)))


class Tally(collections.Counter):
    """Counts a property's examples by outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in self.most_common())
        seconds = time.monotonic() - self.began
        return f"{self.total():,} examples in {seconds:.1f} s: {outcomes}"
