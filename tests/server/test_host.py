"""A contest that runs: what is whose, the commands of entrants and host, the final, a stop."""

import hashlib
import hmac
import io
import json
import stat
import subprocess
import sys
import tarfile

import pytest
import requests
from server_kit import PASSWORD, Client, Hosted, wait_for

from retro_contest.cli.main import main

RUN = {"level": "Airstriker-Genesis-v0/Level1", "seed": 0}


def submit(client: Client, tag: str) -> int:
    response = client.post("/api/v1/jobs", json={"tag": tag})
    assert response.status_code == 201, response.text
    return response.json()["id"]


def test_nobody_sees_or_touches_what_is_somebody_elses(hosted):
    alice, bob = hosted.client("alice"), hosted.client("bob")
    job = submit(alice, "slow")
    alice.wait(job, "running")
    nobody = Client(hosted.url)
    path = f"/api/v1/jobs/{job}"
    tries = [
        ("GET", path, {}),
        ("GET", f"{path}/logs", {"params": RUN}),
        ("GET", f"{path}/logs", {"params": RUN | {"side": "server"}}),
        ("GET", f"{path}/results.tar", {}),
        ("GET", f"{path}/films", {}),
        ("GET", f"{path}/films/Airstriker-Genesis-v0/Level1-best.mp4", {}),
        ("POST", f"{path}/cancel", {}),
        ("POST", f"{path}/restart", {}),
        ("GET", f"/rest/job/status/{job}", {}),
        ("POST", f"/rest/job/restart/{job}", {}),
        ("POST", "/rest/job/kill", {}),
        ("POST", "/rest/job/restart", {}),
        ("GET", "/rest/job/status", {}),
    ]
    for method, what, more in tries:
        assert bob.call(method, what, **more).status_code == 404, what
        assert nobody.call(method, what, **more).status_code == 401, what
    assert bob.get("/api/v1/jobs").json() == bob.get("/rest/job/status/all").json() == []

    log = RUN | {"side": "server"}
    wait_for(lambda: "serving" in alice.get(f"{path}/logs", params=log).text, 60, "her log")
    seen = alice.get(path).json()
    assert (seen["state"], seen["cancel"], seen["tag"]) == ("running", False, "slow")
    (public,) = nobody.get("/api/v1/activity").json()
    assert public["entrant"] == "alice" and not {"tag", "digest", "reason"} & public.keys()
    assert alice.post(f"{path}/cancel").status_code == 200
    assert alice.wait(job, "cancelled")["reason"] == "by its owner"


def test_another_site_cannot_act_with_a_visitors_cookie(hosted):
    hosted.client("carol")
    login = {"email": "carol", "password": PASSWORD}
    session = requests.post(hosted.url + "/rest/login", json=login, timeout=60).cookies["session"]
    carol = Client(hosted.url, cookies={"session": session})
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        response = carol.post("/rest/job/start", json={"tag": "random"}, headers=headers)
        assert response.status_code == 403
        # Nor can it log a visitor in as somebody else.
        url = hosted.url + "/rest/login"
        answer = requests.post(url, json=login, headers=headers, timeout=60)
        assert answer.status_code == 403 and not answer.cookies
    assert carol.get("/rest/job/status/all").json() == []
    same = {"Origin": hosted.url, "Sec-Fetch-Site": "same-origin"}
    assert carol.post("/rest/job/kill", headers=same).status_code == 404  # allowed: there is none


