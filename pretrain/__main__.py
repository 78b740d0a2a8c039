"""``python -m pretrain STAGE --config FILE``: make a bundle, stage by stage."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import tyro

from agent.models.actor import Models
from pretrain.config import PretrainConfig
from pretrain.stage import exit_with
from retro_common.config import load, to_dict, validate
from retro_common.errors import UsageError
from retro_common.tracking import import_tracker

# Before torch starts its threads: they should sleep, not spin, while they wait for each other. On
# a machine with other work (emulators, for example) spinning costs half of the speed and more.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STAGES = {
    "collect": "play the training levels and record rollout shards",
    "find_player": "learn to locate the player sprite in the frames",
    "vision": "train V on the frames",
    "memory": "train M on latents and actions",
    "joint": "train V and M together (only where joint.steps is set)",
    "scene": "learn what is where in a frame (only where C reads it)",
    "controller": "train C by PPO in the emulator, and write the bundle",
    "teacher": "train a policy that reads the game's memory (only where it is named)",
}
OWN = ("scene", "controller", "teacher")
"""stages that a run with a base has itself"""
ON_CLUSTER = {"collect", "controller"}
"""stages whose playing --cluster spreads"""
USAGE = """
Pretrain an agent: python -m pretrain STAGE --config FILE [--KEY VALUE ...]

Stages, in order; each goes on where it was stopped when the same command is run again:
{stages}
  all          those of these that are missing

Every key of the configuration can be set on the command line, over what FILE says;
--fresh throws the stage's old work away first. --cluster HOST:PORT lets the nodes of a Ray cluster
play in collect and controller (local: a cluster of this machine; slurm: jobs of SLURM, collect
only). Progress is logged for TensorBoard under the run's folder: tensorboard --logdir OUT.
""".format(stages="\n".join(f"  {name:<12} {text}" for name, text in STAGES.items()))


def main(arguments: list[str]) -> int:
    first = argparse.ArgumentParser(add_help=False, prog="python -m pretrain")
    first.add_argument("stage", nargs="?")
    first.add_argument("--config", type=Path)
    first.add_argument("--fresh", action="store_true")
    first.add_argument("--cluster", default="")
    known, rest = first.parse_known_args(arguments)
    asks_for_help = bool({"-h", "--help"} & set(rest))
    if known.stage is None:
        print(USAGE.strip(), file=sys.stdout if asks_for_help else sys.stderr)
        return 0 if asks_for_help else 2
    names = [*STAGES, "all"]
    if known.stage not in names:
        near = difflib.get_close_matches(known.stage, names, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
        raise UsageError(f"no stage '{known.stage}': {hint}")
    if known.config is None and not asks_for_help:
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

    Models.plan(config.agent)
    if config.track:
        import_tracker(config.track)  # before a stage is begun
    wanted = stages(known.stage, config)
    if known.cluster and not ON_CLUSTER & set(wanted):
        raise UsageError(f"--cluster: {known.stage} runs on one machine")
    if known.cluster == "slurm" and "controller" in wanted:
        raise UsageError("--cluster slurm: collect alone; controller needs a Ray cluster")
    with _connected(known.cluster):
        _run(wanted, config, known)
    return 0


def _run(wanted: list[str], config: PretrainConfig, known: argparse.Namespace) -> None:
    """Run these stages."""
    for number, stage in enumerate(wanted, start=1):
        if len(wanted) > 1:
            print(f"stage {number} of {len(wanted)}: {stage}", flush=True)
        # Each stage is imported when it is run: torch and the emulator take seconds to load.
        module = importlib.import_module(f"pretrain.stages.{stage}")
        nodes = {"cluster": known.cluster} if stage in ON_CLUSTER else {}
        module.run(config, fresh=known.fresh, **nodes)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connected to a Ray cluster, if there is an address."""
    if address in ("", "slurm"):
        yield
        return
    from retro_contest.runs import nodes

    # Before a stage sets its handlers of signals: Ray has one of its own.
    nodes.connect(address)
    try:
        yield
    finally:
        nodes.disconnect()


def stages(asked: str, config: PretrainConfig) -> list[str]:
    """The stages to run. A run with a `base`, or whose C sees only pixels, has a single one.

    Raises:
        UsageError: the stage belongs to the base.
    """
    if config.base is not None and asked not in ("all", *OWN):
        raise UsageError(f"this run takes its {asked} stage from its base {config.base}")
    if asked != "all":
        return [asked]
    skipped = {"teacher"}
    if "scene" not in config.agent.controller.features:
        skipped.add("scene")
    if config.base is not None or not config.needs_world_model:
        return [name for name in OWN if name not in skipped]
    if not config.joint.steps:
        skipped.add("joint")
    if not config.agent.vision.player_units:
        skipped.add("find_player")
    return [name for name in STAGES if name not in skipped]


if __name__ == "__main__":
    exit_with("python -m pretrain", main)
