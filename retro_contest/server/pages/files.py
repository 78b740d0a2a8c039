"""Files that pages show: the board as it was last written; logs and films for their owner."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.responses import FileResponse, HTMLResponse, Response

from retro_contest.board.site import CHOICES, TEMPLATES
from retro_contest.runs.results import FILMS_FOLDER
from retro_contest.server.contest import Contest
from retro_contest.server.http.web import Problem
from retro_contest.server.jobs import Job, RunState
from retro_contest.server.pages.forms import Visit
from retro_contest.server.pages.publisher import site_folder

LOGS = {"agent": "agent.log", "server": "server.log"}
OURS = {
    "style.css": TEMPLATES,
    "board.js": TEMPLATES,
    "live.js": Path(__file__).parent,
    "icon.svg": Path(__file__).parent,
}
"""files of the kit itself"""
KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".csv": "text/csv",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
FRESH = {"Cache-Control": "no-cache"}  # kept, but asked for each time whether it has changed


def board(visit: Visit) -> Response:
    """A page or a file of the board's site."""
    path = visit.request.path_params["path"] or "index.html"
    if path in OURS:
        return _file(OURS[path] / path, FRESH)
    site = site_folder(visit.contest.places)
    if site is None and path == "index.html":
        return visit.page(
            "message.html",
            status=503,
            title=visit.contest.settings.name,
            text="The board is being written for the first time: load the page again in a moment.",
        )
    if site is not None:
        file = (site / path).resolve()
        if file.is_relative_to(site) and file.is_file() and file.suffix in KINDS:
            return _file(file, FRESH)
    raise Problem(404, "there is no such page")


def log(visit: Visit) -> Response:
    """The log of a run, for the owner of its job."""
    job, parts = visit.own_job(), visit.request.path_params
    for run in _shown_runs(visit.contest, job):
        if (run.level, f"seed-{run.seed}") == (f"{parts['game']}/{parts['state']}", parts["run"]):
            name = LOGS.get(parts["name"].removesuffix(".log"))
            file = _run_folder(visit.contest, job, run) / (name or "")
            if name is not None and _is_plain(file):
                headers = {"Content-Disposition": "inline", "Content-Security-Policy": "sandbox"}
                return FileResponse(file, media_type="text/plain; charset=utf-8", headers=headers)
    raise Problem(404, "there is no such log")


def logs(contest: Contest, job: Job, run: RunState) -> list[tuple[str, str]]:
    """Names and addresses of a run's logs."""
    folder = _run_folder(contest, job, run)
    level = quote(run.level)
    return [
        (name, f"/jobs/{job.id}/logs/{level}/seed-{run.seed}/{file}")
        for name, file in LOGS.items()
        if _is_plain(folder / file)
    ]


def film(visit: Visit) -> Response:
    """A film of a job, or its poster, for its owner."""
    job, parts = visit.own_job(), visit.request.path_params
    for path in _film_files(visit.contest, job):
        if (path.parent.name, path.name) == (parts["game"], parts["name"]):
            kind = "video/mp4" if path.suffix == ".mp4" else "image/png"
            return FileResponse(path, media_type=kind, headers={"Cache-Control": "private"})
    raise Problem(404, "there is no such film")


def films(contest: Contest, job: Job) -> list[dict[str, Any]]:
    """The films of a job: level, choice, address, and that of its poster."""
    there = list(_film_files(contest, job))
    found = []
    for path in there:
        if path.suffix != ".mp4":
            continue
        state, _, choice = path.stem.rpartition("-")
        address = f"/jobs/{job.id}/films/{quote(path.parent.name)}/{quote(path.stem)}"
        found.append(
            {
                "level": f"{path.parent.name}/{state}",
                "choice": choice,
                "path": f"{address}.mp4",
                "poster": f"{address}.png" if path.with_suffix(".png") in there else None,
            }
        )
    return found


def _film_files(contest: Contest, job: Job) -> Iterator[Path]:
    folder = contest.places.results(job.phase, job.id) / FILMS_FOLDER
    for level in sorted({run.level for run in _shown_runs(contest, job)}):
        for choice in CHOICES:
            for end in (".mp4", ".png"):
                path = folder / f"{level}-{choice}{end}"
                if _is_plain(path):
                    yield path


def _shown_runs(contest: Contest, job: Job) -> list[RunState]:
    """The runs of a job, unless it is of a hidden final."""
    return [] if contest.phases.is_hidden(job) else contest.jobs.runs(job)


def _run_folder(contest: Contest, job: Job, run: RunState) -> Path:
    return contest.places.results(job.phase, job.id) / run.level / f"seed-{run.seed}"


def _is_plain(path: Path) -> bool:
    """Whether it is a file, and no link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _file(path: Path, headers: dict[str, str]) -> Response:
    kind = KINDS[path.suffix]
    try:
        return FileResponse(
            path, media_type=kind, headers=headers, stat_result=os.stat(path)
        )
    except OSError:
        return HTMLResponse("", 404)
