"""The web server's own promises: sizes, limits, headers, files, and the API around them."""

import os
import socket
import threading

import pytest
from server_kit import PASSWORD, Client, contest_in, served, wait_for

from retro_contest.server.http.web import FAILURES, SUBMITS
from retro_contest.server.jobs import RunState

LEVEL = "Airstriker-Genesis-v0/Level1"


@pytest.fixture
def contest(tmp_path):
    return contest_in(tmp_path)


@pytest.fixture
def url(contest):
    with served(contest) as address:
        yield address


@pytest.fixture
def alice(contest, url):
    account = contest.accounts.add("alice", PASSWORD)
    return Client(url, token=contest.accounts.new_token(account, "test"))


def test_bodies_are_bounded_and_must_be_objects(url, alice):
    for body, status in (
        (b"{" + b" " * (64 << 10) + b"}", 413),
        (b"not JSON", 400),
        (b"[]", 400),
        (b'{"tag": NaN}', 400),
        (b'{"tag": "' + b"x" * 400 + b'"}', 400),
        (b"[" * 50_000, 400),
        (b"", 400),
    ):
        response = alice.post("/api/v1/jobs", data=body)
        assert response.status_code == status and list(response.json()) == ["error"], body[:20]


def test_a_body_without_end_is_cut_off(url, alice):
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /rest/login HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())
        for _ in range(3):
            connection.sendall(chunk)
        assert b"413" in connection.recv(4096).split(b"\r\n")[0]


def test_failed_logins_are_limited_for_a_place_and_name(contest, url, alice):
    anybody = Client(url)

    def status(path, key, name, password):
        return anybody.post(path, json={key: name, "password": password}).status_code

    contest.accounts.add("bob", PASSWORD)
    assert status("/rest/login", "email", "alice", PASSWORD) == 200
    for _ in range(FAILURES):
        assert status("/rest/login", "email", "alice", "wrong") == 401
    assert status("/rest/login", "email", "alice", PASSWORD) == 429
    assert status("/api/v1/login", "name", "Alice", PASSWORD) == 429, "the same name"
    assert status("/api/v1/login", "name", "bob", PASSWORD) == 200, "another name"
    assert alice.get("/api/v1/user").status_code == 200, "who is logged in notices nothing"
    response = anybody.post("/rest/login", json={"email": "alice", "password": "x"})
    assert 0 < int(response.headers["retry-after"]) <= 300


def test_submissions_are_limited_for_an_account(alice):
    statuses = {
        alice.post("/api/v1/jobs", json={"tag": "missing"}).status_code for _ in range(SUBMITS)
    }
    assert statuses == {400}
    assert alice.post("/api/v1/jobs", json={"tag": "random"}).status_code == 429


def test_every_answer_has_the_headers_that_protect_it(url):
    for path in ("/rest/leaderboard", "/api/v1/nothing", "/api/v1/user"):
        headers = Client(url).get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers or "uvicorn" in headers["server"]


def test_tokens_and_passwords_over_the_api(contest, url, alice):
    new = alice.post("/api/v1/tokens", json={"label": "ci"})
    assert new.status_code == 201
    ci = Client(url, token=new.json()["token"])
    listed = ci.get("/api/v1/tokens").json()
    assert [token["label"] for token in listed] == ["test", "ci"]
    assert alice.call("DELETE", f"/api/v1/tokens/{listed[1]['id']}").status_code == 204
    assert ci.get("/api/v1/user").status_code == 401
    assert alice.call("DELETE", f"/api/v1/tokens/{listed[1]['id']}").status_code == 404

    change = {"old": "wrong", "new": "another password"}
    assert alice.post("/api/v1/password", json=change).status_code == 401
    change["old"] = PASSWORD
    assert alice.post("/api/v1/password", json=change | {"new": "short"}).status_code == 400
    assert alice.post("/api/v1/password", json=change).status_code == 204
    assert alice.get("/api/v1/user").status_code == 401, "all tokens have ended"
    login = {"name": "alice", "password": "another password"}
    token = Client(url).post("/api/v1/login", json=login).json()["token"]
    assert Client(url, token=token).get("/api/v1/user").json() == {
        "name": "alice",
        "email": None,
        "jobs_left_today": 100,
    }
    assert Client(url, token=token).post("/api/v1/logout").status_code == 204
    assert Client(url, token=token).get("/api/v1/user").status_code == 401


