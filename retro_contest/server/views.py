"""Jobs as programs see them: in the words of 2018, and in those of this kit's own API.

A key that has no value is absent in the words of 2018: its client prints or multiplies a null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from retro_contest.server.contest import Contest
from retro_contest.server.jobs import Job, RunState


def job_of_2018(contest: Contest, job: Job) -> dict[str, Any]:
    """A job for the client of 2018: `id`, `status`, `score`, and a worker for each run."""
    runs = [] if contest.phases.is_hidden(job) else contest.jobs.runs(job)
    several = len({run.seed for run in runs}) > 1
    return _without_none(
        {
            "id": job.id,
            "status": job.state,
            "score": None if contest.phases.is_hidden(job) else job.score,
            "workers": [_worker(run, several) for run in runs],
        }
    )


def _worker(run: RunState, several: bool) -> dict[str, Any]:
    level = run.level.partition("/")[2]
    return _without_none(
        {
            "task": f"{level} seed {run.seed}" if several else level,
            "state": run.state,
            "progress": min(1.0, run.timesteps / run.budget) if run.state == "running" else None,
            "eta": None if run.eta is None or run.state != "running" else round(run.eta),
            "score": run.score,
            "error": f"{run.verdict}: {run.reason}" if run.state == "error" else None,
        }
    )


def job(contest: Contest, of: Job, *, owner: bool) -> dict[str, Any]:
    """A job for the API and the pages.

    Args:
        contest: the contest.
        of: the job.
        owner: whether its owner asks: image and reason are his alone.
    """
    hidden = contest.phases.is_hidden(of)
    runs = [] if hidden else contest.jobs.runs(of)
    content: dict[str, Any] = {
        "id": of.id,
        "entrant": of.username,
        "phase": of.phase,
        "state": of.state,
        "score": None if hidden else of.score,
        "score_so_far": None if hidden else score_so_far(runs),
        "created": time(of.created),
        "started": time(of.started),
        "ended": time(of.ended),
        "position": contest.jobs.position(of),
        "restart_of": of.restart_of,
        "runs": [_run(run, owner) for run in runs],
    }
    if owner:
        content |= {"tag": of.tag, "digest": of.digest, "cancel": of.cancel}
        content["reason"] = "" if hidden else of.reason
    return content


def _run(run: RunState, owner: bool) -> dict[str, Any]:
    content = {
        "level": run.level,
        "seed": run.seed,
        "state": run.state,
        "timesteps": run.timesteps,
        "budget": run.budget,
        "timesteps_per_second": run.rate,
        "eta": run.eta if run.state == "running" else None,
        "episodes": run.episodes,
        "score": run.score,
        "verdict": run.verdict or None,
    }
    return content | ({"reason": run.reason} if owner else {})


def score_so_far(runs: list[RunState]) -> float | None:
    """Mean over levels of the mean over the scores so far of their runs; None without any."""
    levels: dict[str, list[float]] = {}
    for run in runs:
        if run.score is not None:
            levels.setdefault(run.level, []).append(run.score)
    means = [sum(scores) / len(scores) for scores in levels.values()]
    return sum(means) / len(means) if means else None


def time(seconds: float | None) -> str | None:
    """A time in ISO 8601, UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _without_none(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}
