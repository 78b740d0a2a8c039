"""Jobs as pages show them: progress, time left, the score so far."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from retro_contest.server.contest import Contest
from retro_contest.server.jobs import Job, RunState
from retro_contest.server.settings import FINAL
from retro_contest.server.views import score_so_far
from retro_contest.tables import duration

DONE = ("finished", "error")


def show_job(contest: Contest, job: Job) -> dict[str, Any]:
    """A job for a template; nothing of what a hidden final played."""
    hidden = contest.phases.is_hidden(job)
    runs = contest.jobs.runs(job) if job.is_active or job.state == "failed" else []
    share = progress(runs)
    score = job.score if job.score is not None else score_so_far(runs)
    return {
        "id": job.id,
        "entrant": job.username,
        "tag": job.tag,
        "digest": job.digest,
        "final": job.phase == FINAL,
        "hidden": hidden,
        "state": job.state,
        "active": job.is_active,
        "cancel": job.cancel,
        "attempts": job.attempts,
        "position": contest.jobs.position(job),
        "restart_of": job.restart_of,
        "reason": "" if hidden else job.reason,
        "score": None if hidden else score,
        "share": share,
        "percent": f"{share:.0%}",
        "left": time_left(runs, contest.settings.runs) if job.state == "running" else "",
        "created": moment(job.created),
        "started": moment(job.started),
        "ended": moment(job.ended),
    }


def show_run(run: RunState) -> dict[str, Any]:
    """A run for a template."""
    share = min(1.0, run.timesteps / run.budget)
    return {
        "level": run.level,
        "seed": run.seed,
        "state": run.state,
        "timesteps": run.timesteps,
        "budget": run.budget,
        "episodes": run.episodes,
        "rate": run.rate,
        "score": run.score,
        "verdict": run.verdict,
        "reason": run.reason,
        "share": share,
        "percent": f"{share:.0%}",
        "left": "" if run.eta is None else duration(run.eta),
    }


def progress(runs: Sequence[RunState]) -> float:
    """Part of all timesteps that are played; runs that ended early count whole."""
    budget = sum(run.budget for run in runs)
    played = sum(
        run.budget if run.state in DONE else min(run.timesteps, run.budget) for run in runs
    )
    return played / budget if budget else 0.0


def time_left(runs: Sequence[RunState], side_by_side: int) -> str:
    """About how long a job still takes, if its runs go on as fast as those so far; or nothing.

    Args:
        runs: its runs.
        side_by_side: how many of them are played at a time.
    """
    rates = [run.rate for run in runs if run.rate]
    if not rates:
        return ""
    left = sum(max(0, run.budget - run.timesteps) for run in runs if run.state not in DONE)
    waiting = sum(run.state == "queued" for run in runs)
    playing = sum(run.state == "running" for run in runs)
    lanes = max(1, min(side_by_side, playing + waiting))
    return duration(left / (sum(rates) / len(rates)) / lanes)


def moment(seconds: float | None) -> str:
    """A time for people, UTC; empty for none."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
