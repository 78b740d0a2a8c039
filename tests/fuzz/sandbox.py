"""Runs a function on hostile input in a process with limits, thousands of times.

A helper process imports what the function needs once and forks for every call. A call ends in one
of five ways, `Outcome.kind`:

- `done`: the function returned, `Outcome.value` is what (as JSON has it);
- `refused`: it raised `UsageError`, the error that a person can mend;
- `error`: it raised anything else: a traceback for whoever gave the input;
- `slow`: it computed for longer than allowed, or waited for ever;
- `died`: a signal ended it.

Memory beyond the limit is a MemoryError, which is an `error`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass
class Outcome:
    """How a call ended."""

    kind: str
    """`done`, `refused`, `error`, `slow` or `died`"""
    text: str = ""
    """the message of `refused`, the traceback of `error`"""
    value: Any = None
    """the result of `done`"""

    @property
    def word(self) -> str:
        """The kind, and of an error its class."""
        if self.kind != "error":
            return self.kind
        return f"error {self.text.strip().splitlines()[-1].partition(':')[0]}"


class Sandbox:
    """The helper process; a context manager. Its functions are those of one module."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.sandbox", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # Arenas of threads would count as memory of the call.
            env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        )

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def call(
        self,
        function: str,
        *arguments: Any,
        seconds: float = 5.0,
        patience: float = 3.0,
        megabytes: int | None = 1024,
    ) -> Outcome:
        """Call a function of the module with arguments that JSON can carry.

        Args:
            seconds: processor time that the call may take, so that a busy machine does not matter.
            patience: seconds after which a call that does nothing but wait is ended. One that waits
                for a processor or for the disk does not count.
            megabytes: address space that the call may take; None for no limit.
        """
        request = [function, arguments, seconds, patience, megabytes]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Outcome(*json.loads(self._process.stdout.readline()))


def _serve(module: str) -> None:
    functions = importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what functions print must not come between the answers
    for line in sys.stdin:
        answers.write(json.dumps(dataclasses.astuple(_fork(functions, *json.loads(line)))) + "\n")
        answers.flush()


def _fork(
    functions: Any,
    name: str,
    arguments: list,
    seconds: float,
    patience: float,
    megabytes: int | None,
) -> Outcome:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.setpgid(0, 0)
        _limit(seconds, megabytes)
        _answer(writing, getattr(functions, name), arguments)
    os.close(writing)
    content, ended = _read(reading, pid, patience)
    os.close(reading)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # with all that it started
    _, status = os.waitpid(pid, 0)
    if not ended:
        return Outcome("slow", f"waits, and has done nothing for {patience:g} s")
    if content:
        return Outcome(*json.loads(content))
    number = os.waitstatus_to_exitcode(status)
    if number == -signal.SIGXCPU:
        return Outcome("slow", f"more than {seconds:g} s of processor time")
    return Outcome("died", f"exit code {number}")


def _limit(seconds: float, megabytes: int | None) -> None:
    allowed = math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if megabytes is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def _answer(writing: int, function: Any, arguments: list) -> None:
    from retro_common.errors import UsageError

    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(0, 2)
    try:
        outcome = ["done", "", function(*arguments)]
    except UsageError as error:
        outcome = ["refused", str(error)[:100_000]]
    except BaseException:
        # To format the traceback of a MemoryError takes memory.
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        outcome = ["error", traceback.format_exc(limit=-6)[-6000:]]
    data = json.dumps(outcome).encode()
    while data:
        data = data[os.write(writing, data) :]
    os._exit(0)


def _read(reading: int, pid: int, patience: float) -> tuple[bytes, bool]:
    """What comes from the pipe, and whether it was closed before the process waited too long."""
    content, work, since = b"", None, time.monotonic()
    while True:
        if select.select([reading], [], [], 0.25)[0]:
            piece = os.read(reading, 65536)
            if not piece:
                return content, True
            content += piece
        if (now := _work(pid)) != work or now is None:
            work, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            return content, False


def _work(pid: int) -> list[str] | None:
    """Processor time of each thread; None if one of them could go on, or the process is gone."""
    times = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            if fields[0] in "RD":
                return None
            times.append(f"{task.name} {fields[11]} {fields[12]}")
    except OSError:
        return None
    return sorted(times)


if __name__ == "__main__":
    _serve(sys.argv[1])
