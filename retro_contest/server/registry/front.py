"""The registry as its users see it: an authenticating front of a registry that only we can reach.

Every request carries HTTP basic authentication, which Docker's engine and the client of 2018 both
speak. The credentials decide the name space: nobody can name an image of somebody else, let alone
read or overwrite it. Bodies are passed on piece by piece in both directions, as fast as the slower
side takes them, so a layer of any size needs little memory.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx2
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from retro_contest.server.registry.names import (
    READ,
    Refused,
    Target,
    public_location,
    target,
)

PIECE = 32 << 20
"""bytes of an upload after which the limits are looked at again"""
UPLOADS_PER_DAY = 64 << 30
"""bytes that an account may upload within a day; a server that starts anew begins to count anew"""
AT_ONCE = 32
"""requests of an account at a time; Docker's engine makes five"""
BODY = 4 << 20
"""bytes of a list of tags"""
PAGE = 1000
"""repositories asked for at a time"""
MOST_PAGES = 100

_UP = ("accept", "content-length", "content-range", "content-type", "if-none-match", "range")
_DOWN = (
    *("accept-ranges", "content-length", "content-range", "content-type", "docker-content-digest"),
    *("docker-upload-uuid", "etag", "range"),
)
_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}


@dataclass(frozen=True)
class Visitor:
    """Who makes a request."""

    space: str
    """name space, the first part of all its repositories in the registry behind"""
    writes: bool = True
    """whether it may push"""


