"""The files of a job, for its owner alone: logs, films, and all results as a tar archive.

Agents write into these folders: only plain files are given out, none through a link. The secret of
an evaluation never is; that of the final is published when it is revealed.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from retro_common.files import UnreadableFile, open_plain
from retro_common.text import clean
from retro_contest.runs.processes import LOG_LIMIT
from retro_contest.runs.randomness import SECRET_FILE
from retro_contest.runs.results import FILMS_FOLDER, LOCK_FILE
from retro_contest.server.http.web import Call, Problem
from retro_contest.server.jobs import Job

SIDES = ("agent", "server")
TAIL = 64 << 10  # bytes of a log that are given out unless somebody asks for another number
MOST_FILES = 20_000
MOST_BYTES = 1 << 40  # of one file
CHUNK = 256 << 10


def logs(call: Call) -> Response:
    """GET logs?level=GAME/STATE&seed=N&side=agent|server&tail=BYTES: the end of a run's log."""
    job, folder = _folder(call)
    query = call.request.query_params
    side, level = query.get("side", "agent"), query.get("level", "")
    seed, tail = _number(query.get("seed", "0")), _number(query.get("tail", str(TAIL)))
    if side not in SIDES:
        raise Problem(400, "side: agent or server")
    if not any((run.level, run.seed) == (level, seed) for run in call.contest.jobs.runs(job)):
        raise Problem(404, f"job {job.id} has no run of level {clean(level)} with seed {seed}")
    path = folder / level / f"seed-{seed}" / f"{side}.log"
    try:
        with open_plain(path, LOG_LIMIT + CHUNK) as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - tail))
            content = log.read(LOG_LIMIT + CHUNK)
    except UnreadableFile as error:
        if not error.missing:
            raise
        content = b""  # not yet written
    return Response(content.decode(errors="replace"), media_type="text/plain; charset=utf-8")


def films(call: Call) -> Response:
    """GET films: the names of a job's films."""
    _, folder = _folder(call)
    place = folder / FILMS_FOLDER
    names = sorted(
        str(path.relative_to(place)) for path in place.glob("*/*.mp4") if not path.is_symlink()
    )
    return JSONResponse(names)


def film(call: Call) -> Response:
    """GET films/NAME: a film, or its still picture."""
    _, folder = _folder(call)
    place = folder / FILMS_FOLDER
    path = place / call.request.path_params["name"]
    kinds = {".mp4": "video/mp4", ".png": "image/png"}
    try:
        inside = path.resolve().is_relative_to(place.resolve()) and not path.is_symlink()
        if not inside or path.suffix not in kinds or not path.is_file():
            raise Problem(404, "no such film")
    except (OSError, ValueError):  # a name that cannot be a file's
        raise Problem(404, "no such film") from None
    return FileResponse(path, media_type=kinds[path.suffix])


def results(call: Call) -> Response:
    """GET results.tar: the whole results folder, without its secret."""
    job, folder = _folder(call)
    return _Archive(folder, f"job-{job.id}")


def _folder(call: Call) -> tuple[Job, Path]:
    """The visitor's job, and its results folder."""
    job = call.own_job()
    if call.contest.phases.is_hidden(job):
        raise Problem(403, "this is hidden until the final is revealed")
    return job, call.contest.places.results(job.phase, job.id)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Problem(400, "seed and tail: whole numbers")
    return int(text)


class _Archive(StreamingResponse):
    """A tar archive of the plain files in a folder, in parts as a thread writes it to a pipe."""

    media_type = "application/x-tar"

    def __init__(self, folder: Path, name: str) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}.tar"'}
        super().__init__((), headers=headers)
        self._folder, self._name = folder, name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        end, begin = os.pipe()
        # Closed also when the client has gone in the middle: then the writer gets EPIPE, and ends.
        with open(end, "rb", buffering=0) as archive:
            arguments = (begin, self._folder, self._name)
            threading.Thread(target=_write_tar, args=arguments, daemon=True).start()
            self.body_iterator = _parts(archive)
            await super().__call__(scope, receive, send)


async def _parts(archive: io.RawIOBase) -> AsyncIterator[bytes]:
    while part := await anyio.to_thread.run_sync(archive.read, CHUNK):
        yield part


def _write_tar(descriptor: int, folder: Path, name: str) -> None:
    with (
        contextlib.suppress(OSError),  # the reader has gone
        open(descriptor, "wb") as pipe,
        tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in _plain_files(folder):
            try:
                file = open_plain(path, MOST_BYTES)
            except UnreadableFile:
                continue  # it has gone, or was replaced, meanwhile
            with file:
                status = os.fstat(file.fileno())
                entry = tarfile.TarInfo(f"{name}/{path.relative_to(folder)}")
                entry.size, entry.mtime = status.st_size, int(status.st_mtime)
                archive.addfile(entry, file)


def _plain_files(folder: Path) -> Iterator[Path]:
    """The plain files in a folder, without following links; at most `MOST_FILES`."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if name in (SECRET_FILE, LOCK_FILE) and path.parent == folder:
                continue
            try:
                plain = stat.S_ISREG(path.lstat().st_mode)
            except OSError:
                continue
            count += 1
            if count > MOST_FILES:
                return
            if plain:
                yield path
