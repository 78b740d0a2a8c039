"""The sample board: the committed runs of the score benchmark as submissions on a web site.

    python -m benchmarks.score.site --out site

Each arm becomes a results folder, with the episodes of its stored runs, as an evaluation would have
written it; then the board is made of these folders, as of any others.
"""

from __future__ import annotations

import csv
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import tyro

from benchmarks.command import run
from benchmarks.score import results as score_results
from retro_common.files import write_json
from retro_contest.board.boards import load_boards
from retro_contest.board.site import write_site
from retro_contest.board.snapshots import snapshot
from retro_contest.runs.results import level_scores, mean_score, run_checksum, runs_checksum

COMMITTED = Path("benchmarks/results/score")


@dataclass(frozen=True)
class Args:
    """Write the sample board from stored runs."""

    results: Path = COMMITTED
    """where the runs are stored"""
    out: Path = Path("site")
    """where the site is written"""


def main() -> None:
    args = tyro.cli(Args, prog="python -m benchmarks.score.site", description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        write_folders(args.results, Path(folder))
        write_site(load_boards([Path(folder)]), args.out, snapshot)
    print(f"wrote {args.out / 'index.html'}")


def write_folders(results: Path, folder: Path) -> None:
    """Write a results folder for each stored arm and budget into a folder."""
    for timesteps, arms in score_results.read_all(results).items():
        for arm, runs in arms.items():
            write_folder(folder / f"{arm}-{timesteps}", arm, timesteps, runs)


def write_folder(place: Path, arm: str, timesteps: int, runs: list[dict[str, Any]]) -> None:
    """Write an arm's runs as the results folder of an evaluation."""
    entries = []
    for stored in runs:
        config = stored["config"]
        folder = place / config["game"] / config["state"] / f"seed-{stored['seed']}"
        folder.mkdir(parents=True)
        result = {
            "game": config["game"],
            "state": config["state"],
            "seed": stored["seed"],
            # Of its stored episodes, whose rewards have three decimals.
            "score": fmean(stored["episodes"]["reward"] or [0.0]),
            "episodes": len(stored["episodes"]["reward"]),
            "unplayed_episodes": 0,
            "timesteps": stored["timesteps"],
            "seconds": stored["seconds"],
            "timesteps_per_second": stored["timesteps_per_second"],
            "verdict": stored["verdict"],
            "reason": stored["reason"],
        }
        write_json(folder / "result.json", result)
        episodes = stored["episodes"]
        with (folder / "monitor.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("r", "l", "t"))
            for reward, length in zip(episodes["reward"], episodes["length"], strict=True):
                table.writerow((reward, length, 0.0))
        entries.append({**result, "sha256": run_checksum(folder)})
    names = sorted({f"{entry['game']}/{entry['state']}" for entry in entries})
    summary = {
        "id": hashlib.sha256(f"{arm} {timesteps}".encode()).hexdigest()[:16],
        "name": arm,
        "score": mean_score(level_scores(entries)),
        "complete": True,
        "levels": entries,
        "level_names": names,
        "mode": "process",
        "agent": runs[0]["config"]["agent"],
        "level_set": "pangolin-test",
        "timesteps": timesteps,
        "wallclock": 43200.0,
        "seeds": len({entry["seed"] for entry in entries}),
        "runs_sha256": runs_checksum(entries),
        "written": max(stored["started"] for stored in runs),
        "commit": runs[0]["commit"],
    }
    write_json(place / "summary.json", summary)


if __name__ == "__main__":
    run(main)