@dataclass
class _Uploads:
    """What each name space has uploaded on the present day."""

    day: int = -1
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, space: str, size: int) -> bool:
        """Count some bytes; whether they are still within the limit."""
        today = int(time.time() // 86400)
        if today != self.day:
            self.day, self.sizes = today, {}
        self.sizes[space] = self.sizes.get(space, 0) + size
        return self.sizes[space] <= UPLOADS_PER_DAY


class Front:
    """An ASGI application for all paths below `/v2/`."""

    def __init__(
        self,
        behind: httpx2.AsyncClient,
        authenticate: Callable[[str, str], Visitor | None],
        has_room: Callable[[], bool],
    ) -> None:
        """
        Args:
            behind: asks the registry itself.
            authenticate: the visitor with a user name and password, None if they are wrong; called
                in a thread.
            has_room: whether the registry's disk has room for uploads; called in a thread.
        """
        self._behind = behind
        self._authenticate = authenticate
        self._has_room = has_room
        self._uploads = _Uploads()
        self._at_once: Counter[str] = Counter()  # requests of each name space

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        async with AsyncExitStack() as stack:
            try:
                response = await self._answer(request, stack)
            except Refused as refused:
                response = _refusal(refused)
            except ClientDisconnect:
                return
            except httpx2.HTTPError:
                response = _refusal(Refused(503, "UNAVAILABLE", "the registry does not answer"))
            await response(scope, receive, send)

    async def _answer(self, request: Request, stack: AsyncExitStack) -> Response:
        visitor = await self._visitor(request)
        path = request.scope["raw_path"]
        if path == b"/v2/" and request.method in READ:
            return JSONResponse({}, headers=_VERSION)
        if not visitor.writes and request.method not in READ:
            raise Refused(403, "DENIED", "these credentials may only read")
        self._at_once[visitor.space] += 1
        stack.callback(self._at_once.subtract, [visitor.space])
        if self._at_once[visitor.space] > AT_ONCE:
            raise Refused(429, "TOOMANYREQUESTS", "too many requests at a time")
        if path == b"/v2/_catalog" and request.method == "GET":
            return await self._catalog(visitor.space, request)
        wanted = target(visitor.space, request.method, path, request.scope["query_string"])
        return await self._pass_on(visitor.space, wanted, request, stack)

    async def _visitor(self, request: Request) -> Visitor:
        """Who asks.

        Raises:
            Refused: nobody who is known.
        """
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                text = base64.b64decode(encoded.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                text = ""
            name, _, password = text.partition(":")
            visitor = await run_in_threadpool(self._authenticate, name, password)
            if visitor is not None:
                return visitor
        raise Refused(401, "UNAUTHORIZED", "log in with your registry's user name and password")

    async def _check_limits(self, space: str, size: int) -> None:
        if not self._uploads.add(space, size):
            limit = f"{UPLOADS_PER_DAY >> 30} GiB"
            raise Refused(403, "DENIED", f"your uploads of today exceed {limit}")
        if not await run_in_threadpool(self._has_room):
            raise Refused(403, "DENIED", "the registry's disk is full: tell the host")

    async def _pass_on(
        self, space: str, wanted: Target, request: Request, stack: AsyncExitStack
    ) -> Response:
        headers = {name: request.headers[name] for name in _UP if name in request.headers}
        content = None
        if request.method in ("POST", "PATCH", "PUT"):
            await self._check_limits(space, 0)
            content = self._counted(space, request.stream())
        upstream = self._behind.build_request(
            request.method,
            httpx2.URL(path=wanted.path, query=wanted.query.encode()),
            # Not compressed on the way: lengths and ranges stay those of the content.
            headers={"accept-encoding": "identity"} | headers,
            content=content,
        )
        answer = await self._behind.send(upstream, stream=True)
        stack.push_async_callback(answer.aclose)
        down = _VERSION | {name: answer.headers[name] for name in _DOWN if name in answer.headers}
        try:
            if "location" in answer.headers:
                down["location"] = public_location(space, answer.headers["location"])
            if "link" in answer.headers:
                down["link"] = _public_link(space, answer.headers["link"])
        except ValueError as error:
            raise Refused(502, "UNAVAILABLE", str(error)) from None
        if wanted.path.endswith("/tags/list") and answer.status_code == 200:
            down.pop("content-length", None)
            tags = json.loads(await _bounded(answer))["tags"]
            return JSONResponse({"name": wanted.repository, "tags": tags}, headers=down)
        return StreamingResponse(answer.aiter_raw(), answer.status_code, down)

    async def _counted(self, space: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of an upload, as long as it keeps to the limits."""
        uncounted = 0
        async for piece in pieces:
            uncounted += len(piece)
            if uncounted >= PIECE:
                await self._check_limits(space, uncounted)
                uncounted = 0
            if piece:
                yield piece
        self._uploads.add(space, uncounted)

    async def _catalog(self, space: str, request: Request) -> Response:
        """The repositories of a name space; those of others are not shown."""
        last = request.query_params.get("last", "")
        count = request.query_params.get("n", "")
        names = [name for name in await self._repositories(space) if name > last]
        headers = dict(_VERSION)
        if count.isascii() and count.isdigit() and 0 < int(count[:9]) < len(names):
            names = names[: int(count[:9])]
            more = urlencode({"last": names[-1], "n": count[:9]})
            headers["Link"] = f'</v2/_catalog?{more}>; rel="next"'
        return JSONResponse({"repositories": names}, headers=headers)

    async def _repositories(self, space: str) -> list[str]:
        """All repositories of a name space, sorted, without it."""
        start = f"{space}/"
        names: list[str] = []
        last = space  # the registry sorts them, so ours come directly after this
        for _ in range(MOST_PAGES):
            answer = await self._behind.get("/v2/_catalog", params={"n": PAGE, "last": last})
            found = answer.raise_for_status().json()["repositories"] or []
            ours = [name for name in found if name.startswith(start)]
            names += [name[len(start) :] for name in ours]
            if len(ours) < len(found) or len(found) < PAGE:
                break
            last = found[-1]
        return sorted(names)


async def _bounded(answer: httpx2.Response) -> bytes:
    content = bytearray()
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) > BODY:
            raise Refused(502, "UNAVAILABLE", "the registry's list is too long")
    return bytes(content)


def _public_link(space: str, link: str) -> str:
    location, end, rest = link.removeprefix("<").partition(">")
    return f"<{public_location(space, location)}{end}{rest}"


def _refusal(refused: Refused) -> Response:
    headers = dict(_VERSION)
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Retro Contest registry"'
    errors = [{"code": refused.code, "message": str(refused)}]
    return JSONResponse({"errors": errors}, refused.status, headers)
