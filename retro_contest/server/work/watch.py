"""Starts the executor of a contest and sees to it that there is always one that lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from retro_common.provenance import INSTALLED, ROOT
from retro_contest.server.contest import Contest

LOOK = 1.0  # seconds between two looks
SILENT = 120.0  # seconds without a sign of life after which an executor counts as hung
STOP_SECONDS = 90.0  # that an executor gets to stop its jobs
QUICK = 10.0  # an executor that ends sooner is started again later and later
MOST_WAIT = 60.0


class Watch:
    """A thread that starts the executor, and starts it again when it has ended or hangs.

    An executor of a web server that was killed may still play its last jobs: then the next one is
    started when it has ended.
    """

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._process: subprocess.Popen[bytes] | None = None
        self._since = time.monotonic()
        self._wait = LOOK
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the executor; its jobs are queued again."""
        self._stopping.set()
        self._thread.join()
        if self._process is None or self._process.poll() is not None:
            _signal_holder(self._contest.places.executor_lock, signal.SIGTERM)
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._process.kill()
        self._process.wait()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._look()
            self._stopping.wait(self._wait)
        self._contest.store.close()

    def _look(self) -> None:
        process, lock = self._process, self._contest.places.executor_lock
        silent = time.monotonic() - self._since > SILENT and not self._contest.executor_is_alive(
            SILENT
        )
        if process is not None and process.poll() is None:
            if silent:
                process.kill()
        elif process is not None:
            self._process = None
            quick = time.monotonic() - self._since < QUICK
            self._wait = min(MOST_WAIT, 2 * self._wait) if quick else LOOK
        elif not _is_locked(lock):
            self._start()
        elif silent:
            _signal_holder(lock, signal.SIGKILL)

    def _start(self) -> None:
        self._since = time.monotonic()
        paths = ["" if INSTALLED else str(ROOT), os.environ.get("PYTHONPATH", "")]
        places = self._contest.places
        with places.executor_log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "retro_contest.server.work.executor", str(places.data)],
                stdin=subprocess.PIPE,  # its lifeline: the kernel closes it when we end
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
                start_new_session=True,  # Ctrl-C in the terminal goes to the web server alone
            )


def _is_locked(lock: Path) -> bool:
    """Whether an executor holds a lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _signal_holder(lock: Path, number: signal.Signals) -> None:
    """Send a signal to the process that holds a lock, and to no other one."""
    with contextlib.suppress(OSError, ValueError):
        process = os.pidfd_open(int(lock.read_text()))
        try:
            # Locked still, after its process was looked up: it is that process.
            if _is_locked(lock):
                signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)
