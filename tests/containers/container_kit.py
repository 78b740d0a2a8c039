"""Shared by the container tests, apart from fixtures."""

import subprocess
from pathlib import Path

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
