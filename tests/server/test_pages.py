"""The server's pages over HTTP: who sees what, forms of other sites, hostile text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from server_kit import PASSWORD, wait_for
from serving import Served, serving

from benchmarks.score.site import write_folders
from retro_contest.runs.results import SUMMARY_FILE
from retro_contest.server.jobs import Job, RunState
from retro_contest.server.settings import FINAL, OPEN

COMMITTED = Path(__file__).parents[2] / "benchmarks/results/score"
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
SETTINGS = """
name: Trial <b>cup</b>
open: {levels: FernHollow.Act3, seeds: 2, rules: {timesteps: 20000, wallclock: 600}}
final: {levels: FrostPeak.Act3, seeds: 3, rules: {timesteps: 20000, wallclock: 600}}
limits: {jobs_per_day: 100, active_jobs: 100}
registration: invitation
agents: {jerk: jerk, random: random}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("pages") / "data", SETTINGS, ("alice", "bob")) as served:
        yield served


@pytest.fixture
def visitor(served: Served) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=served.url, timeout=30) as client:
        yield client


def log_in(client: httpx2.Client, name: str, **more: str) -> httpx2.Response:
    return client.post("/login", data={"name": name, "password": PASSWORD, **more})


def with_session(served: Served, name: str) -> httpx2.Client:
    """Somebody who has logged in."""
    account = served.contest.accounts.find(name)
    assert account is not None
    cookies = {"session": served.contest.accounts.new_session(account)}
    return httpx2.Client(base_url=served.url, timeout=30, cookies=cookies)


@pytest.fixture
def alice(served: Served) -> Iterator[httpx2.Client]:
    with with_session(served, "alice") as client:
        yield client


@pytest.fixture
def bob(served: Served) -> Iterator[httpx2.Client]:
    with with_session(served, "bob") as client:
        yield client


def mark_of(client: httpx2.Client, page: str) -> str:
    found = re.search(r'name="mark" value="([0-9a-f]+)"', client.get(page).text)
    assert found is not None
    return found[1]


def submitted(served: Served, name: str = "alice") -> Job:
    account = served.contest.accounts.find(name)
    assert account is not None
    digest = served.contest.registry.resolve(account, "jerk")
    return served.contest.jobs.submit(account, "jerk", digest)


def played(served: Served, job: Job, *runs: RunState, state: str = "", **end: object) -> Job:
    """A job that an executor has taken, with some runs; ended where a state is given."""
    jobs = served.contest.jobs
    while (taken := jobs.claim("test")) is not None and taken.id != job.id:
        jobs.end(taken, "test", "failed")
    assert jobs.beat(job, "test", 1.0, enumerate(runs)) is not None
    if state:
        assert jobs.end(job, "test", state, **end)  # type: ignore[arg-type]
    found = jobs.get(job.id)
    assert found is not None
    return found


RUNS = (
    RunState("G/One.Act1", 0, 1000, "running", 250, 3, 125.0, 6.0, 42.5),
    RunState("G/One.Act1", 1, 1000, "error", 10, 1, 9.0, None, 0.0, "crashed", HOSTILE),
    RunState("G/Two.Act1", 0, 1000),
)


def test_every_page_is_strict_about_what_it_loads(
    served: Served, visitor: httpx2.Client, alice: httpx2.Client
) -> None:
    job = played(served, submitted(served), *RUNS)
    wait_for(lambda: visitor.get("/").status_code == 200, 200, "the first board")
    pages = ["/", "/contest", "/login", "/register", "/submit", "/jobs", f"/jobs/{job.id}", "/none"]
    for page in pages:
        answer = alice.get(page, follow_redirects=True)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy, page
        assert answer.headers["x-content-type-options"] == "nosniff"
        html = answer.text
        assert not re.search(r"<[^>]*\s(style|on\w+)\s*=", html), page
        assert not re.search(r"<script(?![^>]*\bsrc=)", html) and "<style" not in html, page
        assert not re.search(r"""(src|href|action)=["']?(https?:)?//""", html), page
        assert "<b>cup" not in html and "Trial &lt;b&gt;cup&lt;/b&gt;" in html, page
        assert html.count("<h1>") == 1 and '<html lang="en">' in html, page


