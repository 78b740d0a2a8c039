"""Shared by the container tests, apart from fixtures."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retro_contest.containers import engine

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def hostile(way: str, more: str = "") -> str:
    """Instructions for an image that goes one way of `hostile.py`."""
    run = f'CMD ["python", "/hostile/hostile.py", "{way}"]'
    return f"COPY hostile.py /hostile/\nENV PYTHONPATH=/agent\n{more}\n{run}"


def leftovers(client, results: Path) -> list:
    """Containers and volumes of evaluations below a folder: other tests may run meanwhile."""
    labelled = {"label": engine.LABEL}
    containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
    labels = [(found, found.labels) for found in containers]
    labels += [(found, found.attrs["Labels"]) for found in client.volumes.list(filters=labelled)]
    return [found for found, of in labels if Path(of[engine.LABEL]).is_relative_to(results)]


def docker(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["docker", *words], capture_output=True, text=True, **options)


@contextmanager
def serve_registry(folder: Path, passwords: str = "") -> Iterator[str]:
    """HOST:PORT of a registry of our own."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        if os.environ.get("RETRO_REQUIRE_DOCKER") == "1":
            pytest.fail("no docker-registry on this machine")
        pytest.skip("submissions are tested with Debian's docker-registry, which is not here")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if passwords:
        (folder / "htpasswd").write_text(passwords)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "registry.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "registry.log").open("w") as log:
        command = [program, "serve", str(folder / "registry.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError((folder / "registry.log").read_text())
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)
