"""`make chaos`: kill the long-running commands over and over, and compare what comes of them.

    python -m tests.chaos [--kills N] [--seed S] [--targets NAME ...] [--folder DIR]

Exits with 1 if a kill broke a promise. The folders of a target with faults are kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.chaos.harness import Chaos, Fault, Report
from tests.chaos.targets import Agent, Collect, Evaluate, Pretrain

NAMES = ("pretrain", "collect", "evaluate", "agent")


def run(folder: Path, kills: int, seed: int, names: list[str]) -> list[Report]:
    """Kill each command so many times; the reports, in the order of `NAMES`.

    The undisturbed pretraining is the reference of `collect`, too, and its bundle plays as `agent`.
    """
    pretrain = Chaos(Pretrain(), folder / "pretrain", seed)
    expected = pretrain.reference()
    made = folder / "pretrain" / "reference"
    reports = []
    for name in [name for name in NAMES if name in names]:
        began = time.monotonic()
        print(f"{name}: {kills} kills", flush=True)
        match name:
            case "pretrain":
                reports.append(pretrain.kill(kills, expected))
            case "collect":
                chaos = Chaos(Collect(), folder / name, seed)
                reports.append(chaos.kill(kills, chaos.reference(made), pretrain.report.seconds))
            case "evaluate":
                chaos = Chaos(Evaluate(), folder / name, seed)
                reports.append(chaos.kill(kills, chaos.reference()))
            case "agent":
                chaos = Chaos(Agent(made / "run" / "bundle"), folder / name, seed)
                reports.append(chaos.kill(kills, chaos.reference()))
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return reports


def table(reports: list[Report]) -> Table:
    result = Table(title="SIGKILL at random moments; the same command again")
    for title in ("command", "kills", "runs", "saved and kept", "longest to end", "tmp files"):
        result.add_column(title, justify="left" if title == "command" else "right")
    result.add_column("left in TMPDIR", justify="right")
    result.add_column("faults", justify="right")
    for report in reports:
        result.add_row(
            report.name,
            str(report.kills),
            str(report.runs),
            str(report.saved),
            f"{report.slowest_end:.1f} s",
            str(report.temporary),
            str(report.left_in_tmp),
            str(len(report.faults)),
        )
    return result


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=20, help="kills of each command")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--targets", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        reports = run(folder, args.kills, args.seed, args.targets)
    except Fault as fault:
        print(f"python -m tests.chaos: {fault}", file=sys.stderr)
        return 1
    console = Console()
    console.print(table(reports))
    faults = [f"{report.name}: {fault}" for report in reports for fault in report.faults]
    for fault in faults:
        console.print(escape(fault))
    if not faults and args.folder is None:
        shutil.rmtree(folder)
    elif faults:
        print(f"the folders are in {folder}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
