"""Puts the application together: routes, headers of every answer, paths, errors."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from retro_contest.server.contest import Contest
from retro_contest.server.http import api, rest
from retro_contest.server.http.web import PASSWORDS_AT_ONCE, Application, Service

POLICY = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; script-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""what a page may load: nothing of another site, nothing that is written into the page itself"""
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"content-security-policy": POLICY.encode(),
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""headers of every answer that has none of its own by this name"""
PROGRAMS = ("/rest", "/api")
"""paths whose slashes are made single, and removed at the end"""
LOGGER = logging.getLogger("retro_contest.server")


def create_app(contest: Contest, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The web application of a contest.

    Args:
        contest: the contest.
        more: routes beside those of 2018 and of the API, which come first: pages, a registry.
    """
    app = Starlette(
        routes=[*rest.ROUTES, *api.ROUTES, *more],
        middleware=[Middleware(Headers), Middleware(Slashes)],
        exception_handlers={HTTPException: _http_error, Exception: _error},
    )
    app.router.redirect_slashes = False  # the client of 2018 turns a redirected POST into a GET
    app.state.service = Service(contest)
    app.state.passwords = anyio.CapacityLimiter(PASSWORDS_AT_ONCE)
    return app


class Headers:
    """Adds `HEADERS` to every answer, and nothing to those that have their own."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                more = [pair for pair in HEADERS.items() if pair[0] not in there]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Slashes:
    """`//rest/login/` is `/rest/login`: a server's address may have been given with a slash."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path = re.sub("/+", "/", scope["path"])
            if path.startswith(PROGRAMS):
                scope = {**scope, "path": path.rstrip("/")}
        await self._app(scope, receive, send)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _error(request: Request, error: Exception) -> Response:
    LOGGER.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": "the server has made a mistake"}, 500)
