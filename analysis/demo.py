"""``make demo``: a contest on a level that the agent never saw, each step a command of the kit.

Takes the bundle that ships with the kit (or pretrains one, with `--pretrain CONFIG`), and plays:
random play, holding right, the pretrained agent without learning, the agent while it fine-tunes,
and the fine-tuned agent without learning. Every score comes over the socket from the contest's
server, and the best episode of each is filmed. Then it films the agent beside the reconstructions
and predictions of its world model, and writes the board. The same command goes on where it was
stopped; finished parts are kept, unless the bundle has changed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import rich.console
import rich.table
import tyro

from agent.bundle import CONFIG, read_manifest
from pretrain.config import PretrainConfig
from retro_common.config import load
from retro_common.errors import UsageError

CONSOLE = rich.console.Console()


@dataclasses.dataclass
class Args:
    """Evaluate, fine-tune, compare, look."""

    bundle: Path = Path("bundles/pangolin")
    """the pretrained agent"""
    pretrain: Path | None = None
    """configuration of a run that makes another bundle first, for example configs/demo.yaml"""
    level: str = "PangolinDash-Genesis-v0/FernHollow.Act3"
    """held-out level of the contest"""
    timesteps: int = 20_000
    """budget of the fine-tuning contest; the board has references for 20,000"""
    measure: int = 6_000
    """budget of each of the other contests"""
    results: Path = Path("results/demo")
    """where scores and pictures go, in a folder for each bundle"""
    draw_all: bool = False
    """let the emulator also draw the frames that the agent does not see: slower, same results"""


def command(*words: str) -> None:
    """Run one of the kit's commands, after showing it; end the demo if it fails."""
    shown = shlex.join(["python", *words])
    CONSOLE.print(f"\n[bold cyan]$ {shown}[/]", highlight=False, soft_wrap=True)
    result = subprocess.run([sys.executable, *words], check=False)
    if result.returncode != 0:
        print(f"demo: `{shown}` ended with exit code {result.returncode}", file=sys.stderr)
        sys.exit(result.returncode)


def evaluate(args: Args, folder: str, name: str, agent: str, timesteps: int) -> tuple[str, dict]:
    """Play one contest; its name on the board, and its summary."""
    results = args.results / folder
    command(
        *("-m", "retro_contest", "evaluate", "--levels", args.level, "--agent", agent),
        *("--timesteps", str(timesteps), "--results", str(results), "--name", name, "--film"),
        *(["--draw-all"] if args.draw_all else []),
    )
    return name, json.loads((results / "summary.json").read_text())


def fingerprint(folder: Path) -> str:
    """Eight hexadecimal digits that differ from those of every other bundle.

    They are of the bundle's `config.yaml`, which holds the hashes of the weights.

    Raises:
        UsageError: there is no bundle.
    """
    read_manifest(folder)
    return hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()[:8]


def main() -> None:
    args = tyro.cli(Args, prog="python -m analysis.demo", description=__doc__)
    began = time.monotonic()
    bundle = args.bundle
    if args.pretrain is not None:
        bundle = load(PretrainConfig, args.pretrain).out / "bundle"
        command(
            *("-m", "pretrain", "all", "--config", str(args.pretrain)),
            *(["--draw-all"] if args.draw_all else []),
        )

    args.results /= fingerprint(bundle)  # another bundle's scores must not pass for this one's
    play = f"python -m agent --bundle {bundle}"
    tuned = str(args.results / "fine-tuning" / args.level / "seed-0" / "out")
    still, tuned_still = f"{play} --no-learn", f"python -m agent --bundle {tuned} --no-learn"
    short = args.measure
    rows = [
        evaluate(args, "random", "random", "random", short),
        evaluate(args, "hold-right", "hold right, jump", "hold-right", short),
        evaluate(args, "before", "agent, before fine-tuning", still, short),
        evaluate(args, "fine-tuning", "agent, while it fine-tunes", play, args.timesteps),
        evaluate(args, "after", "agent, after fine-tuning", tuned_still, short),
    ]
    film = args.results / "watch.mp4"
    if not film.exists():
        command(
            *("-m", "analysis", "watch", "--bundle", tuned, "--source", args.level),
            *("--timesteps", "300", "--to", str(film)),
        )

    site = args.results / "site"
    command("-m", "retro_contest", "board", str(args.results), "--out", str(site))

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
    CONSOLE.print(
        f"The board, with films and the kit's references: {site / 'index.html'}", highlight=False
    )
    CONSOLE.print(f"A film of V's reconstructions and M's predictions: {film}", highlight=False)
    CONSOLE.print(f"Done in {(time.monotonic() - began) / 60:.1f} minutes.", highlight=False)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
