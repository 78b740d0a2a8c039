"""A real engine, real images. Without an engine these tests are skipped, but never in CI
(`RETRO_REQUIRE_DOCKER=1`, which `.ci/containers` sets)."""

import contextlib
import io
import os
import tarfile
import threading

import pytest
from container_kit import HERE, leftovers
from rich.console import Console

from retro_common.errors import UsageError
from retro_contest.containers import engine
from retro_contest.containers.runner import ContainerRunner
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs.evaluate import Evaluation, evaluate
from retro_contest.runs.progress import Progress

REQUIRED = os.environ.get("RETRO_REQUIRE_DOCKER") == "1"
AGENT_IMAGE = os.environ.get("RETRO_AGENT_IMAGE", "retro-contest-agent")


def miss(why: str):
    if REQUIRED:
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def client():
    try:
        client = engine.connect()
    except UsageError as error:
        miss(f"container tests need a Docker engine: {error}")
    with contextlib.closing(client):
        yield client


@pytest.fixture(scope="session")
def images(client):
    """The agent image and the environment image."""
    for name, file in ((AGENT_IMAGE, "Dockerfile"), ("retro-contest-environment", None)):
        try:
            engine.find_image(client, name, "")
        except UsageError:
            file = file or "retro_contest/Dockerfile"
            miss(f"container tests need the image: docker build -t {name} -f {file} .")
    return AGENT_IMAGE


@pytest.fixture(scope="session")
def build(client, images):
    """build(dockerfile) -> ID of an image based on the agent's, with this folder's scripts."""
    built = []

    def make(instructions: str) -> str:
        dockerfile = f"FROM {images}\n{instructions}"
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            for name in ("hostile.py", "client_2018.py"):
                tar.add(HERE / name, name)
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(dockerfile)
            tar.addfile(entry, io.BytesIO(dockerfile.encode()))
        context.seek(0)
        image, _ = client.images.build(
            fileobj=context, custom_context=True, rm=True, network_mode="none"
        )
        built.append(image.id)
        return image.id

    yield make
    for image in reversed(built):
        with contextlib.suppress(Exception):  # two tests may have built the same
            client.images.remove(image, force=True)


@pytest.fixture
def play(client, images, tmp_path):
    """play(image, ...) -> the summary of an evaluation in containers; nothing is left of it."""

    def run(image: str, runner_options: dict | None = None, **options) -> dict:
        rules = {
            "timesteps": 120,
            "wallclock": 60.0,
            "connect_timeout": 30.0,
            "idle_timeout": 20.0,
            "exit_timeout": 5.0,
        }
        rules |= {key: options.pop(key) for key in rules.keys() & options.keys()}
        evaluation = Evaluation(
            name="test",
            level_set="airstriker",
            levels=find("airstriker"),
            results=tmp_path / "results",
            rules=Rules(**rules),
            **options,
        )
        runner = ContainerRunner(
            image, evaluation.results, jobs=evaluation.jobs, **(runner_options or {})
        )
        with Progress(Console(file=io.StringIO())) as progress:
            summary = evaluate(evaluation, runner, threading.Event(), progress)
        assert leftovers(client, tmp_path) == []
        return summary

    return run
