"""What all answers share: who asks, what is asked, and how a mistake is answered.

A handler is a plain function that gets a `Call` and returns a response, or raises `Problem` or
`UsageError`. It runs in a thread, so it may wait for the disk and compute; only bodies are read in
the event loop.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retro_common.errors import UsageError
from retro_common.files import parse_json
from retro_common.text import clean
from retro_contest.server.accounts import Account
from retro_contest.server.contest import Contest
from retro_contest.server.jobs import Conflict, Job, LimitReached
from retro_contest.server.limits import RateLimit, network

COOKIE = "session"
BODY_BYTES = 64 << 10
BODY_SECONDS = 20.0
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PASSWORDS_AT_ONCE = 2  # each takes a processor
FAILURES, FAILURE_SECONDS = 10, 300.0  # of a place with a name
PLACE_FAILURES = 100  # of a place with any names
SUBMITS, SUBMIT_SECONDS = 20, 60.0  # of an account


class Problem(Exception):
    """What the one who asks has done wrong; the message is one line for him."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status"""
        self.headers = dict(headers or {})
        """more headers of the answer"""

    def response(self) -> Response:
        """The answer."""
        return JSONResponse({"error": str(self)}, self.status, self.headers)


@dataclass(frozen=True)
class Service:
    """A contest with what its web server keeps in memory."""

    contest: Contest
    """the contest"""
    failures: RateLimit = field(default_factory=lambda: RateLimit(FAILURES, FAILURE_SECONDS))
    """failed logins of a place with a name"""
    place_failures: RateLimit = field(
        default_factory=lambda: RateLimit(PLACE_FAILURES, FAILURE_SECONDS)
    )
    """failed logins of a place"""
    submits: RateLimit = field(default_factory=lambda: RateLimit(SUBMITS, SUBMIT_SECONDS))
    """submissions of an account"""

    def log_in(self, place: str, name: object, password: object) -> Account:
        """The account that a name and a password show; failures are counted.

        Raises:
            Problem: they show none (401), or there were too many failures (429).
        """
        if not isinstance(name, str) or not isinstance(password, str):
            raise Problem(400, "a name and a password are texts")
        keys = (place, name.lower()[:300])
        wait = max(self.failures.wait(keys), self.place_failures.wait(place))
        if wait > 0:
            raise Problem(
                429,
                "too many failed logins: wait some minutes",
                {"Retry-After": str(math.ceil(wait))},
            )
        account = self.contest.accounts.authenticate(name, password)
        if account is None:
            self.failures.note(keys)
            self.place_failures.note(place)
            raise Problem(401, "wrong name or password")
        return account

    def count_submit(self, account: Account) -> None:
        """Count a submission.

        Raises:
            Problem: there were too many within a minute.
        """
        if wait := self.submits.wait(account.id):
            raise Problem(429, "too many requests", {"Retry-After": str(math.ceil(wait))})
        self.submits.note(account.id)


@dataclass(frozen=True)
class Call:
    """A request as a handler sees it."""

    service: Service
    """the contest and its limits"""
    request: Request
    """the request; its body was read"""
    body: dict[str, Any]
    """the JSON object in its body; empty without a body"""
    visitor: Account | None
    """who asks; None without a login"""

    @property
    def contest(self) -> Contest:
        """The contest."""
        return self.service.contest

    @property
    def account(self) -> Account:
        """Who asks.

        Raises:
            Problem: nobody has logged in.
        """
        if self.visitor is None:
            raise Problem(401, "log in first", {"WWW-Authenticate": "Bearer"})
        return self.visitor

    @property
    def place(self) -> str:
        """Where the request comes from."""
        client = self.request.client
        return network(client.host if client else "")

    def text(self, key: str, default: str | None = None, most: int = 300) -> str:
        """A text of the body.

        Raises:
            Problem: it is missing, no text, or too long.
        """
        value = self.body.get(key, default)
        if not isinstance(value, str) or len(value) > most:
            raise Problem(400, f"the key '{key}' should be a text of at most {most} characters")
        return value

    def own_job(self) -> Job:
        """The job of the path's `id`, which must be the visitor's.

        Raises:
            Problem: there is none (404), also for a job of somebody else.
        """
        account = self.account
        job = self.contest.jobs.get(self.request.path_params["id"])
        if job is None or job.account != account.id:
            raise Problem(404, "you have no such job")
        return job


Handler = Callable[[Call], Response]
Application = Callable[..., Awaitable[None]]
"""an application of ASGI"""


def route(
    path: str, handler: Handler, method: str = "GET", *, body: bool = False, slow: bool = False
) -> Route:
    """A route of one method.

    Args:
        path: as in Starlette.
        handler: answers.
        method: the HTTP method; GET answers HEAD, too.
        body: whether a JSON object is expected.
        slow: whether the handler hashes a password: few such run at once.
    """

    async def endpoint(request: Request) -> Response:
        service: Service = request.app.state.service
        try:
            content = await read_object(request) if body else {}
            limiter = request.app.state.passwords if slow else None
            return await anyio.to_thread.run_sync(
                _answer, service, request, content, handler, limiter=limiter
            )
        except Problem as problem:
            return problem.response()

    return Route(path, endpoint, methods=[method])


def _answer(
    service: Service, request: Request, content: dict[str, Any], handler: Handler
) -> Response:
    try:
        # Without a cookie, too: a page of another site must not log its visitors in.
        if request.method in UNSAFE and is_foreign(request):
            raise Problem(403, "a page of another site has sent this")
        visitor = visitor_of(service.contest, request)
        return handler(Call(service, request, content, visitor))
    except Problem as problem:
        return problem.response()
    except LimitReached as error:
        return Problem(429, clean(error, 500)).response()
    except Conflict as error:
        return Problem(409, clean(error, 500)).response()
    except UsageError as error:
        return Problem(400, clean(error, 500)).response()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) and "busy" not in str(error):
            raise
        return Problem(503, "the server is busy", {"Retry-After": "5"}).response()


def visitor_of(contest: Contest, request: Request) -> Account | None:
    """Who asks: by a token in the header, else by the cookie of a session."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return contest.accounts.of_token(token.strip())
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return None
    return contest.accounts.of_session(cookie)


def is_foreign(request: Request) -> bool:
    """Whether a page of another site has sent a request. Browsers say so, other programs do not."""
    origin = request.headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc != request.headers.get("host", "")
        except ValueError:  # no address at all
            return True
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; an empty one where there is no body.

    Raises:
        Problem: it is no such object (400), too big (413), or too slow (408).
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and len(length) < 20 and int(length) > BODY_BYTES:
        raise _too_big()
    content = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > BODY_BYTES:
                    raise _too_big()
    except TimeoutError:
        raise Problem(408, "the request's body took too long") from None
    except ClientDisconnect:
        raise Problem(400, "the request's body is not whole") from None
    if not content.strip():
        return {}
    try:
        value = parse_json(bytes(content))
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {clean(error)}") from None
    if not isinstance(value, dict):
        raise Problem(400, "the body is not a JSON object")
    return value


def _too_big() -> Problem:
    return Problem(413, f"the body has more than {BODY_BYTES:,} bytes", {"Connection": "close"})
