"""The limits of an agent's container: a limit that cannot be is a mistake of the host.

They are checked before anything is played, or the engine's refusal would count as the agent's
failure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from retro_common.errors import UsageError
from retro_common.text import clean

UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LEAST_MEMORY = 6 << 20
"""bytes; the engine starts no container with less"""
LEAST_CPUS = 0.01
"""processors; the engine grants no less"""


@dataclass(frozen=True)
class Limits:
    """The limits of one agent."""

    cpus: float
    """processors"""
    memory: str = "4g"
    """bytes, with the suffixes k, m and g; files in `/tmp` and in its output folder included"""
    processes: int = 512
    """processes and threads"""
    gpus: str = ""
    """`all`, a number, `device=0,1`, or nothing: as in `docker run --gpus`"""


def memory_bytes(size: str) -> int:
    """A size such as `512m` or `4g` in bytes.

    Raises:
        UsageError: it is not a size, or the engine starts no container with so little.
    """
    match = re.fullmatch(r"([1-9]\d{0,17})([bkmg]?)", size.lower(), re.ASCII)
    if not match:
        raise UsageError(f"--memory '{clean(size, 40)}' is not a number of bytes like 512m or 4g")
    number = int(match[1]) * UNITS[match[2]]
    if number < LEAST_MEMORY:
        raise UsageError(f"--memory {size} is less than the 6m that a container needs")
    return number


def check(
    cpus: float | None,
    memory: str,
    *,
    machine_cpus: int | None = None,
    machine_memory: int | None = None,
) -> None:
    """Check the limits of an agent.

    Args:
        cpus: processors; None for the engine's own choice.
        memory: a size, see `memory_bytes`.
        machine_cpus: processors of the engine's machine; None where it is not known.
        machine_memory: bytes of memory of the engine's machine; None where they are not known.

    Raises:
        UsageError: a limit is impossible; the message names the option.
    """
    if cpus is not None and not (math.isfinite(cpus) and cpus >= LEAST_CPUS):
        raise UsageError(f"--cpus must be a number of at least {LEAST_CPUS}, not {cpus:g}")
    size = memory_bytes(memory)
    if cpus is not None and machine_cpus is not None and cpus > machine_cpus:
        raise UsageError(f"--cpus {cpus:g}: the engine's machine has {machine_cpus}")
    if machine_memory is not None and size > machine_memory:
        raise UsageError(f"--memory {memory}: the engine's machine has {machine_memory >> 20}m")