def test_text_of_agents_is_shown_as_text(served: Served, alice: httpx2.Client) -> None:
    job = played(served, submitted(served), *RUNS, state="failed", reason=HOSTILE)
    for page in (f"/jobs/{job.id}", f"/jobs/{job.id}/live", "/jobs", "/jobs/live"):
        html = alice.get(page).text
        assert "<script>alert" not in html and "<img" not in html
        assert "&lt;script&gt;alert" in html


def test_a_login_leads_back_and_nowhere_else(visitor: httpx2.Client) -> None:
    asked = visitor.get("/jobs")
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=/jobs")
    assert 'value="/jobs"' in visitor.get(asked.headers["location"]).text
    for after, leads_to in (
        ("/submit", "/submit"),
        *((text, "/jobs") for text in ("", "//evil.example/x", "https://evil.example", "\\\\evil")),
        ("/\\evil.example", "/jobs"),
        ("/\t/evil.example", "/jobs"),
        ("javascript:alert(1)", "/jobs"),
    ):
        done = log_in(visitor, "alice", next=after)
        assert (done.status_code, done.headers["location"]) == (303, leads_to), after
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie


def test_a_wrong_password_is_said(visitor: httpx2.Client) -> None:
    form = {"name": "nobody<i>", "password": "wrong password"}
    answer = visitor.post("/login", data=form)
    assert answer.status_code == 401 and "wrong name or password" in answer.text
    assert "nobody&lt;i&gt;" in answer.text and "wrong password" not in answer.text
    assert "set-cookie" not in answer.headers


def test_logging_out_ends_the_session(served: Served, alice: httpx2.Client) -> None:
    cookie = alice.cookies["session"]
    assert alice.post("/logout", data={"mark": mark_of(alice, "/jobs")}).status_code == 303
    assert served.contest.accounts.of_session(cookie) is None
    assert alice.get("/jobs", headers={"cookie": f"session={cookie}"}).status_code == 303


def test_forms_of_other_sites_do_nothing(served: Served, alice: httpx2.Client) -> None:
    job = submitted(served)
    before = len(served.contest.jobs.all())
    right = {"mark": mark_of(alice, "/submit")}
    other = {"origin": "https://evil.example"}
    forms = ("/submit", f"/jobs/{job.id}/cancel", f"/jobs/{job.id}/restart", "/logout")
    for path in forms:
        for data, headers in (
            ({}, {}),
            ({"mark": ""}, {}),
            ({"mark": "0" * 64}, {}),
            (right, other),
            (right, {"origin": "null"}),
            (right, {"sec-fetch-site": "cross-site"}),
        ):
            answer = alice.post(path, data={"tag": "jerk", **data}, headers=headers)
            assert answer.status_code == 403, (path, data, headers)
    # A form that logs the visitor in as somebody else.
    form = {"name": "bob", "password": PASSWORD}
    assert alice.post("/login", data=form, headers=other).status_code == 403
    assert len(served.contest.jobs.all()) == before
    now = served.contest.jobs.get(job.id)
    assert now is not None and now.is_active
    assert alice.get("/jobs").status_code == 200


def test_what_is_no_form_is_refused(alice: httpx2.Client) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for content, headers, status in (
        (b"{}", {"content-type": "application/json"}, 415),
        (b"--x", {"content-type": "multipart/form-data; boundary=x"}, 415),
        (b"tag=" + b"x" * 20_000, kind, 413),
        (b"a=1&" * 30, kind, 400),
        (b"tag=%ff\xff", kind, 400),
        (b"mark=%ff&tag=jerk", kind, 400),
        ("mark=é&tag=jerk".encode(), kind, 400),
    ):
        answer = alice.post("/submit", content=content, headers=headers)
        assert answer.status_code == status, content[:20]


