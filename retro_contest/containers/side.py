"""One container as a side of a run: its exit code, and its output in a bounded log file."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import DockerException, NotFound

from retro_contest.runs.processes import LOG_LIMIT, STOP_SECONDS, last_line
from retro_contest.runs.supervisor import BoundedLog

if TYPE_CHECKING:
    from docker.models.containers import Container

ENGINE_GONE = 125  # "exit code" of a container whose engine does not answer any more
OOM_SECONDS = 3.0  # within these the engine says that a killed container was out of memory


class ContainerSide:
    """One container: its exit code, and its output in a bounded log file."""

    def __init__(self, container: Container, log: Path) -> None:
        self._container = container
        self._log = log
        self._code: int | None = None
        self._started = False
        self._ended = threading.Event()
        self._copier = threading.Thread(target=self._copy, daemon=True)

    def start(self) -> None:
        """Start it. Raises APIError if the engine cannot, for example without a program to run."""
        self._output = self._container.attach(stream=True)
        self._container.start()
        self._started = True
        self._copier.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def poll(self) -> int | None:
        return self._code

    def wait(self, seconds: float) -> int | None:
        self._ended.wait(seconds)
        return self._code

    def stop(self) -> None:
        if not self._started or self._ended.is_set():
            return
        with contextlib.suppress(NotFound):
            self._container.stop(timeout=round(STOP_SECONDS))
        self._ended.wait(STOP_SECONDS)
        self._copier.join(STOP_SECONDS)

    def last_line(self) -> str:
        self._copier.join(STOP_SECONDS)
        if self._out_of_memory():
            return "it was out of memory"
        return last_line(self._log)

    def _out_of_memory(self) -> bool:
        """The engine reports the end and its reason separately: the reason may come later."""
        deadline = time.monotonic() + OOM_SECONDS
        with contextlib.suppress(DockerException, OSError):
            while self._code == 137:
                self._container.reload()
                if self._container.attrs["State"]["OOMKilled"] or time.monotonic() > deadline:
                    return self._container.attrs["State"]["OOMKilled"]
                time.sleep(0.1)
        return False

    def _wait(self) -> None:
        try:
            self._code = self._container.wait(timeout=None)["StatusCode"]
        except (DockerException, OSError):
            self._code = ENGINE_GONE
        self._ended.set()

    def _copy(self) -> None:
        log = BoundedLog(str(self._log), LOG_LIMIT)
        try:
            for data in self._output:
                log.write(data)
        except (DockerException, OSError, ValueError):
            log.write(b"[the engine broke off the log]\n")
        finally:
            log.finish()


class NotStarted:
    """An agent that was not started, or could not be."""

    def __init__(self, code: int | None = None, line: str = "") -> None:
        self._code = code
        self._line = line

    def poll(self) -> int | None:
        return self._code

    def wait(self, seconds: float) -> int | None:
        time.sleep(seconds)
        return self._code

    def stop(self) -> None:
        pass

    def last_line(self) -> str:
        return self._line
