"""Kills a command with SIGKILL at random moments, runs it again, and compares what comes of it."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

ROOT = Path(__file__).parents[2]
MARK = "CHAOS_RUN"
"""variable in the environment of a command, and of all that it starts"""
GONE_WITHIN = 30.0
"""seconds after a kill in which all that the command had started must have ended"""


class Fault(AssertionError):
    """A promise that a kill has broken."""


class Target(Protocol):
    """A command that may be killed at any moment."""

    name: str

    def start(self, folder: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen:
        """Start the command, the same one every time, with its files in `folder`."""

    def ended(self, folder: Path) -> None:
        """Called when the command has ended or was killed: end what was started beside it."""

    def saved(self, folder: Path) -> dict[str, Any]:
        """Everything that is saved in `folder`, by name.

        Raises:
            Fault: a file is only half there.
        """

    def lost(self, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        """Which entries of `saved` before a kill are not in those after the next run."""

    def result(self, folder: Path) -> dict[str, Any]:
        """The finished result, without times: equal in all undisturbed runs."""


@dataclass
class Report:
    """What the kills of one target did."""

    name: str
    kills: int = 0
    """kills that met the command alive"""
    runs: int = 0
    """runs in all, the last one undisturbed"""
    seconds: float = 0.0
    """of the undisturbed reference"""
    slowest_end: float = 0.0
    """seconds until the last process of a killed command had ended"""
    temporary: int = 0
    """files with a temporary name that are left at the end"""
    left_in_tmp: int = 0
    """entries that are left in the folder of temporary files"""
    saved: int = 0
    """entries that were saved before a kill and found after it"""
    faults: list[str] = field(default_factory=list)


def marked(mark: str) -> list[psutil.Process]:
    """The living processes with this mark in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until_gone(mark: str, seconds: float = GONE_WITHIN) -> tuple[float, list[str]]:
    """Wait until no process has this mark.

    Returns:
        The seconds that it took, and the command lines of those that stayed; they are killed.
    """
    began = time.monotonic()
    while left := marked(mark):
        if time.monotonic() - began > seconds:
            names = []
            for process in left:
                with contextlib.suppress(psutil.Error):
                    names.append(" ".join(process.cmdline())[:100])
                    process.kill()
            return time.monotonic() - began, names
        time.sleep(0.05)
    return time.monotonic() - began, []


class Chaos:
    """Runs one target in a folder of its own, undisturbed and killed."""

    def __init__(self, target: Target, folder: Path, seed: int) -> None:
        self.target, self.folder = target, folder
        self.random = random.Random(f"{seed} {target.name}")
        self.report = Report(target.name)
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)

    def _run(self, folder: Path, kill_after: float | None) -> int | None:
        """Run the command; its exit code, or None if it was killed."""
        mark = uuid.uuid4().hex
        environment = {
            **os.environ,
            MARK: mark,
            "TMPDIR": str(self._temporary),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        folder.mkdir(parents=True, exist_ok=True)
        process = self.target.start(folder, self.folder / "log", environment)
        try:
            code: int | None = process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        self.target.ended(folder)
        seconds, left = wait_until_gone(mark)
        self.report.slowest_end = max(self.report.slowest_end, seconds)
        if left:
            self._fault(f"left behind after {seconds:.0f} s: {'; '.join(left)}")
        return code

    def _fault(self, text: str) -> None:
        self.report.faults.append(text)

    def _finish(self, folder: Path) -> None:
        code = self._run(folder, None)
        if code != 0:
            log = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise Fault(f"{self.target.name}: exit code {code}, undisturbed:\n{log}")

    def reference(self, folder: Path | None = None) -> dict[str, Any]:
        """The result of an undisturbed run; of one that was made earlier, if `folder` is given."""
        began = time.monotonic()
        where = self.folder / "reference" if folder is None else folder
        if folder is None:
            self._finish(where)
        self.report.seconds = time.monotonic() - began
        return self.target.result(where)

    def kill(
        self,
        kills: int,
        reference: dict[str, Any],
        within: float | None = None,
        chain_of: int | None = None,
    ) -> Report:
        """Kill the command `kills` times, in chains that are each finished and compared.

        Args:
            chain_of: kills in a row (default: one to three, at random).
            within: kill within so many seconds of the start (default: those of the reference).
        """
        within = self.report.seconds if within is None else within
        chain = 0
        while self.report.kills < kills:
            folder = self.folder / f"chain-{chain}"
            chain += 1
            goal = min(kills, self.report.kills + (chain_of or self.random.randint(1, 3)))
            before: dict[str, Any] = {}
            finished = False
            while self.report.kills < goal and not finished:
                self.report.runs += 1
                code = self._run(folder, self.random.uniform(0, within))
                finished = code == 0
                if code is None:
                    self.report.kills += 1
                elif code != 0:
                    log = (self.folder / "log").read_text(errors="replace")[-500:]
                    self._fault(f"exit code {code} after a kill: {log}")
                before = self._check(folder, before)
            if not finished:
                self.report.runs += 1
                try:
                    self._finish(folder)
                except Fault as fault:
                    self._fault(str(fault))
                    continue
                self._check(folder, before)
            self._compare(folder, reference)
        return self.report

    def _check(self, folder: Path, before: dict[str, Any]) -> dict[str, Any]:
        """Nothing is half there and nothing that was saved is lost; what is saved now."""
        try:
            after = self.target.saved(folder)
        except Fault as fault:
            self._fault(str(fault))
            return before
        self.report.saved += len(before)
        for name in self.target.lost(before, after):
            self._fault(f"lost: {name}")
        return after

    def _compare(self, folder: Path, reference: dict[str, Any]) -> None:
        result = self.target.result(folder)
        for name in sorted(reference.keys() | result.keys()):
            if reference.get(name) != result.get(name):
                self._fault(
                    f"{name} is {str(result.get(name))[:80]}, undisturbed"
                    f" {str(reference.get(name))[:80]}"
                )
        self.report.temporary += sum(1 for path in folder.rglob(".*.tmp"))
        self.report.left_in_tmp = len(list(self._temporary.iterdir()))


def python(module: str, *words: str | Path) -> list[str]:
    """The command line of a module."""
    return [sys.executable, "-m", module, *map(str, words)]


def start(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen:
    """Start a command whose output goes to a file."""
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
        )
