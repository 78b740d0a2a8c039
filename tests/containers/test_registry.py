"""The registry of a contest's server and a real Docker engine: push, pull, images of others."""

import contextlib
import io
import os
import socket
import tarfile
import threading
import time

import pytest
import uvicorn
from docker.errors import APIError, DockerException

from retro_contest.server.contest import open_contest
from retro_contest.server.http.app import create_app
from retro_contest.server.parts import running_parts
from retro_contest.server.settings import prepare

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A contest with two accounts, and the address of its server."""
    places = prepare(tmp_path_factory.mktemp("contest") / "data")
    contest = open_contest(places.data)
    for name in ("alice", "bob"):
        contest.accounts.add(name, PASSWORD)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with running_parts(contest, address) as routes:
            app = create_app(contest, routes)
            server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                while not server.started and thread.is_alive():
                    time.sleep(0.01)
                yield contest, address
            finally:
                server.should_exit = True
                thread.join()


@pytest.fixture
def image(client):
    """An image of one layer, which nobody has yet."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as content:
        entry = tarfile.TarInfo("content")
        entry.size = 3 << 20
        content.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    tag = f"registry-test:{os.urandom(4).hex()}"
    client.api.import_image_from_data(archive.getvalue(), *tag.split(":"))
    yield client.images.get(tag)
    with contextlib.suppress(DockerException):
        client.images.remove(tag, force=True)


def login(contest, name):
    credentials = contest.registry.credentials(contest.accounts.find(name))
    return {key: credentials[key] for key in ("username", "password")}


def push(client, name, auth):
    """Push an image as the client of 2018 does; what was wrong, or nothing."""
    events = client.api.push(name, auth_config=auth, stream=True, decode=True)
    return [event["error"] for event in events if "error" in event]


def test_docker_pushes_and_the_executor_pulls(client, served, image):
    contest, address = served
    alice = contest.accounts.find("alice")
    auth = login(contest, "alice")
    assert client.login(**auth, registry=address)["Status"] == "Login Succeeded"
    with pytest.raises(APIError, match="401"):
        client.login(username="alice", password="wrong", registry=address, reauth=True)

    name = f"{address}/agent"
    image.tag(name, "v1")
    assert push(client, f"{name}:v1", auth) == []
    digest = contest.registry.resolve(alice, "agent:v1")
    # Under another name its layers are there already.
    image.tag(f"{address}/team/agent", "v2")
    assert push(client, f"{address}/team/agent:v2", auth) == []
    assert contest.registry.resolve(alice, "team/agent:v2") == digest

    for tag in (f"{name}:v1", f"{address}/team/agent:v2", *image.tags):
        client.images.remove(tag, force=True)
    source = contest.registry.source(alice, "agent:v1", digest)
    executor = {"username": source.username, "password": source.password}
    pulled = client.images.pull(source.reference, auth_config=executor)
    assert pulled.id == image.id and source.reference in pulled.attrs["RepoDigests"]
    client.images.remove(source.reference, force=True)


def test_bob_cannot_pull_or_overwrite_what_is_alices(client, served, image):
    contest, address = served
    alice, bob = (contest.accounts.find(name) for name in ("alice", "bob"))
    name = f"{address}/hers"
    image.tag(name, "v1")
    assert push(client, f"{name}:v1", login(contest, "alice")) == []
    digest = contest.registry.resolve(alice, "hers:v1")
    client.images.remove(f"{name}:v1", force=True)

    for repository in ("hers", f"u{alice.id}/hers", "alice/hers"):
        for tag in ("v1", digest):
            with pytest.raises(DockerException):
                client.images.pull(
                    f"{address}/{repository}", tag=tag, auth_config=login(contest, "bob")
                )
    # The same name is another image for him.
    image.tag(name, "v1")
    assert push(client, f"{name}:v1", login(contest, "bob")) == []
    assert contest.registry.resolve(bob, "hers:v1") == digest  # the same content
    assert contest.registry.resolve(alice, "hers:v1") == digest
    image.tag(f"{address}/u{alice.id}/hers", "v2")
    assert push(client, f"{address}/u{alice.id}/hers:v2", login(contest, "bob")) == []
    with pytest.raises(Exception, match="push it first"):
        contest.registry.resolve(alice, "hers:v2")
    assert push(client, f"{name}:v1", {"username": "alice", "password": "wrong"})
    for tag in (f"{name}:v1", f"{address}/u{alice.id}/hers:v2"):
        client.images.remove(tag, force=True)