def test_nobody_registers_where_it_is_closed(tmp_path):
    contest = contest_in(tmp_path, "agents: {random: random}\n")
    values = {"invitation": contest.accounts.invite(), "name": "bob", "password": PASSWORD}
    with served(contest) as url:
        assert Client(url).post("/api/v1/register", json=values).status_code == 403
    assert contest.accounts.find("bob") is None


def test_health_tells_a_monitor_that_no_executor_lives(contest, url):
    response = Client(url).get("/api/v1/health")
    assert (response.status_code, response.json()["executor"]) == (503, False)
    contest.beat()
    assert Client(url).get("/api/v1/health").status_code == 200


def test_only_plain_files_are_given_out(contest, url, alice, tmp_path):
    """The agent's side of a results folder is hostile: links, FIFOs, names that climb."""
    job = alice.post("/api/v1/jobs", json={"tag": "random"}).json()["id"]
    contest.jobs.claim("E")
    folder = contest.places.results("open", job)
    run = folder / LEVEL / "seed-0"
    (run / "out").mkdir(parents=True)
    (folder / "films" / "Airstriker-Genesis-v0").mkdir(parents=True)
    secret = tmp_path / "outside"
    secret.write_text("not yours")
    (folder / "secret.json").write_text("not yours")
    (run / "out" / "link").symlink_to(secret)
    (run / "out" / "folder").symlink_to(tmp_path)
    os.mkfifo(run / "out" / "fifo")
    (run / "out" / "saved").write_text("mine")
    (run / "agent.log").symlink_to(secret)
    (folder / "films" / "Airstriker-Genesis-v0" / "x.mp4").symlink_to(secret)
    (folder / "films" / "Airstriker-Genesis-v0" / "y.mp4").write_bytes(b"film")
    path = f"/api/v1/jobs/{job}"

    archive = alice.get(f"{path}/results.tar").content
    assert b"not yours" not in archive and b"mine" in archive and b"film" in archive
    films = f"{path}/films"
    assert alice.get(films).json() == ["Airstriker-Genesis-v0/y.mp4"]
    assert alice.get(f"{films}/Airstriker-Genesis-v0/y.mp4").content == b"film"
    for name in ("x.mp4", "../../secret.json", "..%2f..%2fsecret.json", "", "%00.mp4"):
        assert alice.get(f"{films}/Airstriker-Genesis-v0/{name}").status_code == 404, name
    for query in ({"level": "../..", "seed": 0}, {"level": LEVEL, "seed": "x"}, {"side": "secret"}):
        assert alice.get(f"{path}/logs", params=query).status_code in (400, 404)
    contest.jobs.beat(contest.jobs.get(job), "E", 0, [(0, RunState(LEVEL, 0, 200))])
    response = alice.get(f"{path}/logs", params={"level": LEVEL, "seed": 0})
    assert response.status_code == 400 and "not yours" not in response.text


def test_a_reader_that_leaves_a_download_costs_no_thread(contest, url, alice):
    job = alice.post("/api/v1/jobs", json={"tag": "random"}).json()["id"]
    folder = contest.places.results("open", job)
    folder.mkdir(parents=True)
    with (folder / "big").open("wb") as file:
        file.truncate(200 << 20)

    def writers():
        return [thread for thread in threading.enumerate() if "_write_tar" in thread.name]

    for _ in range(5):  # once, on a busy machine, the first answer had no writer any more
        response = alice.get(f"/api/v1/jobs/{job}/results.tar", stream=True)
        assert response.status_code == 200, response.text
        assert next(response.iter_content(1000))
        if writers():
            break
        response.close()
    assert writers(), "200 MB are not in the pipe yet"
    response.close()
    wait_for(lambda: not writers(), 120, "the end of the thread that writes the archive")
