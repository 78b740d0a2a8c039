"""The pages of a contest's server: what stands at which address."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from retro_common.errors import UsageError
from retro_contest.board import charts
from retro_contest.board.site import TEMPLATES, page_environment
from retro_contest.server.accounts import Account
from retro_contest.server.contest import Contest
from retro_contest.server.http.rest import submit, with_session
from retro_contest.server.http.web import COOKIE, Problem
from retro_contest.server.images import LocalAgents
from retro_contest.server.jobs import FINISHED, Job
from retro_contest.server.pages import files
from retro_contest.server.pages.forms import Visit, page
from retro_contest.server.pages.live import moment, show_job, show_run
from retro_contest.server.settings import FINAL, OPEN
from retro_contest.tables import duration

SHOWN = 200  # jobs of an account on its page
PLAYING = 20  # jobs on the public page


def page_routes(contest: Contest) -> list[BaseRoute]:
    """The routes of all pages. The last one takes every path that no other takes."""
    templates = page_environment(TEMPLATES, Path(__file__).with_name("templates"))
    templates.filters["duration"] = duration
    templates.filters["breakable"] = _breakable
    templates.filters["state_of"] = lambda level: level.name.partition("/")[2]
    templates.globals |= {"contest": contest.settings.name, "root": "/"}

    def get(path: str, handler: Any) -> BaseRoute:
        return page(path, handler, templates)

    def post(path: str, handler: Any, login: bool = False) -> BaseRoute:
        return page(path, handler, templates, "POST", login=login)

    return [
        get("/contest", show_contest),
        get("/contest/live", show_now),
        get("/login", ask_login),
        post("/login", log_in, login=True),
        post("/logout", log_out),
        get("/register", ask_registration),
        post("/register", register, login=True),
        get("/submit", ask_submission),
        post("/submit", take_submission),
        get("/jobs", show_jobs),
        get("/jobs/live", show_jobs_live),
        get("/jobs/{id:int}", show_one_job),
        get("/jobs/{id:int}/live", show_one_job_live),
        post("/jobs/{id:int}/cancel", cancel),
        post("/jobs/{id:int}/restart", restart),
        get("/{path:path}", files.board),
    ]


def _breakable(text: str) -> Markup:
    """A name that may go on in the next line after a point."""
    return Markup(escape(text).replace(".", Markup(".<wbr>")))


# --- the contest, for everybody ---


def show_contest(visit: Visit) -> Response:
    """The phases, their limits, and what is played now."""
    contest = visit.call.contest
    revealed = contest.phases.revealed
    return visit.page(
        "contest.html",
        here="/contest",
        **_now(contest),
        open=_phase(contest, OPEN),
        final=_phase(contest, FINAL),
        revealed=moment(revealed),
        limits=contest.settings.limits,
        commitment=contest.phases.commitment,
        disclosed=contest.phases.disclosed(),
    )


def show_now(visit: Visit) -> Response:
    """What is played now, as a part of a page."""
    return HTMLResponse(visit.text("contest_live.html", **_now(visit.call.contest)))


def _now(contest: Contest) -> dict[str, Any]:
    active = contest.jobs.active()
    playing = [job for job in active if job.state == "running"]
    if contest.phases.revealed:
        phase_line = "The final is revealed."
    elif contest.jobs.active(FINAL):
        phase_line = "The final is being played; its scores are hidden until the end."
    else:
        phase_line = "The open phase: scores stand on the board at once."
    return {
        "playing": [show_job(contest, job) for job in playing[:PLAYING]],
        "waiting": len(active) - len(playing),
        "phase_line": phase_line,
    }


def _phase(contest: Contest, name: str) -> dict[str, Any] | None:
    try:
        words, levels = contest.phases.levels(name)
    except UsageError:
        if name == FINAL:
            return None
        words, levels = contest.phases.settings(name).levels, []
    # Several levels that have no name together: the page lists them.
    title = "" if "," in words or "/" in words else words
    return {"title": title, "levels": levels, "settings": contest.phases.settings(name)}


# --- accounts ---


def ask_login(visit: Visit) -> Response:
    """The form to log in."""
    after = _after(visit.call.request.query_params.get("next", ""))
    if visit.call.visitor is not None:
        return RedirectResponse(after, 303)
    return _login_page(visit, after)


def log_in(visit: Visit) -> Response:
    """Log in, and go on to the page that asked for it."""
    after = _after(visit.form.get("next", ""))
    try:
        account = visit.call.service.log_in(
            visit.call.place, visit.form.get("name"), visit.form.get("password")
        )
    except Problem as problem:
        response = _login_page(visit, after, str(problem), problem.status)
        response.headers.update(problem.headers)
        return response
    return _begin_session(visit, account, after)


def _login_page(visit: Visit, after: str, error: str = "", status: int = 200) -> Response:
    return visit.page(
        "login.html",
        status=status,
        here="/login",
        next=after,
        name=visit.form.get("name", ""),
        error=error,
        invitation=visit.call.contest.settings.registration == "invitation",
    )


def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.call.contest.accounts.end_session(visit.cookie)
    response = RedirectResponse("/", 303)
    response.delete_cookie(COOKIE)
    return response


def ask_registration(visit: Visit) -> Response:
    """The form to make an account with an invitation."""
    _check_registration(visit)
    form = {
        "invitation": visit.call.request.query_params.get("invitation", ""),
        "name": "",
        "email": "",
    }
    return visit.page("register.html", form=form)


def register(visit: Visit) -> Response:
    """Make an account, and log in."""
    _check_registration(visit)
    names = ("invitation", "name", "email", "password")
    form = {name: visit.form.get(name, "") for name in names}
    try:
        account = _make_account(visit, form)
    except (UsageError, Problem) as error:
        status = error.status if isinstance(error, Problem) else 400
        return visit.page("register.html", status=status, form=form, error=str(error))
    return _begin_session(visit, account, "/submit")


def _make_account(visit: Visit, form: dict[str, str]) -> Account:
    failures, place = visit.call.service.place_failures, visit.call.place
    if failures.wait(place) > 0:
        raise Problem(429, "too many failures: wait some minutes")
    failures.note(place)
    return visit.call.contest.accounts.register(
        form["invitation"], form["name"], form["password"], form["email"]
    )


def _check_registration(visit: Visit) -> None:
    if visit.call.contest.settings.registration != "invitation":
        raise Problem(404, "accounts are made by the host of this contest")


def _begin_session(visit: Visit, account: Account, after: str) -> Response:
    if visit.cookie:
        visit.call.contest.accounts.end_session(visit.cookie)
    return with_session(visit.call, account, RedirectResponse(after, 303))


def _after(path: str) -> str:
    """Where to go on after the login: a page of ours, whatever the address said."""
    parts = urlsplit(path.replace("\\", "/"))
    ours = path.isascii() and path.startswith("/") and not path.startswith("//")
    return parts.path if ours and not (parts.scheme or parts.netloc) else "/jobs"


# --- submissions ---


def ask_submission(visit: Visit) -> Response:
    """How to submit, and the form."""
    return _submission_page(visit)


def take_submission(visit: Visit) -> Response:
    """Submit an image, and go on to the page of its job."""
    account, tag = visit.call.account, visit.form.get("tag", "").strip()
    try:
        job = submit(visit.call.service, account, tag)
    except (UsageError, Problem) as error:
        status = error.status if isinstance(error, Problem) else 400
        return _submission_page(visit, str(error), status, tag)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _submission_page(visit: Visit, error: str = "", status: int = 200, tag: str = "") -> Response:
    contest, account = visit.call.contest, visit.call.visitor
    registry, why = None, ""
    agents = list(contest.settings.agents) if isinstance(contest.registry, LocalAgents) else []
    if account is not None and not agents:
        try:
            registry = contest.registry.credentials(account)
        except UsageError as missing:
            why = str(missing)
    return visit.page(
        "submit.html",
        status=status,
        here="/submit",
        error=error,
        tag=tag,
        agents=agents,
        registry=registry,
        no_registry=why,
        limits=contest.settings.limits,
        left_today=contest.jobs.left_today(account) if account else 0,
        server=_server(visit),
    )


def _server(visit: Visit) -> str:
    """The server's address for programs."""
    url = visit.call.request.url
    return f"{url.scheme}://{visit.call.contest.settings.address or url.netloc}"


