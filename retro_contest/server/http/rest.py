"""The eight calls of the contest of 2018, as its client makes them.

Its client knows no ids of the jobs that it starts, has one current job, and keeps every cookie of
the answer to its login. `job cancel` and `job restart` have no body.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retro_contest.server import views
from retro_contest.server.accounts import SESSION_SECONDS, Account
from retro_contest.server.contest import Contest
from retro_contest.server.http.web import COOKIE, Call, Problem, Service, route
from retro_contest.server.jobs import Job


def login(call: Call) -> Response:
    """POST /rest/login: an e-mail address, or a name, and a password."""
    account = call.service.log_in(call.place, call.body.get("email"), call.body.get("password"))
    return with_session(call, account, JSONResponse({}))


def with_session(call: Call, account: Account, response: Response) -> Response:
    """The response with the cookie of a new session."""
    response.set_cookie(
        COOKIE,
        call.contest.accounts.new_session(account),
        max_age=int(SESSION_SECONDS),
        secure=call.request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


def leaderboard(call: Call) -> Response:
    """GET /rest/leaderboard: names and scores, the best first; for everybody."""
    rows = [{"name": name, "score": score} for name, score in call.contest.standings.leaderboard()]
    return JSONResponse({"leaderboard": rows, "start": 1})


def user(call: Call) -> Response:
    """GET /rest/user: where to push images, and how to log in there."""
    return JSONResponse({"cr": call.contest.registry.credentials(call.account)})


def start(call: Call) -> Response:
    """POST /rest/job/start: submit the image that was pushed with a tag."""
    submit(call.service, call.account, call.text("tag"))
    return JSONResponse({})


def submit(service: Service, account: Account, tag: str) -> Job:
    """Queue the image that an account has pushed with a tag; its digest is pinned here.

    Raises:
        UsageError: the registry has no such image, or a limit is reached.
    """
    service.count_submit(account)
    digest = service.contest.registry.resolve(account, tag)
    return service.contest.jobs.submit(account, tag, digest)


def status(call: Call) -> Response:
    """GET /rest/job/status[/ID]: the current job, or one's own job with this number."""
    return JSONResponse(views.job_of_2018(call.contest, _job(call)))


def status_all(call: Call) -> Response:
    """GET /rest/job/status/all: all of one's jobs."""
    jobs = call.contest.jobs.of(call.account)
    return JSONResponse([views.job_of_2018(call.contest, job) for job in jobs])


def kill(call: Call) -> Response:
    """POST /rest/job/kill: cancel the current job."""
    job = _current(call.contest, call.account)
    if not job.is_active:
        raise _no_job()
    call.contest.jobs.cancel(job)
    return Response(status_code=204)


def restart(call: Call) -> Response:
    """POST /rest/job/restart[/ID]: play the current job, or the one with this number, again."""
    job = _job(call)
    call.service.count_submit(call.account)
    call.contest.jobs.restart(call.account, job)
    return JSONResponse({})


def _job(call: Call) -> Job:
    if "id" in call.request.path_params:
        return call.own_job()
    return _current(call.contest, call.account)


def _current(contest: Contest, account: Account) -> Job:
    job = contest.jobs.current(account)
    if job is None:
        raise _no_job()
    return job


def _no_job() -> Problem:
    return Problem(404, "no job found")


ROUTES: list[Route] = [
    route("/rest/login", login, "POST", body=True, slow=True),
    route("/rest/leaderboard", leaderboard),
    route("/rest/user", user),
    route("/rest/job/start", start, "POST", body=True),
    route("/rest/job/status", status),
    route("/rest/job/status/all", status_all),
    route("/rest/job/status/{id:int}", status),
    route("/rest/job/kill", kill, "POST"),
    route("/rest/job/restart", restart, "POST"),
    route("/rest/job/restart/{id:int}", restart, "POST"),
]
