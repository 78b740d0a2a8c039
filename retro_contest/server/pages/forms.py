"""Pages and forms: who asks, what a form holds, how a mistake is shown.

As `retro_contest.server.http.web` does for programs: a handler gets a `Visit`, runs in a thread,
and returns a response. Every form of a visitor who has logged in carries a mark that follows from
the cookie of the session: another site cannot know it, whatever a browser says of a form's origin.
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
from retro_contest.server.http.web import COOKIE, Call, Problem, is_foreign, visitor_of
from retro_contest.server.jobs import Conflict, LimitReached

FORM_BYTES = 16 << 10
FORM_SECONDS = 20.0
MARK = "mark"  # the form's field with the session's mark


@dataclass(frozen=True)
class Visit:
    """A request of a person."""

    call: Call
    """the request, and who makes it"""
    templates: jinja2.Environment
    """of the pages"""
    form: dict[str, str]
    """the fields of the form that was sent; empty without one"""

    @property
    def cookie(self) -> str:
        """The cookie of the session; empty without one."""
        return self.call.request.cookies.get(COOKIE, "")

    def page(self, template: str, *, status: int = 200, here: str = "", **values: Any) -> Response:
        """A page.

        Args:
            template: its file.
            status: HTTP status.
            here: address of the navigation's entry that it belongs to.
            values: for the template.
        """
        return HTMLResponse(self.text(template, here=here, **values), status)

    def text(self, template: str, **values: Any) -> str:
        """A page, or a part of one, as HTML."""
        field = Markup('<input type="hidden" name="{}" value="{}">').format(MARK, mark(self.cookie))
        shared = {"visitor": self.call.visitor, "mark": field, "here": "", "error": ""}
        return self.templates.get_template(template).render(shared | values)


Handler = Callable[[Visit], Response]


def mark(cookie: str) -> str:
    """What the forms of a session carry."""
    return hmac.new(cookie.encode(errors="surrogatepass"), b"form", hashlib.sha256).hexdigest()


def page(
    path: str,
    handler: Handler,
    templates: jinja2.Environment,
    method: str = "GET",
    *,
    login: bool = False,
) -> Route:
    """The route of a page, or of a form.

    Args:
        path: as in Starlette.
        handler: answers.
        templates: of the pages.
        method: GET for a page, POST for a form.
        login: whether the form begins a session: then it needs no mark of one, and hashes a
            password, which few do at once.
    """

    async def endpoint(request: Request) -> Response:
        limiter = request.app.state.passwords if login else None
        form: dict[str, str] = {}
        wrong: Problem | None = None
        if method == "POST":
            try:
                form = await _read_form(request)
            except Problem as problem:
                wrong = problem
        return await anyio.to_thread.run_sync(
            _answer, request, templates, form, wrong, handler, login, limiter=limiter
        )

    return Route(path, endpoint, methods=[method])


def _answer(
    request: Request,
    templates: jinja2.Environment,
    form: dict[str, str],
    wrong: Problem | None,
    handler: Handler,
    login: bool,
) -> Response:
    service = request.app.state.service
    visit = Visit(Call(service, request, {}, None), templates, form)
    try:
        if wrong is not None:
            raise wrong
        visitor = visitor_of(service.contest, request)
        visit = Visit(Call(service, request, {}, visitor), templates, form)
        if request.method == "POST" and is_foreign(request):
            raise Problem(403, "a page of another site has sent this form")
        if request.method == "POST" and visitor is not None and not login:
            _check_mark(visit)
        return handler(visit)
    except Problem as problem:
        if problem.status == 401 and request.method == "GET":
            return _to_login(request)
        return _sorry(visit, problem)
    except LimitReached as error:
        return _sorry(visit, Problem(429, str(error)))
    except Conflict as error:
        return _sorry(visit, Problem(409, str(error)))
    except UsageError as error:
        return _sorry(visit, Problem(400, str(error)))


def _check_mark(visit: Visit) -> None:
    """Refuse a form that another site has made a visitor's browser send.

    Raises:
        Problem: it is one.
    """
    given = visit.form.get(MARK, "").encode(errors="surrogatepass")
    if not hmac.compare_digest(given, mark(visit.cookie).encode()):
        raise Problem(403, "this form is too old: load its page again, and repeat")


def _to_login(request: Request) -> Response:
    if "x-refresh" in request.headers:
        return Response(status_code=401)  # the page then loads itself anew
    return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)


def _sorry(visit: Visit, problem: Problem) -> Response:
    title = "Not found" if problem.status == 404 else "That did not work"
    response = visit.page("message.html", status=problem.status, title=title, text=str(problem))
    response.headers.update(problem.headers)
    return response


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        Problem: it is none (415, 400), too big (413), or too slow (408).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "this is no form of these pages")
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
        fields = parse_qsl(
            content.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict"
        )
    except ValueError:
        raise Problem(400, "the form is damaged") from None
    return dict(fields)
