"""``make demo``: the whole contest in a few minutes, each step a command you can run yourself.

Pretrains V, M and C on training levels, then plays the contest on a level the agent has not seen:
random play, holding right, the pretrained agent as it is, the agent fine-tuning itself, and what
came of that. Every score comes over the socket from the contest's server. Run it again and it goes
on where it was stopped; finished parts are not done again.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import rich.console
import rich.table
import tyro

CONSOLE = rich.console.Console()


@dataclasses.dataclass
class Args:
    """Pretrain, evaluate, fine-tune, compare."""

    config: Path = Path("configs/demo.yaml")
    """pretraining run"""
    run: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs/demo")
    """where that run is kept (`out` of the configuration)"""
    level: str = "PangolinDash-Genesis-v0/FernHollow.Act3"
    """held-out level of the contest"""
    timesteps: int = 12_000
    """budget of the fine-tuning contest"""
    measure: int = 6_000
    """budget of each of the other contests"""
    results: Path = Path("results/demo")
    """where scores and pictures go"""
    draw_all: bool = False
    """let the emulator draw the frames that nobody sees, too: slower, with the same results"""


def command(*words: str) -> None:
    """Run one of the kit's commands, after showing it; end the demo if it fails."""
    shown = shlex.join(["python", *words])
    CONSOLE.print(f"\n[bold cyan]$ {shown}[/]", highlight=False, soft_wrap=True)
    result = subprocess.run([sys.executable, *words], check=False)
    if result.returncode != 0:
        print(f"demo: `{shown}` ended with exit code {result.returncode}", file=sys.stderr)
        sys.exit(result.returncode)


def evaluate(args: Args, name: str, agent: str, timesteps: int) -> dict:
    """Play one contest; its summary."""
    folder = args.results / name
    command(
        *("-m", "contest", "evaluate", "--levels", args.level, "--agent", agent),
        *("--timesteps", str(timesteps), "--results", str(folder)),
        *(["--draw-all"] if args.draw_all else []),
    )
    return json.loads((folder / "summary.json").read_text())


def main() -> None:
    args = tyro.cli(Args, prog="python -m benchmarks.demo", description=__doc__)
    began = time.monotonic()
    bundle = str(args.run / "bundle")
    command(
        *("-m", "pretrain", "all", "--config", str(args.config), "--out", str(args.run)),
        *(["--draw-all"] if args.draw_all else []),
    )

    play = f"python -m agent --bundle {bundle}"
    tuned = str(args.results / "fine-tuning" / args.level / "seed-0" / "out")
    rows = [
        ("random", evaluate(args, "random", "random", args.measure)),
        ("hold right, jump", evaluate(args, "hold-right", "hold-right", args.measure)),
        ("agent, before fine-tuning", evaluate(args, "before", f"{play} --no-learn", args.measure)),
        ("agent, while it fine-tunes", evaluate(args, "fine-tuning", play, args.timesteps)),
        (
            "agent, after fine-tuning",
            evaluate(args, "after", f"python -m agent --bundle {tuned} --no-learn", args.measure),
        ),
    ]
    picture = args.results / "world-model.png"
    command(
        *("-m", "pretrain", "picture", "--config", str(args.config)),
        *("--out", str(args.run), "--to", str(picture)),
    )

    table = rich.table.Table(title=f"{args.level}: mean reward per episode")
    table.add_column("submission")
    for column in ("score", "episodes", "timesteps"):
        table.add_column(column, justify="right")
    for name, summary in rows:
        (level,) = summary["levels"]
        score = "-" if level["score"] is None else f"{level['score']:.0f}"
        table.add_row(name, score, str(level["episodes"]), str(level["timesteps"]))
    CONSOLE.print()
    CONSOLE.print(table)
    CONSOLE.print(f"What V sees and what M expects: {picture}", highlight=False)
    CONSOLE.print(f"Done in {(time.monotonic() - began) / 60:.1f} minutes.", highlight=False)


if __name__ == "__main__":
    main()
