"""Hostile requests to a contest's server: an answer that says what is wrong, never a mistake of its
own (500), and the server goes on.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retro_contest.server.contest import Contest
from retro_contest.server.http import api, rest
from tests.fuzz.kit import Tally, examples
from tests.fuzz.mutate import JSON_RAW, damaged, mutated, to_json
from tests.server.server_kit import PASSWORD, contest_in, served

# What each call with a body takes.
BODIES: dict[str, dict[str, Any]] = {
    "/rest/login": {"email": "alice", "password": PASSWORD},
    "/rest/job/start": {"tag": "random:latest"},
    "/api/v1/login": {"name": "alice", "password": PASSWORD, "label": "x"},
    "/api/v1/register": {"invitation": "x", "name": "bob", "password": PASSWORD, "email": "b@c"},
    "/api/v1/password": {"old": PASSWORD, "new": PASSWORD},
    "/api/v1/tokens": {"label": "x"},
    "/api/v1/jobs": {"tag": "random"},
}
PATHS = sorted({route.path for route in (*rest.ROUTES, *api.ROUTES)})
SETTINGS = """\
agents: {random: random}
open: {levels: airstriker}
limits: {jobs_per_day: 1000, active_jobs: 1000}
registration: invitation
"""


class Server:
    """A server and an account that sends hostile requests to it."""

    def __init__(self, contest: Contest, url: str) -> None:
        self.contest = contest
        self.address = url.removeprefix("http://")
        self.account = contest.accounts.add("alice", PASSWORD)
        self._token = ""

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer, which is checked."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        no_executor = path.startswith("/api/v1/health") and answer.status == 503
        assert answer.status < 500 or no_executor, (
            method,
            path,
            body[:500],
            headers,
            content[:500],
        )
        if 400 <= answer.status < 500 and method != "HEAD" and content[:1] == b"{":
            assert b'{"error":"' in content
        return answer.status

    def headers(self) -> dict[str, str]:
        """Those of the account, with a token that holds."""
        if self.contest.accounts.of_token(self._token) is None:  # the password was changed
            self._token = self.contest.accounts.new_token(self.account, "fuzz", 3600)
        return {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    contest = contest_in(tmp_path_factory.mktemp("contest"), SETTINGS)
    contest.accounts.register(contest.accounts.invite(), "carol", PASSWORD)
    with served(contest, limited=False) as url:
        server = Server(contest, url)
        yield server
        assert server.send("GET", "/rest/leaderboard", b"", {}) == 200


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path, and a hostile body for it."""
    path = draw(st.sampled_from(sorted(BODIES)))
    document = draw(mutated(BODIES[path], JSON_RAW))
    text = to_json(document).encode(errors="surrogatepass")
    return path, draw(st.just(text) | damaged(text) | st.binary(max_size=200))


@examples(40)
@given(bodies())
@example(("/rest/login", b'{"email": "\\ud800", "password": "\\ud800"}'))
@example(("/rest/login", b'{"email": {"$ne": ""}, "password": ["x"]}'))
@example(("/rest/job/start", b'{"tag": "random:latest\\u0000"}'))
@example(("/rest/job/start", b'["tag"]'))
@example(("/rest/job/start", b"\xff\xfe"))
@example(("/api/v1/login", b'{"name": "alice", "password": "x"' + b" " * 70_000 + b"}"))
def test_hostile_bodies(server: Server, tally: Tally, case: tuple[str, bytes]) -> None:
    path, body = case
    tally[str(server.send("POST", path, body, server.headers()))] += 1


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str]]:
    """A method, a path with a query, and headers, all a little or wholly wrong."""
    path = draw(st.sampled_from(PATHS) | st.text(max_size=30).map(lambda text: f"/api/v1/{text}"))
    text = st.text(max_size=30).filter(lambda text: text.isprintable() or not text)
    number = st.integers().map(str) | text
    path = path.replace("{id:int}", draw(number)).replace("{name:path}", draw(text))
    names = st.sampled_from(["level", "seed", "side", "tail", "phase", "x"])
    query = draw(st.lists(st.tuples(names, number), max_size=4))
    words = "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
    method = draw(st.sampled_from(["GET", "GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"]))
    latin = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60)
    headers = draw(
        st.dictionaries(
            st.sampled_from(["Authorization", "Cookie", "Origin", "Content-Type", "Range"]),
            latin | latin.map(lambda text: f"Bearer {text}") | latin.map(lambda t: f"session={t}"),
            max_size=3,
        )
    )
    return method, f"{quote(path, safe='/')}?{words}", headers


@examples(40)
@given(requests(), st.booleans())
@example(("GET", f"/rest/job/status/{10**30}?", {}), True)
@example(("GET", "/api/v1/jobs/1/films/..%2f..%2fsecret.json?", {}), True)
@example(("POST", "/rest/job/kill?", {"Cookie": "session=x", "Origin": "http://[x"}), False)
def test_hostile_paths_and_headers(
    server: Server, tally: Tally, case: tuple[str, str, dict[str, str]], logged_in: bool
) -> None:
    method, path, headers = case
    headers = headers | (server.headers() if logged_in else {})
    tally[str(server.send(method, path, b"", headers))] += 1