def show_jobs(visit: Visit) -> Response:
    """The visitor's submissions."""
    jobs = _jobs(visit)
    return visit.page(
        "jobs.html",
        here="/jobs",
        jobs=[show_job(visit.call.contest, job) for job in jobs[:SHOWN]],
        history=_history(jobs),
    )


def show_jobs_live(visit: Visit) -> Response:
    """The same as a part of a page."""
    jobs = [show_job(visit.call.contest, job) for job in _jobs(visit)[:SHOWN]]
    return HTMLResponse(visit.text("jobs_live.html", jobs=jobs))


def _jobs(visit: Visit) -> list[Job]:
    """The visitor's jobs, the latest first."""
    account, jobs = visit.call.account, visit.call.contest.jobs
    found = [*jobs.of(account, OPEN), *jobs.of(account, FINAL)]
    return sorted(found, key=lambda job: job.id, reverse=True)


def _history(jobs: list[Job]) -> Any:
    """Chart of the scores of finished jobs of the open phase; None with fewer than two."""
    scored = [
        (moment(job.created)[:10], job.score)
        for job in reversed(jobs)
        if job.phase == OPEN and job.state == FINISHED and job.score is not None
    ]
    if len(scored) < 2:
        return None
    best = np.maximum.accumulate([score for _, score in scored]).tolist()
    points = [(day, score, None) for day, score in scored]
    return charts.history_chart(points, best, "Score of each submission")


def show_one_job(visit: Visit) -> Response:
    """A submission, for its owner."""
    job = visit.call.own_job()
    films = [] if visit.call.contest.phases.is_hidden(job) else files.films(visit.call.contest, job)
    return visit.page("job.html", here="/jobs", films=films, **_one_job(visit, job))


def show_one_job_live(visit: Visit) -> Response:
    """The same as a part of a page."""
    job = visit.call.own_job()
    headers = {} if job.is_active else {"X-Ended": "1"}
    return HTMLResponse(visit.text("job_live.html", **_one_job(visit, job)), headers=headers)


def _one_job(visit: Visit, job: Job) -> dict[str, Any]:
    contest = visit.call.contest
    runs = [] if contest.phases.is_hidden(job) else contest.jobs.runs(job)
    return {
        "job": show_job(contest, job),
        "runs": [show_run(run) | {"logs": files.logs(job, run)} for run in runs],
        "several": len({run.seed for run in runs}) > 1,
        "left_today": contest.jobs.left_today(visit.call.account),
    }


def cancel(visit: Visit) -> Response:
    """Cancel a submission."""
    job = visit.call.own_job()
    if job.phase == FINAL:
        raise Problem(409, "the jobs of the final are the host's")
    visit.call.contest.jobs.cancel(job)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def restart(visit: Visit) -> Response:
    """Play a submission again, as a new one."""
    job = visit.call.own_job()
    visit.call.service.count_submit(visit.call.account)
    again = visit.call.contest.jobs.restart(visit.call.account, job)
    return RedirectResponse(f"/jobs/{again.id}", 303)
