"""A job of a contest's server, played in containers: pushed, submitted, pulled, scored, filmed."""

import contextlib
import json
import re
import subprocess
import sys
import time

import pytest
import requests
from container_kit import hostile
from docker.errors import DockerException

from retro_contest.server.contest import open_contest

PASSWORD = "correct horse"
SETTINGS = """\
open:
  levels: Airstriker-Genesis-v0/Level1
  seeds: 2
  rules: {timesteps: 200, wallclock: 300, record: true}
"""


@pytest.fixture
def hosted(client, tmp_path):
    """`retro-contest host` in a folder with an account; its address and the folder."""
    data = tmp_path / "contest"
    data.mkdir()
    (data / "contest.yaml").write_text(SETTINGS)
    process = subprocess.Popen(
        [
            *(sys.executable, "-um", "retro_contest", "host"),
            *("--data", str(data), "--listen", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://(\S+)", line)
        assert found, line + process.stdout.read()
        open_contest(data).accounts.add("alice", PASSWORD)
        yield found[1], data
    finally:
        process.terminate()
        process.wait(120)
        process.stdout.close()


@pytest.mark.timeout(600)
def test_a_submission_is_played_in_containers(client, images, build, hosted):
    address, data = hosted
    session = requests.Session()
    login = {"email": "alice", "password": PASSWORD}
    assert session.post(f"http://{address}/rest/login", json=login, timeout=60).ok
    registry = session.get(f"http://{address}/rest/user", timeout=60).json()["cr"]
    auth = {key: registry[key] for key in ("username", "password")}

    image = client.images.get(build(hostile("honest")))
    repository = f"{registry['url']}/agent"
    image.tag(repository, "v1")
    events = client.api.push(f"{repository}:v1", auth_config=auth, stream=True, decode=True)
    assert [event["error"] for event in events if "error" in event] == []
    client.images.remove(f"{repository}:v1")

    started = session.post(f"http://{address}/rest/job/start", json={"tag": "agent:v1"}, timeout=60)
    assert started.ok, started.text
    deadline = time.monotonic() + 400
    job = {"status": "queued"}
    while job["status"] not in ("finished", "failed", "cancelled"):
        assert time.monotonic() < deadline, job
        time.sleep(0.5)
        job = session.get(f"http://{address}/rest/job/status", timeout=60).json()
    assert job["status"] == "finished" and "score" in job, job
    assert [worker["state"] for worker in job["workers"]] == ["finished"] * 2

    # What the host has of it: played in containers, by the digest that was pushed.
    (summary_file,) = data.rglob("summary.json")
    summary = json.loads(summary_file.read_text())
    assert [run["verdict"] for run in summary["levels"]] == ["completed"] * 2
    result = json.loads(next(summary_file.parent.rglob("seed-0/result.json")).read_text())
    assert result["settings"]["mode"] == "container"
    assert re.search(r"@sha256:[0-9a-f]{64} ", result["settings"]["agent"])
    assert list(summary_file.parent.rglob("*.mp4")), "the best episode was filmed"
    with contextlib.suppress(DockerException):
        assert client.images.list(repository) == [], "the pulled image has gone"
