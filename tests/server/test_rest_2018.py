"""The conversation of the client of 2018, replayed from its recorded form."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from server_kit import PASSWORD, Client, Hosted, contest_in, served

CONVERSATION = Path(__file__).with_name("conversation_2018.txt")


def has_shape(value: Any, shape: Any) -> bool:
    """Whether a JSON value has a shape, as the conversation's head explains."""
    if isinstance(shape, dict):
        keys = {key.removesuffix("?"): key for key in shape}
        return (
            isinstance(value, dict)
            and value.keys() <= keys.keys()
            and all(
                has_shape(value[key], shape[wanted]) if key in value else wanted.endswith("?")
                for key, wanted in keys.items()
            )
        )
    if isinstance(shape, list):
        return (
            isinstance(value, list)
            and len(value) == len(shape)
            and all(has_shape(*pair) for pair in zip(value, shape, strict=True))
        )
    kinds: dict[Any, Any] = {"int": int, "number": (int, float), "text": str, "list": list}
    if shape == "any":
        return True
    if isinstance(shape, str) and shape in kinds:
        return isinstance(value, kinds[shape]) and not isinstance(value, bool)
    return type(value) is type(shape) and value == shape


def test_shapes_tell_answers_apart():
    assert has_shape({"a": 1}, {"a": "int", "b?": "text"})
    for wrong in ({"a": None}, {"a": "1"}, {"a": 1, "b": None}, {"a": 1, "c": 2}, {}, []):
        assert not has_shape(wrong, {"a": "int", "b?": "text"})
    assert not has_shape({"a": True}, {"a": "number"})


class Client2018:
    """Sends what that client sends: `requests`, and the cookies of the login alone."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}

    def request(self, line: str) -> requests.Response:
        method, path, *body = line.split(" ", 2)
        values: dict[str, Any] = {"json": json.loads(body[0])} if body else {}
        response = requests.request(
            method, self.url + path, cookies=self.cookies, timeout=60, **values
        )
        if path.strip("/") == "rest/login" and response.ok:
            self.cookies = dict(response.cookies.items())
            assert self.cookies, "without a cookie that client is never logged in"
        assert not response.history, "it would turn a redirected POST into a GET"
        return response


def check(response: requests.Response, answer: str) -> str:
    """What is wrong with an answer; nothing if it is as it should be."""
    status, _, shape = answer.partition(" ")
    said = f"{response.status_code} {response.text[:500]}"
    if response.status_code != int(status):
        return said
    if not shape:
        return said if response.content else ""
    assert response.headers["content-type"] == "application/json"
    return "" if has_shape(response.json(), json.loads(shape)) else said


def test_the_conversation_of_2018(tmp_path):
    host = Hosted(tmp_path)
    for name in ("alice", "bob"):
        host.contest.accounts.add(name, PASSWORD, f"{name}@example.org")
    with host:
        replay(CONVERSATION.read_text(), host.url)


def replay(conversation: str, url: str) -> None:
    """Have the conversation, and compare every answer."""
    client, request = Client2018(url), ""
    for number, line in enumerate(conversation.splitlines(), start=1):
        if line == "client":
            client = Client2018(url)
        elif line.startswith("> "):
            request = line[2:]
            response = client.request(request)
        elif line.startswith("< "):
            answer = line[2:]
            deadline = time.monotonic() + (120 if answer.startswith("wait ") else 0)
            while wrong := check(response, answer.removeprefix("wait ")):
                assert time.monotonic() < deadline, f"line {number}: {request}: {wrong}"
                time.sleep(0.1)
                response = client.request(request)


@pytest.fixture
def url(tmp_path):
    contest = contest_in(tmp_path)
    contest.accounts.add("alice", PASSWORD)
    with served(contest) as address:
        yield address


def test_an_answer_comes_at_once_however_the_address_was_written(url):
    for path in (
        "/rest/leaderboard",
        "//rest/leaderboard",
        "/rest/leaderboard/",
        "//rest//leaderboard//",
    ):
        response = Client(url).get(path)
        assert (response.status_code, response.json()["start"]) == (200, 1)


def test_other_methods_and_paths_are_json_too(url):
    for method, path, status in (
        ("GET", "/rest/login", 405),
        ("DELETE", "/rest/job/kill", 405),
        ("GET", "/rest/nothing", 404),
        ("GET", "/rest/job/status/first", 404),
        ("GET", "/rest/job/status/-1", 404),
        ("GET", f"/rest/job/status/{10**30}", 401),
    ):
        response = Client(url).call(method, path)
        assert (response.status_code, list(response.json())) == (status, ["error"])


def test_a_session_that_has_ended_is_answered_with_401(url):
    client = Client(url, cookies={"session": "d7e580df361b291f"})
    for path in ("/rest/user", "/rest/job/status"):
        response = client.get(path)
        assert response.status_code == 401 and isinstance(response.json(), dict)