def test_submitting_cancelling_and_playing_again(served: Served, alice: httpx2.Client) -> None:
    assert "jerk" in alice.get("/submit").text
    mark = {"mark": mark_of(alice, "/submit")}
    missing = alice.post("/submit", data={**mark, "tag": "nothing<i>"})
    assert missing.status_code == 400 and "nothing&lt;i&gt;" in missing.text
    done = alice.post("/submit", data={**mark, "tag": "jerk"})
    assert done.status_code == 303
    page = done.headers["location"]
    number = int(page.rpartition("/")[2])
    assert "queued" in alice.get(page).text
    assert alice.post(f"{page}/cancel", data=mark).status_code == 303
    job = served.contest.jobs.get(number)
    assert job is not None and job.state == "cancelled"
    again = alice.post(f"{page}/cancel", data=mark)
    assert again.status_code == 409 and "ended" in again.text
    repeated = alice.post(f"{page}/restart", data=mark).headers["location"]
    assert repeated != page and f'href="{page}"' in alice.get(repeated).text


def test_a_job_is_its_owners_alone(
    served: Served, visitor: httpx2.Client, alice: httpx2.Client, bob: httpx2.Client
) -> None:
    job = played(served, submitted(served), *RUNS)
    page = f"/jobs/{job.id}"
    assert alice.get(page).status_code == alice.get(f"{page}/live").status_code == 200
    mark = {"mark": mark_of(bob, "/submit")}
    for path in (page, f"{page}/live"):
        assert bob.get(path).status_code == 404
    for path in (f"{page}/cancel", f"{page}/restart"):
        assert bob.post(path, data=mark).status_code == 404
        assert bob.post(path, data={"mark": mark_of(alice, "/submit")}).status_code == 403
    assert f"/jobs/{job.id}" not in bob.get("/jobs").text
    with httpx2.Client(base_url=served.url) as nobody:
        assert nobody.get(page).status_code == 303
        assert nobody.get(f"{page}/live", headers={"x-refresh": "1"}).status_code == 401
        public = nobody.get("/contest/live").text
    assert "alice" in public
    assert "alert(1)" not in public and "jerk" not in public and page not in public


def test_live_status_of_every_level(served: Served, alice: httpx2.Client) -> None:
    job = played(served, submitted(served), *RUNS)
    live = alice.get(f"/jobs/{job.id}/live")
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", live.text))
    assert "250 of 1,000, 125.0 per second, 6 s left" in text
    assert "42.5 so far" in text and "waits" in text and "crashed" in text
    assert "42% of the timesteps" in text  # (250 + 1000 that will not be played + 0) / 3000
    assert "x-ended" not in live.headers
    served.contest.jobs.end(job, "test", "finished", score=12.5)
    live = alice.get(f"/jobs/{job.id}/live")
    assert live.headers["x-ended"] == "1" and "12.5" in live.text and "finished" in live.text


def test_a_hidden_final_shows_that_it_is_played_and_nothing_else(
    served: Served, alice: httpx2.Client
) -> None:
    jobs = served.contest.jobs
    first = played(served, submitted(served), *RUNS, state="finished", score=1.0)
    job = jobs.add_final(first.account, "jerk", first.digest, first.id)
    played(served, job, *RUNS)
    secrets = ("One.Act1", "Two.Act1", "42.5", "alert(1)", "crashed")
    pages = [f"/jobs/{job.id}", f"/jobs/{job.id}/live", "/contest", "/contest/live"]
    for page in pages:
        html = alice.get(page).text
        assert not [secret for secret in secrets if secret in html], page
    assert "running" in alice.get(f"/jobs/{job.id}").text
    assert "FrostPeak" not in alice.get("/contest").text
    mark = {"mark": mark_of(alice, "/submit")}
    for path in ("cancel", "restart"):
        assert alice.post(f"/jobs/{job.id}/{path}", data=mark).status_code == 409
    acts = {"name": "Secret", "seed": 5, "zones": ["FrostPeak"], "acts": 2, "hard": 0.6}
    served.contest.phases.built(acts)
    jobs.end(job, "test", "finished", score=77.25)
    assert "77.25" not in alice.get("/jobs").text + alice.get(f"/jobs/{job.id}").text
    served.contest.phases.reveal()
    assert "One.Act1" in alice.get(f"/jobs/{job.id}").text
    contest = alice.get("/contest").text
    assert "FrostPeak" in contest and "--seed 5 --zones FrostPeak --acts 2" in contest


