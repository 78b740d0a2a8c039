"""This kit's own API, `/api/v1`: JSON, and a bearer token instead of a cookie.

An error is `{"error": "one line"}`. What belongs to somebody else does not exist (404).
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gym_remote import __version__
from retro_contest.board import export
from retro_contest.server import views
from retro_contest.server.accounts import Account
from retro_contest.server.http import files
from retro_contest.server.http.rest import submit
from retro_contest.server.http.web import Call, Problem, route
from retro_contest.server.jobs import Job
from retro_contest.server.settings import FINAL, OPEN


def contest(call: Call) -> Response:
    """GET contest: name, phases, limits, and the commitment to the secret of the final."""
    found = call.contest
    settings = found.settings
    return JSONResponse(
        {
            "name": settings.name,
            "version": __version__,
            "registration": settings.registration,
            "limits": {
                "jobs_per_day": settings.limits.jobs_per_day,
                "active_jobs": settings.limits.active_jobs,
            },
            "phases": {
                OPEN: _phase(call, OPEN) | {"levels": settings.open.levels},
                FINAL: _phase(call, FINAL) | {"revealed": found.phases.revealed is not None},
            },
            "secret_sha256": found.phases.commitment,
            "disclosed": found.phases.disclosed(),
        }
    )


def _phase(call: Call, name: str) -> dict[str, Any]:
    phase = call.contest.settings.phase(name)
    rules = phase.rules
    return {"seeds": phase.seeds, "timesteps": rules.timesteps, "wallclock": rules.wallclock}


def health(call: Call) -> Response:
    """GET health: whether an executor lives; for monitoring."""
    alive = call.contest.executor_is_alive()
    waiting = sum(job.state == "queued" for job in call.contest.jobs.active())
    return JSONResponse({"executor": alive, "waiting": waiting}, 200 if alive else 503)


# --- accounts ---


def login(call: Call) -> Response:
    """POST login {name, password, label?}: a token."""
    name, password = call.text("name"), call.text("password", most=1000)
    account = call.service.log_in(call.place, name, password)
    return _token(call, account, call.text("label", "log-in"))


def register(call: Call) -> Response:
    """POST register {invitation, name, password, email?}: an account, and a token."""
    if call.contest.settings.registration == "closed":
        raise Problem(403, "this contest makes no accounts by itself: ask its host")
    wait = call.service.place_failures.wait(call.place)
    if wait > 0:
        raise Problem(429, "too many failures: wait some minutes", {"Retry-After": str(int(wait))})
    call.service.place_failures.note(call.place)
    account = call.contest.accounts.register(
        call.text("invitation"),
        call.text("name"),
        call.text("password", most=1000),
        call.text("email", ""),
    )
    return _token(call, account, "log-in", 201)


def _token(call: Call, account: Account, label: str, status: int = 200) -> Response:
    token = call.contest.accounts.new_token(account, label)
    return JSONResponse({"token": token, "name": account.username}, status)


def logout(call: Call) -> Response:
    """POST logout: the token of this request ends."""
    _ = call.account
    _, _, token = call.request.headers.get("authorization", "").partition(" ")
    call.contest.accounts.end_token(token.strip())
    return Response(status_code=204)


def user(call: Call) -> Response:
    """GET user: oneself, and how many jobs are left today."""
    account = call.account
    return JSONResponse(
        {
            "name": account.username,
            "email": account.email,
            "jobs_left_today": call.contest.jobs.left_today(account),
        }
    )


def registry(call: Call) -> Response:
    """GET registry: where to push images, and how to log in there."""
    return JSONResponse(call.contest.registry.credentials(call.account))


def password(call: Call) -> Response:
    """POST password {old, new}: another password; all sessions and tokens end."""
    account = call.account
    call.service.log_in(call.place, account.username, call.text("old", most=1000))
    call.contest.accounts.set_password(account, call.text("new", most=1000))
    return Response(status_code=204)


def tokens(call: Call) -> Response:
    """GET tokens: one's tokens, without their secrets."""
    found = call.contest.accounts.tokens(call.account)
    return JSONResponse(
        [
            {"id": each.id, "label": each.label, "created": views.time(each.created)}
            for each in found
        ]
    )


def new_token(call: Call) -> Response:
    """POST tokens {label}: another token."""
    return _token(call, call.account, call.text("label"), 201)


