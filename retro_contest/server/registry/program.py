"""Runs a Docker registry for ourselves alone: on a Unix socket that no other user can open.

Debian's `docker-registry` or the CNCF's `registry`. It has no accounts: who may do what is decided
by the front (`front.py`), the only one who talks to it. It ends with us, and starts again if it
ends by itself.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

import httpx2
import yaml

from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_contest.runs.processes import SupervisedProcess, last_line
from retro_contest.runs.results import make_folder

PROGRAMS = ("docker-registry", "registry")
START_SECONDS = 15.0
PAUSE = 1.0  # seconds between two looks at it


class RegistryProgram:
    """A running registry; `stop` ends it."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: where it keeps its images, its configuration and its log; it is made.

        Raises:
            UsageError: there is no such program, or it does not start.
        """
        found = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if found is None:
            raise UsageError(
                "no registry on this machine: install Debian's docker-registry, or put the CNCF's "
                "program registry on the PATH"
            )
        make_folder(folder)
        # The path of a socket is limited to 107 bytes: it may not fit below the data folder.
        self._sockets = tempfile.TemporaryDirectory(prefix="retro-registry-")
        self.socket = Path(self._sockets.name) / "registry.sock"
        """where it listens"""
        self._log = folder / "registry.log"
        configuration = folder / "registry.yml"
        write_atomically(configuration, yaml.safe_dump(_configuration(folder, self.socket)))
        self._command = [found, "serve", str(configuration)]
        self._process = SupervisedProcess(self._command, self._log, {})
        self._stopping = threading.Event()
        try:
            self._wait()
        except BaseException:
            self._process.stop()
            self._sockets.cleanup()
            raise
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._watcher.join()
        self._process.stop()
        self._sockets.cleanup()

    def _wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + START_SECONDS
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(self.socket))) as client:
            while True:
                try:
                    client.get("http://registry/v2/").raise_for_status()
                    return
                except httpx2.HTTPError:
                    pass
                if self._process.wait(0.05) is not None or time.monotonic() > end:
                    raise UsageError(f"the registry does not start: {last_line(self._log)}")

    def _watch(self) -> None:
        while not self._stopping.wait(PAUSE):
            if self._process.poll() is not None:
                self._process.stop()
                self.socket.unlink(missing_ok=True)
                self._process = SupervisedProcess(self._command, self._log, {})


def _configuration(folder: Path, socket: Path) -> dict[str, object]:
    """The registry's configuration file, see the reference of Distribution 2.8."""
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder.resolve() / "images")},
            "cache": {"blobdescriptor": "inmemory"},
            # What is left of uploads that were broken off.
            "maintenance": {
                "uploadpurging": {"enabled": True, "age": "24h", "interval": "1h", "dryrun": False}
            },
        },
        "http": {"net": "unix", "addr": str(socket), "relativeurls": True},
    }
