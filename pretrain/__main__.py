"""``python -m pretrain STAGE --config FILE``: make a bundle, stage by stage."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

import tyro

from pretrain.config import PretrainConfig
from pretrain.errors import Diverged, Stopped
from retro_common.config import load, to_dict, validate
from retro_common.errors import UsageError
from retro_common.errors import UsageError as ContestUsageError

# Before torch is loaded: its threads should sleep, not spin, while they wait for each other. On
# a machine with other work (emulators, say) spinning costs half of the speed and more.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STAGES = {
    "collect": "play the training levels and record rollout shards",
    "find_player": "find the thing that is played in the frames (only for a V with a glimpse)",
    "vision": "train V on the frames",
    "memory": "train M on latents and actions",
    "joint": "train V and M together (only where joint.steps is set)",
    "controller": "train C by PPO in the emulator, and write the bundle",
}
TOOLS = ("picture", "watch", "dream", "report")
USAGE = """
Pretrain the agent: python -m pretrain STAGE --config FILE [--KEY VALUE ...]

Stages, in order; each goes on where it was stopped when the same command is run again:
  collect      {collect}
  find_player  {find_player}
  vision       {vision}
  memory       {memory}
  joint        {joint}
  controller   {controller}
  all          whatever of these is missing
  picture      draw frames beside V's reconstructions and M's predictions (--to FILE.png)
  watch        film of the agent playing, with what V draws and what M expects (--to FILE.mp4,
               --timesteps N, --source LEVEL, SHARD or MOVIE: STATE.json or *.bk2)
  dream        film of an episode inside M (--to FILE.mp4, --timesteps N); with --keys, play it
  report       measure V and M on training and held-out levels: tables and pictures (--to FOLDER)

The tools take the run's bundle, or --bundle FOLDER.
Every key of the configuration can be set on the command line, over what FILE says;
--fresh throws the stage's old work away first. Progress is logged for TensorBoard under the run's
folder: tensorboard --logdir OUT.
""".format(**STAGES)


def main(arguments: list[str]) -> int:
    first = argparse.ArgumentParser(add_help=False, prog="python -m pretrain")
    first.add_argument("stage", nargs="?")
    first.add_argument("--config", type=Path)
    first.add_argument("--fresh", action="store_true")
    first.add_argument("--to", type=Path)
    first.add_argument("--source")
    first.add_argument("--keys", action="store_true")
    first.add_argument("--bundle", type=Path)
    first.add_argument("--timesteps", type=int, default=600)
    known, rest = first.parse_known_args(arguments)
    if known.stage is None or known.stage not in (*STAGES, "all", *TOOLS):
        print(USAGE.strip(), file=sys.stdout if {"-h", "--help"} & set(rest) else sys.stderr)
        return 0 if {"-h", "--help"} & set(rest) else 2
    if known.config is None and not {"-h", "--help"} & set(rest):
        raise UsageError("--config FILE is missing; configs/ has some")
    if known.config is None:
        default = PretrainConfig(out=Path("runs/NAME"), levels="LEVELS")
    else:
        default = load(PretrainConfig, known.config)
    config = tyro.cli(
        PretrainConfig,
        default=default,
        args=rest,
        prog=f"python -m pretrain {known.stage} --config FILE",
        description=USAGE.strip(),
    )
    config = validate(PretrainConfig, to_dict(config), "command line")

    if known.stage in TOOLS:
        use_tool(known, config)
        return 0
    for stage in stages(known.stage, config):
        # Each stage is imported when it is run: torch and the emulator take seconds to load.
        importlib.import_module(f"pretrain.stages.{stage}").run(config, fresh=known.fresh)
    return 0


def stages(asked: str, config: PretrainConfig) -> list[str]:
    """The stages to run. A run with a `base`, or whose C sees pixels alone, has but one.

    Raises:
        UsageError: the stage belongs to the base.
    """
    if config.base is not None and asked not in ("all", "controller"):
        raise UsageError(f"this run takes its {asked} stage from its base {config.base}")
    if asked != "all":
        return [asked]
    return list(STAGES) if config.base is None and config.needs_world_model else ["controller"]


def use_tool(known: argparse.Namespace, config: PretrainConfig) -> None:
    """Look at what a run has made."""
    if known.timesteps < 1:
        raise UsageError("--timesteps must be at least 1")
    tool = importlib.import_module(f"analysis.{known.stage}")
    bundle = importlib.import_module("agent.bundle")
    models, manifest = bundle.load(known.bundle or config.out / "bundle")
    if known.stage == "report":
        tool.report(config, models, manifest, known.to or config.out / "report")
    elif known.stage == "picture":
        tool.picture(config, models, known.to or config.out / "picture.png")
    elif known.stage == "watch":
        to = known.to or config.out / "watch.mp4"
        tool.watch(config, models, known.source, to, known.timesteps)
    else:
        to = known.to or config.out / "dream.mp4"
        tool.dream(config, models, to, known.timesteps, known.keys)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (UsageError, ContestUsageError) as error:
        print(f"python -m pretrain: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(1)
    except Diverged as error:
        print(f"python -m pretrain: {error}", file=sys.stderr)
        sys.exit(1)