def revoke(call: Call) -> Response:
    """DELETE tokens/ID: a token ends."""
    if not call.contest.accounts.revoke(call.account, call.request.path_params["id"]):
        raise Problem(404, "you have no such token")
    return Response(status_code=204)


# --- jobs ---


def start(call: Call) -> Response:
    """POST jobs {tag}: submit the image that was pushed with a tag."""
    return _job(call, submit(call.service, call.account, call.text("tag")), 201)


def jobs(call: Call) -> Response:
    """GET jobs: one's jobs of both phases, the oldest first."""
    account = call.account
    found = [*call.contest.jobs.of(account, OPEN), *call.contest.jobs.of(account, FINAL)]
    return JSONResponse([views.job(call.contest, job, owner=True) for job in found])


def job(call: Call) -> Response:
    """GET jobs/ID: one's job."""
    return _job(call, call.own_job())


def current(call: Call) -> Response:
    """GET jobs/current: the job that is played, or waits, or was the last."""
    found = call.contest.jobs.current(call.account)
    if found is None:
        raise Problem(404, "you have submitted nothing yet")
    return _job(call, found)


def cancel(call: Call) -> Response:
    """POST jobs/ID/cancel."""
    own = call.own_job()
    if own.phase == FINAL:
        raise Problem(409, "the jobs of the final are the host's")
    return _job(call, call.contest.jobs.cancel(own))


def restart(call: Call) -> Response:
    """POST jobs/ID/restart: a new job with the same image."""
    own = call.own_job()
    call.service.count_submit(call.account)
    return _job(call, call.contest.jobs.restart(call.account, own), 201)


def _job(call: Call, found: Job, status: int = 200) -> Response:
    return JSONResponse(views.job(call.contest, found, owner=True), status)


# --- for everybody ---


def activity(call: Call) -> Response:
    """GET activity: the jobs that are played or wait, with their scores so far."""
    found = call.contest.jobs.active()
    return JSONResponse([views.job(call.contest, each, owner=False) for each in found])


def board_json(call: Call) -> Response:
    """GET board.json[?phase=final]: the boards, as `retro-contest board` writes them."""
    return Response(export.as_json(_boards(call)), media_type="application/json")


def board_csv(call: Call) -> Response:
    """GET board.csv[?phase=final]."""
    return Response(export.as_csv(_boards(call)), media_type="text/csv")


def _boards(call: Call) -> Any:
    phase = call.request.query_params.get("phase", OPEN)
    if phase not in (OPEN, FINAL):
        raise Problem(400, f"the phases are {OPEN} and {FINAL}")
    if phase == FINAL and call.contest.phases.revealed is None:
        raise Problem(404, "the final is not revealed yet")
    return call.contest.standings.boards(phase)


API = "/api/v1"
ROUTES: list[Route] = [
    route(f"{API}/contest", contest),
    route(f"{API}/health", health),
    route(f"{API}/login", login, "POST", body=True, slow=True),
    route(f"{API}/register", register, "POST", body=True, slow=True),
    route(f"{API}/logout", logout, "POST"),
    route(f"{API}/user", user),
    route(f"{API}/registry", registry),
    route(f"{API}/password", password, "POST", body=True, slow=True),
    route(f"{API}/tokens", tokens),
    route(f"{API}/tokens", new_token, "POST", body=True),
    route(f"{API}/tokens/{{id:int}}", revoke, "DELETE"),
    route(f"{API}/jobs", jobs),
    route(f"{API}/jobs", start, "POST", body=True),
    route(f"{API}/jobs/current", current),
    route(f"{API}/jobs/{{id:int}}", job),
    route(f"{API}/jobs/{{id:int}}/cancel", cancel, "POST"),
    route(f"{API}/jobs/{{id:int}}/restart", restart, "POST"),
    route(f"{API}/jobs/{{id:int}}/logs", files.logs),
    route(f"{API}/jobs/{{id:int}}/results.tar", files.results),
    route(f"{API}/jobs/{{id:int}}/films", files.films),
    route(f"{API}/jobs/{{id:int}}/films/{{name:path}}", files.film),
    route(f"{API}/activity", activity),
    route(f"{API}/board.json", board_json),
    route(f"{API}/board.csv", board_csv),
]
