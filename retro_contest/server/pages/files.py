"""Files that pages show: the board as it was last written, and where a job's logs and films are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import FileResponse, Response

from retro_contest.board.site import CHOICES, TEMPLATES
from retro_contest.runs.results import FILMS_FOLDER
from retro_contest.server.contest import Contest
from retro_contest.server.http.files import SIDES
from retro_contest.server.http.web import Problem
from retro_contest.server.jobs import Job, RunState
from retro_contest.server.pages.forms import Visit
from retro_contest.server.pages.publisher import site_folder

HERE = Path(__file__).parent
OURS = {
    "style.css": TEMPLATES / "style.css",
    "board.js": TEMPLATES / "board.js",
    "live.js": HERE / "live.js",
    "icon.svg": HERE / "icon.svg",
    "favicon.ico": HERE / "icon.svg",  # asked for beside a log, which names no icon
}
"""files of the kit itself, which are there before a board is"""
KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".csv": "text/csv",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
REFRESH = {"Cache-Control": "no-cache"}  # kept, but asked for each time whether it has changed


def board(visit: Visit) -> Response:
    """A page or a file of the board."""
    path = visit.call.request.path_params["path"] or "index.html"
    if path in OURS:
        return _file(OURS[path])
    site = site_folder(visit.call.contest.places)
    if site is not None:
        return _file(_inside(site, path))
    if path == "index.html":
        return visit.page(
            "message.html",
            status=503,
            here="/",
            title=visit.call.contest.settings.name,
            text="The board is being written for the first time: load this page again in a moment.",
        )
    raise Problem(404, "there is no such page")


def _inside(folder: Path, path: str) -> Path:
    """A file in a folder.

    Raises:
        Problem: there is none, or it lies elsewhere.
    """
    try:
        file = (folder / path).resolve()
        if file.is_relative_to(folder) and file.is_file() and file.suffix in KINDS:
            return file
    except (OSError, ValueError):  # a name that cannot be a file's
        pass
    raise Problem(404, "there is no such page")


def _file(path: Path) -> Response:
    try:
        status = os.stat(path)
    except OSError:
        raise Problem(404, "there is no such page") from None
    return FileResponse(path, media_type=KINDS[path.suffix], headers=REFRESH, stat_result=status)


def logs(job: Job, run: RunState) -> list[tuple[str, str]]:
    """Name and address of each log of a run."""
    if run.state == "queued":
        return []
    which = {"level": run.level, "seed": run.seed}
    address = f"/api/v1/jobs/{job.id}/logs"
    return [(side, f"{address}?{urlencode(which | {'side': side})}") for side in SIDES]


def films(contest: Contest, job: Job) -> list[dict[str, Any]]:
    """The films of a job: level, choice, address, and that of its still picture."""
    folder = contest.places.results(job.phase, job.id) / FILMS_FOLDER
    found = []
    for level in sorted({run.level for run in contest.jobs.runs(job)}):
        for choice in CHOICES:
            film = folder / f"{level}-{choice}.mp4"
            if film.is_file() and not film.is_symlink():
                address = f"/api/v1/jobs/{job.id}/films/{quote(f'{level}-{choice}')}"
                poster = f"{address}.png" if film.with_suffix(".png").is_file() else None
                path = f"{address}.mp4"
                found.append({"level": level, "choice": choice, "path": path, "poster": poster})
    return found
