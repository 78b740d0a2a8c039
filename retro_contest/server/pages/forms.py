"""Pages and forms over HTTP: who asks, what a form holds, how a mistake is shown.

Like `retro_contest.server.http.web`, for people: a handler gets a `Visit` and returns a response.
Every form that a logged-in visitor sends carries a mark that follows from the cookie of the
session: another site cannot know it, whatever the browser says of the form's origin.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

import anyio
import jinja2
from markupsafe import Markup
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from retro_common.errors import UsageError
from retro_contest.server.accounts import Account
from retro_contest.server.contest import Contest
from retro_contest.server.http.web import COOKIE, Problem, Service, is_foreign, place_of
from retro_contest.server.jobs import Job

FORM_BYTES = 16 << 10
FORM_SECONDS = 20.0
MARK = "mark"  # the form's field with the session's mark


@dataclass(frozen=True)
class Visit:
    """A request of a person."""

    service: Service
    """the contest and its limits"""
    templates: jinja2.Environment
    """of the pages"""
    request: Request
    """the request; its form was read"""
    form: dict[str, str]
    """the fields of the form that was sent; empty without one"""

    @property
    def contest(self) -> Contest:
        """The contest."""
        return self.service.contest

    @property
    def cookie(self) -> str:
        """The cookie of the session; empty without one."""
        return self.request.cookies.get(COOKIE, "")

    @property
    def visitor(self) -> Account | None:
        """Who asks; None without a login."""
        return self.contest.accounts.of_session(self.cookie) if self.cookie else None

    @property
    def account(self) -> Account:
        """Who asks.

        Raises:
            LoginNeeded: nobody has logged in.
        """
        visitor = self.visitor
        if visitor is None:
            raise LoginNeeded
        return visitor

    @property
    def place(self) -> str:
        """Where the request comes from."""
        return place_of(self.request)

    def own_job(self) -> Job:
        """The job of the path's `id`, which must be the visitor's.

        Raises:
            LoginNeeded: nobody has logged in.
            Problem: there is none, also for a job of somebody else.
        """
        account = self.account
        job = self.contest.jobs.get(self.request.path_params["id"])
        if job is None or job.account != account.id:
            raise Problem(404, "you have no such submission")
        return job

    def page(self, template: str, *, status: int = 200, here: str = "", **values: Any) -> Response:
        """A page.

        Args:
            template: its file.
            status: HTTP status.
            here: path of the navigation's entry that it belongs to.
            values: for the template.
        """
        return HTMLResponse(self.text(template, here=here, **values), status)

    def text(self, template: str, **values: Any) -> str:
        """A page, or a part of one, as HTML."""
        field = f'<input type="hidden" name="{MARK}" value="{mark(self.cookie)}">'
        shared = {"visitor": self.visitor, "csrf": Markup(field), "here": "", "error": ""}
        return self.templates.get_template(template).render(**shared | values)


class LoginNeeded(Exception):
    """Nobody has logged in."""


Handler = Callable[[Visit], Response]


def mark(cookie: str) -> str:
    """What a form of a session carries."""
    return hmac.new(cookie.encode(errors="surrogatepass"), b"form", hashlib.sha256).hexdigest()


def page(
    path: str,
    handler: Handler,
    templates: jinja2.Environment,
    method: str = "GET",
    *,
    slow: bool = False,
) -> Route:
    """The route of a page, or of a form.

    Args:
        path: as in Starlette.
        handler: answers, in a thread.
        templates: of the pages.
        method: GET for a page; POST for a form.
        slow: whether the handler hashes a password: few such run at once.
    """

    async def endpoint(request: Request) -> Response:
        limiter = request.app.state.passwords if slow else None
        form: dict[str, str] = {}
        visit = Visit(request.app.state.service, templates, request, form)
        try:
            if method == "POST":
                form |= await _read_form(request)
            return await anyio.to_thread.run_sync(_answer, visit, handler, limiter=limiter)
        except Problem as problem:
            return await anyio.to_thread.run_sync(_sorry, visit, problem)

    return Route(path, endpoint, methods=[method])


def _answer(visit: Visit, handler: Handler) -> Response:
    try:
        if visit.request.method == "POST":
            _check_origin(visit)
        return handler(visit)
    except LoginNeeded:
        if "x-refresh" in visit.request.headers:
            return Response(status_code=401)
        # After a form, its page: the form would have to be sent again.
        back = quote(visit.request.url.path if visit.request.method == "GET" else "/jobs")
        return RedirectResponse(f"/login?next={back}", 303)
    except UsageError as error:
        return _sorry(visit, Problem(400, str(error)))


def _check_origin(visit: Visit) -> None:
    """Refuse forms that another site has made a visitor's browser send."""
    if is_foreign(visit.request):
        raise Problem(403, "a page of another site has sent this form")
    if visit.visitor is not None and not hmac.compare_digest(
        visit.form.get(MARK, "").encode(), mark(visit.cookie).encode()
    ):
        raise Problem(403, "this form is out of date: go back, load the page again, and repeat")


def _sorry(visit: Visit, problem: Problem) -> Response:
    title = "Not found" if problem.status == 404 else "That did not work"
    response = visit.page("message.html", status=problem.status, title=title, text=str(problem))
    response.headers.update(problem.headers)
    return response


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        Problem: it is none (400), too big (413), or too slow (408).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "this is not a form of these pages")
    content = bytearray()
    try:
        with anyio.fail_after(FORM_SECONDS):
            async for piece in request.stream():
                content += piece
                if len(content) > FORM_BYTES:
                    raise Problem(413, "the form is too long", {"Connection": "close"})
    except TimeoutError:
        raise Problem(408, "the form took too long") from None
    except ClientDisconnect:
        raise Problem(400, "the form is not whole") from None
    try:
        return dict(
            parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
        )
    except ValueError:
        raise Problem(400, "the form is not whole") from None