def test_an_account_is_made_with_an_invitation(served: Served, visitor: httpx2.Client) -> None:
    invitation = served.contest.accounts.invite()
    form = {"invitation": "wrong", "name": "dora", "password": PASSWORD, "email": ""}
    assert visitor.post("/register", data=form).status_code == 400
    form["invitation"] = invitation
    taken = visitor.post("/register", data={**form, "name": "alice"})
    assert taken.status_code == 400 and "another account" in taken.text
    assert PASSWORD not in taken.text
    assert visitor.post("/register", data=form).status_code == 303
    assert "dora" in visitor.get("/submit").text
    assert visitor.post("/register", data={**form, "name": "emil"}).status_code in (400, 403)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results folder of a committed evaluation of FernHollow.Act3, with a film."""
    folder = tmp_path / "results"
    write_folders(COMMITTED, folder)
    of_jerk = folder / "jerk-20000"
    films = of_jerk / "films/PangolinDash-Genesis-v0"
    films.mkdir(parents=True)
    (films / "FernHollow.Act3-best.mp4").write_bytes(bytes(100))
    return of_jerk


@pytest.mark.timeout(600)
def test_the_board_is_written_anew_and_shows_nothing_of_its_owners(
    tmp_path: Path, results: Path
) -> None:
    with (
        serving(tmp_path / "data", SETTINGS, ("alice",)) as served,
        with_session(served, "alice") as client,
    ):
        wait_for(lambda: client.get("/").status_code == 200, 200, "the first board")
        assert "No scores yet" in client.get("/").text
        job = submitted(served)
        folder = served.contest.places.results(OPEN, job.id)
        shutil.copytree(results, folder)
        assert (folder / SUMMARY_FILE).is_file()
        level = RunState("PangolinDash-Genesis-v0/FernHollow.Act3", 0, 20000, "finished", 20000)
        played(served, job, level, state="finished", score=5.0)
        wait_for(lambda: "No scores yet" not in client.get("/").text, 200, "the board")
        front = client.get("/").text
        assert 'class="name"' in front and "reference" in front
        links = re.findall(r'href="((?:submissions|levels)/[^"]+)"', front)
        pages = [client.get(f"/{link}") for link in set(links)]
        assert pages and all(page.status_code == 200 for page in pages)
        everything = front + "".join(page.text for page in pages)
        assert "<video" not in everything and str(tmp_path) not in everything
        assert client.get("/films/x.mp4").status_code == 404
        assert client.get("/board.json").json() and "score" in client.get("/board.csv").text
        # Its owner sees the film on the job's page.
        films = re.findall(r'<video[^>]* src="([^"]+)"', client.get(f"/jobs/{job.id}").text)
        assert len(films) == 1
        part = client.get(films[0], headers={"range": "bytes=10-19"})
        assert part.status_code == 206 and part.content == bytes(10)
        with httpx2.Client(base_url=served.url) as nobody:
            assert nobody.get(films[0]).status_code == 401
        # A ban takes the name off the board.
        account = served.contest.accounts.find("alice")
        assert account is not None
        served.contest.accounts.ban(account, "cheated")
        wait_for(lambda: "No scores yet" in client.get("/").text, 200, "the board without it")


def test_files_outside_of_the_site_are_not_served(served: Served, visitor: httpx2.Client) -> None:
    wait_for(lambda: visitor.get("/").status_code == 200, 200, "the first board")
    for path in (
        *("/../contest.sqlite", "/..%2fcontest.sqlite", "/%2e%2e/contest.yaml", "/now"),
        *("/submissions/..%2f..%2f..%2fcontest.yaml", "/contest.sqlite", "/%00", "/" + "x" * 5000),
    ):
        answer = visitor.get(path)
        assert answer.status_code == 404, path
        assert "Not found" in answer.text


def test_phases_are_told_on_one_page(served: Served, visitor: httpx2.Client) -> None:
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", visitor.get("/contest").text))
    assert "FernHollow.Act3" in text and "20,000 timesteps" in text
    assert served.contest.phases.commitment in text
    assert served.contest.settings.phase(FINAL).seeds == 3 and "3 per level" in text
