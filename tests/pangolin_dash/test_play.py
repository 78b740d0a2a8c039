"""`python -m pangolin_dash.play` says in one line what is missing."""

from __future__ import annotations

import os
import subprocess
import sys


def _play(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    return subprocess.run(
        [sys.executable, "-m", "pangolin_dash.play", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_unknown_act() -> None:
    done = _play("--act", "NoZone.Act1")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "FernHollow.Act1" in done.stderr


def test_without_a_display() -> None:
    done = _play()
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "DISPLAY is not set" in done.stderr
