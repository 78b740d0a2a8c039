"""The registry: real docker-registry behind the real server, spoken to over HTTP as Docker does."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_kit import PASSWORD
from serving import Served, needs_registry, serving

from retro_common.errors import UsageError
from retro_contest.server.registry import front, images, names

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("contest"), accounts=("alice", "bob")) as served:
        yield served


def user(served: Served, name: str) -> httpx2.Client:
    return httpx2.Client(base_url=f"{served.url}/v2/", auth=served.registry_login(name), timeout=60)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push_blob(client: httpx2.Client, repository: str, content: bytes) -> str:
    """As Docker does: ask for it, begin, send it in pieces, end."""
    digest = digest_of(content)
    if client.head(f"{repository}/blobs/{digest}").status_code == 200:
        return digest
    begun = client.post(f"{repository}/blobs/uploads/")
    assert begun.status_code == 202, begun.text
    location = begun.url.join(begun.headers["location"])
    for start in range(0, len(content), 100_000):
        piece = content[start : start + 100_000]
        sent = client.patch(location, content=iter([piece]))  # chunked, without a length
        assert sent.status_code == 202, sent.text
        assert sent.headers["location"].startswith(f"/v2/{repository}/blobs/uploads/")
        location = sent.url.join(sent.headers["location"])
    end = client.put(location, params={**location.params, "digest": digest})
    assert end.status_code == 201, end.text
    assert end.headers["location"] == f"/v2/{repository}/blobs/{digest}"
    return digest


def push(client: httpx2.Client, repository: str, tag: str, text: bytes = b"") -> str:
    """Push an image of one layer; its digest."""
    layer = gzip.compress(text or os.urandom(250_000))
    config = json.dumps({"architecture": "amd64", "layer": digest_of(layer)}).encode()
    parts = []
    for kind, content in (
        ("container.image.v1+json", config),
        ("image.rootfs.diff.tar.gzip", layer),
    ):
        kind = f"application/vnd.docker.{kind}"
        digest = push_blob(client, repository, content)
        parts.append({"mediaType": kind, "size": len(content), "digest": digest})
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    content = json.dumps(manifest).encode()
    done = client.put(
        f"{repository}/manifests/{tag}", content=content, headers={"content-type": MANIFEST}
    )
    assert done.status_code == 201, done.text
    return digest_of(content)


def pull(client: httpx2.Client, repository: str, reference: str) -> tuple[str, bytes]:
    """Digest and layer of an image."""
    answer = client.get(f"{repository}/manifests/{reference}", headers={"accept": MANIFEST})
    answer.raise_for_status()
    layer = client.get(f"{repository}/blobs/{answer.json()['layers'][0]['digest']}")
    return answer.headers["docker-content-digest"], gzip.decompress(layer.content)


def raw(served: Served, name: str, path: str, method: str = "GET") -> int:
    """The status of a request whose path is sent exactly as it is."""
    token = base64.b64encode(":".join(served.registry_login(name)).encode()).decode()
    connection = http.client.HTTPConnection(served.address, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Authorization", f"Basic {token}")
        connection.putheader("Accept", MANIFEST)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@needs_registry
def test_an_image_is_pushed_resolved_pulled_and_listed(served: Served) -> None:
    alice = served.contest.accounts.find("alice")
    assert alice is not None
    with user(served, "alice") as client:
        text = os.urandom(300_000)
        digest = push(client, "team/agent", "v1", text)
        assert pull(client, "team/agent", "v1") == (digest, text)
        assert pull(client, "team/agent", digest) == (digest, text)
        assert served.contest.registry.resolve(alice, "team/agent:v1") == digest
        # The requests of `retro-contest docker list` of 2018.
        assert "team/agent" in client.get("_catalog").json()["repositories"]
        tags = client.get("team/agent/tags/list").json()
        assert tags == {"name": "team/agent", "tags": ["v1"]}
        # A part of a layer, as an interrupted pull goes on.
        layer = client.get(f"team/agent/manifests/{digest}", headers={"accept": MANIFEST}).json()
        blob = f"team/agent/blobs/{layer['layers'][0]['digest']}"
        part = client.get(blob, headers={"range": "bytes=1000-1999"})
        assert part.status_code == 206 and part.content == client.get(blob).content[1000:2000]


@needs_registry
def test_a_missing_tag_is_said_to_be_missing(served: Served) -> None:
    alice = served.contest.accounts.find("alice")
    assert alice is not None
    for tag in ("nothing:v1", "nothing"):
        with pytest.raises(UsageError, match="push it first"):
            served.contest.registry.resolve(alice, tag)


@needs_registry
def test_bob_cannot_read_overwrite_or_take_what_is_alices(served: Served) -> None:
    alice, bob = (served.contest.accounts.find(name) for name in ("alice", "bob"))
    assert alice is not None and bob is not None
    space = images.name_space(alice.id)
    with user(served, "alice") as hers, user(served, "bob") as his:
        digest = push(hers, "agent", "v1")
        manifest = hers.get(f"agent/manifests/{digest}", headers={"accept": MANIFEST}).json()
        layer = manifest["layers"][0]["digest"]

        # Read: by her names as the registry knows them, in every spelling; by digest in his own.
        for name in (f"{space}/agent", "alice/agent", "agent"):
            for end in (f"manifests/{digest}", "manifests/v1", f"blobs/{layer}", "tags/list"):
                assert his.get(f"{name}/{end}").status_code == 404
        for path in (
            *(f"/v2/../{space}/agent/manifests/v1", f"/v2/x/../../{space}/agent/manifests/v1"),
            *(f"/v2/..%2f{space}/agent/manifests/v1", f"/v2/%2e%2e/{space}/agent/manifests/v1"),
            *(f"/v2/{space}%2fagent/manifests/v1", f"/v2//{space}/agent/manifests/v1"),
            *(f"//v2/{space}/agent/manifests/v1", f"/v2/./{space}/agent/manifests/v1"),
            *(f"/v2/x%00/{space}/agent/manifests/v1", f"/v2/x\\..\\{space}/agent/manifests/v1"),
            f"/%76%32/{space}/agent/manifests/v1",
        ):
            assert raw(served, "bob", path) in (400, 404), path
        assert his.get("_catalog").json() == {"repositories": []}
        assert his.get("_catalog", params={"last": f"{space}/"}).json() == {"repositories": []}

        # Take a layer of hers, of which he knows the digest.
        for source in (f"{space}/agent", "alice/agent", "agent", f"../{space}/agent"):
            taken = his.post("mine/blobs/uploads/", params={"mount": layer, "from": source})
            assert taken.status_code == 202  # an empty upload, not the layer
            assert his.head(f"mine/blobs/{layer}").status_code == 404

        # Overwrite: his `agent:v1` is another one.
        other = push(his, "agent", "v1")
        assert served.contest.registry.resolve(bob, "agent:v1") == other != digest
        assert served.contest.registry.resolve(alice, "agent:v1") == digest
        push(his, f"{space}/agent", "v1")
        assert served.contest.registry.resolve(alice, "agent:v1") == digest
        assert his.get("_catalog").json()["repositories"] == ["agent", f"{space}/agent"]
        assert all(
            not name.startswith(space) for name in hers.get("_catalog").json()["repositories"]
        )


@needs_registry
def test_layers_are_shared_between_ones_own_repositories(served: Served) -> None:
    with user(served, "alice") as client:
        layer = push_blob(client, "one", os.urandom(1000))
        mounted = client.post("two/blobs/uploads/", params={"mount": layer, "from": "one"})
        assert mounted.status_code == 201
        assert mounted.headers["location"] == f"/v2/two/blobs/{layer}"


@needs_registry
def test_who_has_no_right_gets_nothing(served: Served) -> None:
    name, password = served.registry_login("alice")
    with httpx2.Client(base_url=f"{served.url}/v2/") as client:
        asked = client.get("")
        assert asked.status_code == 401
        assert asked.headers["www-authenticate"].startswith("Basic ")
        assert asked.headers["docker-distribution-api-version"] == "registry/2.0"
        assert client.get("", auth=(name, password)).status_code == 200
        wrong = [(name, PASSWORD), (name, password[:-1]), ("bob", password), (name, ""), ("", "")]
        for auth in (*wrong, ("@executor", password), ("ünknown", "pässword")):
            for path in ("", "_catalog", "agent/tags/list"):
                assert client.get(path, auth=auth).status_code == 401
        for header in ("Basic", "Basic !!!", "Bearer x", "Basic " + "A" * 50_000):
            assert client.get("", headers={"authorization": header}).status_code in (401, 431)


@needs_registry
def test_a_password_ends_with_that_of_the_account_and_with_a_ban(served: Served) -> None:
    accounts = served.contest.accounts
    carol = accounts.add("carol", PASSWORD)
    before = served.registry_login("carol")
    with httpx2.Client(base_url=f"{served.url}/v2/") as client:
        assert client.get("", auth=before).status_code == 200
        accounts.set_password(carol, "another password")
        after = served.registry_login("carol")
        assert client.get("", auth=before).status_code == 401
        assert client.get("", auth=after).status_code == 200
        accounts.ban(carol, "cheated")
        assert client.get("", auth=after).status_code == 401


@needs_registry
def test_the_executor_reads_everything_and_writes_nothing(served: Served) -> None:
    alice = served.contest.accounts.find("alice")
    assert alice is not None
    with user(served, "alice") as client:
        digest = push(client, "agent", "v2")
    source = served.contest.registry.source(alice, "agent:v2", digest)
    address, _, rest = source.reference.partition("/")
    repository, _, pinned = rest.partition("@")
    assert (address, pinned) == (served.address, digest)
    login = source.username, source.password
    with httpx2.Client(base_url=f"{served.url}/v2/", auth=login) as client:
        assert pull(client, repository, digest)[0] == digest
        assert client.post(f"{repository}/blobs/uploads/").status_code == 403
        assert client.put(f"{repository}/manifests/v2", content=b"{}").status_code == 403


@needs_registry
def test_a_pinned_image_stays(served: Served) -> None:
    with user(served, "alice") as client:
        first = push(client, "stays", "v1")
        second = push(client, "stays", "v1")
        assert first != second
        assert pull(client, "stays", first)[0] == first
        for reference in (first, "v1"):
            assert client.delete(f"stays/manifests/{reference}").status_code == 405


@needs_registry
def test_a_big_layer_passes_in_little_memory(served: Served) -> None:
    piece, count = os.urandom(1 << 20), 128
    whole = hashlib.sha256()
    for _ in range(count):
        whole.update(piece)
    digest = f"sha256:{whole.hexdigest()}"
    process = psutil.Process()
    before = process.memory_info().rss
    most = 0

    def pieces() -> Iterator[bytes]:
        nonlocal most
        for _ in range(count):
            most = max(most, process.memory_info().rss - before)
            yield piece

    with user(served, "alice") as client:
        begun = client.post("big/blobs/uploads/")
        sent = client.patch(begun.url.join(begun.headers["location"]), content=pieces())
        location = sent.url.join(sent.headers["location"])
        parameters = {**location.params, "digest": digest}
        assert client.put(location, params=parameters).status_code == 201
        size = 0
        with client.stream("GET", f"big/blobs/{digest}") as answer:
            for part in answer.iter_raw():
                size += len(part)
                most = max(most, process.memory_info().rss - before)
    assert size == count << 20
    assert most < 48 << 20


@needs_registry
def test_uploads_stop_at_the_limit_of_a_day(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "UPLOADS_PER_DAY", 3 << 20)
    monkeypatch.setattr(front, "PIECE", 1 << 20)
    served.contest.accounts.add("dora", PASSWORD)
    with user(served, "dora") as client:
        push(client, "agent", "v1")
        begun = client.post("agent/blobs/uploads/")
        location = begun.url.join(begun.headers["location"])
        try:
            sent = client.patch(location, content=iter([bytes(1 << 20)] * 8))
            assert sent.status_code == 403 and "exceed" in sent.text
        except httpx2.WriteError:  # it hung up while we were sending
            pass
        assert client.post("agent/blobs/uploads/").status_code == 403
        assert client.get("agent/tags/list").status_code == 200
    with user(served, "bob") as other:
        assert other.post("agent/blobs/uploads/").status_code == 202


@needs_registry
def test_a_full_disk_refuses_uploads_only(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with user(served, "bob") as client:
        digest = push(client, "agent", "v3")
        monkeypatch.setattr(images, "ROOM", 1 << 60)
        refused = client.post("agent/blobs/uploads/")
        assert refused.status_code == 403
        assert "disk is full" in refused.json()["errors"][0]["message"]
        assert pull(client, "agent", "v3")[0] == digest


@needs_registry
def test_a_registry_that_was_killed_comes_back_with_its_images(tmp_path: Path) -> None:
    with serving(tmp_path / "data", accounts=("alice",)) as served, user(served, "alice") as client:
        alice = served.contest.accounts.find("alice")
        assert alice is not None
        digest = push(client, "agent", "v1")
        registries = [
            process
            for process in psutil.Process().children(recursive=True)
            if process.name().endswith("registry") and str(tmp_path) in " ".join(process.cmdline())
        ]
        assert len(registries) == 1
        registries[0].send_signal(signal.SIGKILL)
        registries[0].wait(10)
        assert client.get("agent/tags/list").status_code == 503
        end = time.monotonic() + 20
        while client.get("agent/tags/list").status_code != 200 and time.monotonic() < end:
            time.sleep(0.1)
        assert served.contest.registry.resolve(alice, "agent:v1") == digest
        assert pull(client, "agent", "v1")[0] == digest
    assert not registries[0].is_running()
    assert not any(
        str(tmp_path) in " ".join(process.cmdline())
        for process in psutil.Process().children(recursive=True)
    )


@needs_registry
def test_the_registry_is_reached_through_the_front_alone(served: Served) -> None:
    """Its socket lies in a folder of our own, and it listens at no port."""
    registries = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.name().endswith("registry") and "serve" in process.cmdline()
    ]
    assert registries
    for process in registries:
        kinds = process.net_connections(kind="all")
        assert not [each for each in kinds if each.status == "LISTEN"]
        listening = [Path(each.laddr) for each in kinds if str(each.laddr).endswith(".sock")]
        assert listening
        assert all(path.parent.stat().st_mode & 0o077 == 0 for path in listening)


WORDS = st.sampled_from(
    [
        *("u7", "agent", "..", ".", "", "blobs", "uploads", "manifests", "tags", "list", "v1"),
        *("%2e", "a%2Fb", "a.b", "a__b", "a--b", "A", "-", "_state", "é", "\x00", "x" * 300),
        "sha256:" + "a" * 64,
    ]
)


@given(
    st.lists(WORDS | st.text(max_size=8), max_size=8),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "TRACE"]),
    st.text(max_size=30),
)
def test_no_path_leaves_the_name_space(parts: list[str], method: str, query: str) -> None:
    path = f"/v2/{'/'.join(parts)}".encode(errors="replace")
    try:
        wanted = names.target("u7", method, path, query.encode(errors="replace"))
    except names.Refused as refused:
        assert refused.status in (400, 404, 405)
    else:
        assert wanted.path.startswith("/v2/u7/")
        assert not set(wanted.path.split("/")[1:-1]) & {"", ".", ".."} and "%" not in wanted.path


def test_the_registrys_own_addresses_become_the_users() -> None:
    uploads = "/v2/u7/agent/blobs/uploads/1?_state=x"
    for location in (uploads, f"http://registry{uploads}", f"https://other:5000{uploads}"):
        assert names.public_location("u7", location) == "/v2/agent/blobs/uploads/1?_state=x"
    for elsewhere in ("/v2/u8/agent/blobs/x", "/v2/u77/agent", "http://elsewhere/x", "v2/u7/a", ""):
        with pytest.raises(ValueError):
            names.public_location("u7", elsewhere)
