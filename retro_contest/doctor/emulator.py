"""The emulator plays 100 timesteps, in a process of its own: it may crash. Also a program."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

from retro_common.provenance import INSTALLED, ROOT
from retro_contest.doctor.child import ChildFailed, ask
from retro_contest.doctor.findings import Line, Problem, line
from retro_contest.levels import Level

TIMESTEPS = 100


def check_emulator(level: Level) -> Iterator[Line]:
    """Lines about the emulator and about its speed."""
    found: dict[str, object] = {}

    def play() -> str:
        found.update(_play(level))
        return f"played {TIMESTEPS} timesteps of {level.name}, {found['rate']:.0f} per second"

    yield line("emulator", play)
    if found:
        yield line("fast stepping", lambda: _fast(str(found["difference"])), needed=False)


def _play(level: Level) -> dict[str, object]:
    path = os.environ.get("PYTHONPATH", "")
    environment = dict(os.environ)
    if not INSTALLED:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), path]))
    name = level.name if level.integrations is None else str(level.folder / level.state)
    try:
        return ask(["-m", "retro_contest.doctor.emulator", name], environment)
    except ChildFailed as failed:
        raise Problem(
            f"its process ended with {failed.ended}: {failed}",
            "pip install --force-reinstall -r retro_contest/requirements.txt",
        ) from None


def _fast(difference: str) -> str:
    if difference:
        raise Problem(f"off, every frame is drawn (about half as fast): {difference}")
    return "on: frames that nobody sees are not drawn"


def main(name: str) -> int:
    """Plays; prints one JSON object as its last line."""
    from retro_contest.emulator import proof
    from retro_contest.emulator.make import make
    from retro_contest.emulator.undrawn import Unavailable
    from retro_contest.levels import find_one

    level = find_one(name)
    env = make(level, seed=0)
    env.action_space.seed(0)
    env.reset()
    began = time.perf_counter()
    for _ in range(TIMESTEPS):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    rate = TIMESTEPS / (time.perf_counter() - began)
    fast = env.undrawn is not None
    env.close()
    difference = ""
    if not fast:
        try:
            difference = proof.stored(proof.key_of(level)) or "unknown"
        except Unavailable as error:
            difference = str(error)
    print(json.dumps({"rate": rate, "difference": difference}))
    return 0


if __name__ == "__main__":
    from retro_common.errors import UsageError

    try:
        sys.exit(main(*sys.argv[1:]))
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
