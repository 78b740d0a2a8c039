"""Containers on a node of a Ray cluster, whose images are pulled by their digests."""

import contextlib
import io
import json
import os
import tarfile
import threading
from pathlib import Path

import pytest
from container_kit import HERE, leftovers, serve_registry
from docker.errors import ImageNotFound
from rich.console import Console

from retro_common.errors import UsageError
from retro_contest.containers.remote import RemoteContainers
from retro_contest.containers.runner import ContainerRunner
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs.cluster import Cluster
from retro_contest.runs.evaluate import Evaluation, evaluate
from retro_contest.runs.nodes import disconnect
from retro_contest.runs.progress import Progress

pytestmark = pytest.mark.timeout(600)  # an image of 0.5 GB is packed and pushed

# Both are based on the environment image, which is small and can import gym_remote, too.
SIDES = {
    "environment": "LABEL side=environment",
    "agent": "COPY hostile.py /hostile.py\nENV PYTHONPATH=/contest\n"
    'CMD ["python", "/hostile.py", "honest"]',
}


@pytest.fixture
def sides(client, images):
    """ID of an image for each side of a run, which no registry has."""
    built = {}
    for side, instructions in SIDES.items():
        dockerfile = f"FROM retro-contest-environment\nLABEL test={os.urandom(4).hex()}\n"
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            tar.add(HERE / "hostile.py", "hostile.py")
            content = (dockerfile + instructions).encode()
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        context.seek(0)
        image, _ = client.images.build(fileobj=context, custom_context=True, rm=True)
        built[side] = image.id
    yield built
    for image in built.values():
        with contextlib.suppress(ImageNotFound):
            client.images.remove(image, force=True)


def remote(sides: dict[str, str], results: Path) -> RemoteContainers:
    """The runner of a node that plays with these images."""
    here = ContainerRunner(
        sides["agent"], results, environment=sides["environment"], cpus=1.0, memory="1g"
    )
    return RemoteContainers.of(here, gpus=0, image_user=False)


def test_a_node_pulls_the_images_of_both_sides(client, sides, tmp_path):
    results = tmp_path / "results"
    with serve_registry(tmp_path) as address:
        for side, image in sides.items():
            name = f"{address}/{side}"
            client.images.get(image).tag(name, "v1")
            events = client.api.push(f"{name}:v1", stream=True, decode=True)
            assert [event["error"] for event in events if "error" in event] == []
        runner = ContainerRunner(
            f"{address}/agent:v1",
            results,
            environment=f"{address}/environment:v1",
            cpus=1.0,
            memory="1g",
        )
        make_runner = RemoteContainers.of(runner, gpus=0, image_user=False)
        # The head's engine is that of its only node: without the images it is like any other's.
        for image in sides.values():
            client.images.remove(image, force=True)
        evaluation = Evaluation(
            name="test",
            level_set="airstriker",
            levels=find("airstriker"),
            results=results,
            rules=Rules(200, 120.0, connect_timeout=60.0),
        )
        cluster = Cluster("local", make_runner)
        try:
            with Progress(Console(file=io.StringIO()), processes=False) as progress:
                summary = evaluate(evaluation, runner, threading.Event(), progress, cluster.play)
        finally:
            cluster.close()
            disconnect()
    (run,) = summary["levels"]
    assert (run["verdict"], run["timesteps"], summary["mode"]) == ("completed", 200, "container")
    assert run["machine"]["node"]
    folder = results / "Airstriker-Genesis-v0/Level1/seed-0"
    assert (folder / "agent.log").read_text() == "the budget is spent\n"
    assert (folder / "out/learnt").read_text() == "what was learnt"
    assert f"{address}/agent:v1" in json.loads((folder / "result.json").read_text())["agent"]
    for side, image in sides.items():
        (digest,) = client.images.get(image).attrs["RepoDigests"]
        assert digest.startswith(f"{address}/{side}@sha256:")
    assert leftovers(client, Path("/")) == []


def test_a_node_says_what_it_cannot_pull(client, sides, tmp_path):
    never_pushed = remote(sides, tmp_path)
    client.images.remove(sides["agent"], force=True)
    with pytest.raises(UsageError, match=r"node \S+: image sha256:\w+ is missing there, and was"):
        never_pushed()
