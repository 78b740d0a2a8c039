"""Builds the acts of the final from the contest's secret, with the builder of Pangolin Dash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from retro_common.errors import UsageError
from retro_common.files import remove_tree
from retro_common.text import clean
from retro_contest.runs.results import make_folder
from retro_contest.server.contest import Contest

GAME = "PangolinDashSecret"
BUILDER = "pangolin_dash.build"


def build(contest: Contest, zones: Sequence[str], acts: int, hard: float) -> Path:
    """Build the acts; the folder of their game.

    The builder is another program, which the contest does not import. While it runs, other users
    of this machine can read the seed off its command line.

    Raises:
        UsageError: a final has begun, or the builder refuses or fails.
    """
    if any(job.phase == "final" for job in contest.jobs.all()):
        raise UsageError("the final has begun: its levels stay")
    folder = contest.places.secret_levels
    remove_tree(folder)
    make_folder(folder)
    options = {"seed": contest.phases.level_seed, "zones": list(zones), "acts": acts, "hard": hard}
    command = [sys.executable, "-m", BUILDER, "--seed", str(contest.phases.level_seed)]
    command += ["--zones", *zones, "--acts", str(acts), "--hard", f"{hard:g}"]
    command += ["--name", GAME, "--out", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise UsageError(f"{BUILDER}: {clean(lines[-1] if lines else 'no message', 500)}")
    contest.phases.built({"name": GAME, **options})
    return folder / GAME