def test_the_entrants_commands(hosted, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    invitation = hosted.contest.accounts.invite()

    def run(*words: str, code: int = 0) -> str:
        assert main(words) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        return out + err

    def log_in(*words: str, code: int = 0) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
        command = ("login", "--server", hosted.url, "--name", "dora", "--password-stdin")
        return run(*command, *words, code=code)

    assert "which server?" in run("status", code=2)
    assert f"not logged in to {hosted.url}" in run("status", "--server", hosted.url, code=2)
    assert "wrong name or password" in log_in(code=2)
    assert "invitation is unknown" in log_in("--invitation", "guessed", code=2)
    assert "as dora" in log_in("--invitation", invitation)
    kept = tmp_path / "retro-contest" / "servers.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and PASSWORD not in kept.read_text()

    assert "submitted nothing yet" in run("status", code=2)
    assert "no agent 'missing'" in run(
        "submit", "--server", hosted.url, "--pushed", "missing", code=2
    )
    assert "is queued" in run("submit", "--server", hosted.url, "--pushed", "random")
    assert "finished" in run("status", "--follow")
    assert "Level1" in run("status") and "random" in run("status", "--all")
    assert "timestep limit" in run("logs", "--side", "server")
    archive = tmp_path / "all.tar"
    run("logs", "--archive", str(archive))
    with tarfile.open(archive) as content:
        names = {name.split("/", 1)[1] for name in content.getnames()}
    assert {"summary.json", "Airstriker-Genesis-v0/Level1/seed-0/monitor.csv"} <= names
    assert "secret.json" not in names
    assert "dora" in run("board", "--server", hosted.url)

    assert "starts again as job" in run("restart")
    assert "is cancelled" in run("cancel")
    assert "logged out" in run("logout")
    assert "not logged in" in run("status", code=2)


def admin(capsys, *words: str, code: int = 0) -> str:
    assert main(["admin", *words]) == code
    return "".join(capsys.readouterr())


def test_the_final_is_hidden_until_it_is_revealed(hosted, capsys):
    data = ("--data", str(hosted.data))
    erin = hosted.client("erin")
    commitment = Client(hosted.url).get("/api/v1/contest").json()["secret_sha256"]
    erin.wait(submit(erin, "random"), "finished")
    assert "are queued" in admin(capsys, "final", *data)
    assert "0 jobs" in admin(capsys, "final", *data), "each entrant's once"
    jobs = [job for job in erin.get("/api/v1/jobs").json() if job["phase"] == "final"]
    assert len(jobs) == 1
    job = jobs[0]["id"]
    assert "still wait" in admin(capsys, "reveal", *data, code=2)
    hidden = erin.wait(job, "finished", seconds=240)
    assert (hidden["score"], hidden["score_so_far"], hidden["runs"]) == (None, None, [])
    assert erin.get(f"/rest/job/status/{job}").json() == {
        "id": job,
        "status": "finished",
        "workers": [],
    }
    path = f"/api/v1/jobs/{job}"
    for what in (f"{path}/results.tar", f"{path}/films", f"{path}/logs"):
        assert erin.get(what, params=RUN).status_code == 403
    for what in (f"{path}/cancel", f"{path}/restart", f"/rest/job/restart/{job}"):
        assert erin.post(what).status_code == 409
    anybody = Client(hosted.url)
    assert anybody.get("/api/v1/board.json", params={"phase": "final"}).status_code == 404
    assert anybody.get("/api/v1/contest").json()["disclosed"] is None
    everything = anybody.get("/api/v1/activity").text + anybody.get("/api/v1/board.json").text
    assert '"phase":"final"' not in everything

    wait_for(lambda: not hosted.contest.jobs.active("final"), 240, "the others' jobs of the final")
    assert "is revealed" in admin(capsys, "reveal", *data)
    contest = anybody.get("/api/v1/contest").json()
    secret = bytes.fromhex(contest["disclosed"]["secret"])
    assert hashlib.sha256(secret).hexdigest() == commitment == contest["secret_sha256"]
    seen = erin.get(path).json()
    assert seen["score"] is not None and len(seen["runs"]) == 1
    assert erin.get(f"{path}/logs", params=RUN).status_code == 200
    boards = anybody.get("/api/v1/board.json", params={"phase": "final"}).json()["boards"]
    assert "erin" in [row["name"] for row in boards[0]["rows"]]
    # The evaluation's secret is the one that follows from the contest's.
    summary = json.loads((hosted.contest.places.results("final", job) / "summary.json").read_text())
    follows = hmac.digest(secret, f"job {job}".encode(), "sha256")[:16]
    assert summary["secret_sha256"] == hashlib.sha256(follows).hexdigest()


def test_the_hosts_commands(hosted, capsys, monkeypatch):
    data = ("--data", str(hosted.data))
    assert "made frank; password: " in admin(capsys, "add-user", "frank", *data)
    assert "another account has this name" in admin(capsys, "add-user", "frank", *data, code=2)
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    admin(capsys, "reset-password", "frank", *data, "--password-stdin")
    login = {"name": "frank", "password": PASSWORD}
    anybody = Client(hosted.url)
    frank = Client(hosted.url, token=anybody.post("/api/v1/login", json=login).json()["token"])
    job = submit(frank, "slow")
    frank.wait(job, "running")
    assert "frank" in admin(capsys, "jobs", *data)
    admin(capsys, "ban", "frank", *data, "--reason", "tried")
    assert frank.get("/api/v1/user").status_code == 401
    assert anybody.post("/api/v1/login", json=login).status_code == 401
    wait_for(lambda: hosted.contest.jobs.get(job).state == "cancelled", 60, "the banned one's job")
    assert "tried" in admin(capsys, "users", *data)
    admin(capsys, "unban", "frank", *data)
    assert anybody.post("/api/v1/login", json=login).status_code == 200
    assert "no job 99999" in admin(capsys, "cancel", "99999", *data, code=2)
    assert admin(capsys, "invite", *data).strip()
    nowhere = admin(capsys, "users", "--data", str(hosted.data / "nothing"), code=2)
    assert "no contest's data folder" in nowhere


def test_a_stop_gives_jobs_back_and_another_start_goes_on_with_them(tmp_path):
    with Hosted(tmp_path) as host:
        client = host.client("alice")
        job = submit(client, "slow")
        client.wait(job, "running")
        wait_for(lambda: client.get(f"/api/v1/jobs/{job}").json()["runs"], 60, "its runs")
        assert main(["host", "--data", str(tmp_path), "--listen", "127.0.0.1:0"]) == 2  # it runs
        assert host.stop() == 0
        assert host.contest.jobs.get(job).state == "queued"
        host.start()
        client = host.client("alice")
        assert client.wait(job, "finished")["score"] is not None


def test_a_missing_library_of_the_host_is_one_line(tmp_path):
    words = ["host", "--data", str(tmp_path / "contest")]
    code = "import sys; sys.modules['argon2'] = None\nfrom retro_contest.cli.main import main\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main({words!r}))"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "retro-contest-kit[host]" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "contest").exists()


@pytest.mark.parametrize(
    ("settings", "words", "says"),
    [
        ("nmae: x", (), "unknown key `nmae`"),
        ("open: {levels: nowhere}", (), "no level or level set 'nowhere'"),
        ("open: {levels: airstriker, rules: {timesteps: 0}}", (), "timesteps"),
        ("limits: {jobs_per_day: 0}", (), "limits.jobs_per_day"),
        ("agents: {A b: random}", (), "agents"),
        ("", ("--listen", "here"), "no HOST:PORT"),
        ("", ("--certificate", "no.pem"), "belong together"),
    ],
)
def test_mistakes_of_a_host_are_one_line(tmp_path, capsys, settings, words, says):
    (tmp_path / "contest.yaml").write_text(settings)
    listen = () if "--listen" in words else ("--listen", "127.0.0.1:0")
    assert main(["host", "--data", str(tmp_path), *listen, *words]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
