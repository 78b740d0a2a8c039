"""Applies a VCDIFF delta in a process of its own, with little memory and time. A program.

`python decoder.py SOURCE DELTA TARGET [XDELTA3]`: with the program XDELTA3, or with the library
`pyxdelta`. Both are the same C code, which reads files that others wrote. Exits with 0 if TARGET is
complete.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys

MEMORY = 512 << 20
"""bytes of address space; the ROM of a game takes a twentieth of it"""
SECONDS = 30
"""of processor time; a ROM takes less than one"""
FILE = 16 << 20
"""bytes of a file that it writes"""


def main(source: str, delta: str, target: str, program: str = "") -> int:
    """Returns the exit code, unless the program takes this process over."""
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: SECONDS,
        resource.RLIMIT_FSIZE: FILE,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower one is in force already
            resource.setrlimit(limit, (value, value))
    if program:
        os.execv(program, [program, "-d", "-f", "-s", source, delta, target])
    import pyxdelta

    return 0 if pyxdelta.decode(infile=source, patchfile=delta, outfile=target) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
