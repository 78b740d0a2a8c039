"""``python -m lab METHOD --config FILE``: run a system of the field on the recorded data."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lab.config import EmbodyConfig, LabConfig, RecordConfig
from pretrain.stage import exit_with
from retro_common.config import load
from retro_common.errors import UsageError
from retro_common.provenance import ROOT

# Threads should sleep, not spin, while they wait for each other; see `pretrain.__main__`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

METHODS = {
    "clone": "behaviour cloning, the baseline; of all episodes, or of the best ones",
    "values": "IQL, ILQL, CQL, Scaled Q-learning, DR3: values from recorded data, or while playing",
    "qr-sac": "QR-SAC with an asymmetric critic, while playing",
    "adaptation": "M adapted to an act from three minutes: which weights should learn",
    "motion": "the player's motion as a few curves, from three minutes of an act",
    "lyapunov": "a Lyapunov density model: from where M's dreams go wrong",
    "rcad": "RCAD on V's player finder, beside label smoothing and plain cross-entropy",
    "ppo": "PPO, the baseline that plays; from scratch, or from what another method learnt",
    "skills": "HILP and U2O: a metric of time and skills, learnt without rewards",
    "u2o": "U2O: a skill that was learnt without rewards, fine-tuned by PPO",
    "reach": "GNM: how far a goal is, and the next actions on the way there",
    "soar": "SOAR: goals proposed, tried and judged while playing, learnt from by hindsight",
    "ridge": "ridge regression of the time between two timesteps, the baseline of distances",
    "prompts": "ICRT: imitation in context, prompted by other episodes of the act",
    "bodies": "CrossFormer: one C for several bodies, a head for each",
    "compress": "low displacement rank: the bundle's M and C with fewer numbers",
    "peer": "what a public implementation has learnt (lab/peers/train.py), played as ours are",
    "peer-ode": "a neural ODE of the player's motion (lab/peers/ode.py), judged as ours is",
}
"""modules of `lab.methods`, by their names in the command"""
CONFIGS = ROOT / "configs/lab"
USAGE = """
The laboratory: python -m lab METHOD --config FILE [--seed N] [--out DIR] [--data DIR]
  [--other DIR] [--fresh]

{methods}

and the commands
  record       play and record the data set: python -m lab record --config configs/lab/data.yaml
  embody       make a data set of several bodies from recorded ones: configs/lab/data-bodies.yaml
  describe     what the recorded data shows, in words: python -m lab describe [--data DIR]
  all          every run of the table that this machine has not done, with its data sets: many
               hours of one core. Peers are played that were trained before
  table        rebuild the table from the committed results

Each goes on where it was stopped when the same command is run again; --fresh throws its old work
away first. Progress is logged for TensorBoard under the run's folder.
""".format(methods="\n".join(f"  {name:<12} {text}" for name, text in METHODS.items())).strip()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lab", description=USAGE, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", metavar="METHOD|record|embody|describe|all|table")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--seed", type=int)
    for name in ("out", "data", "other", "results"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--fresh", action="store_true")
    asked = parser.parse_args(arguments)
    command = asked.command
    if command not in ("record", "embody", "describe", "all", "table", *METHODS):
        raise UsageError(f"no method '{command}': there are {', '.join(METHODS)}")
    if command == "table":
        from lab import table

        table.run()
    elif command == "all":
        run_all()
    elif command == "describe":
        in_words(asked.data or Path("runs/lab/data"))
    elif asked.config is None:
        raise UsageError("--config FILE is missing; configs/lab has some")
    elif command == "record":
        record(asked.config, asked)
    elif command == "embody":
        embody(asked.config, asked)
    else:
        run(asked.config, asked)
    return 0


def changed(config: RecordConfig | EmbodyConfig | LabConfig, asked: argparse.Namespace) -> None:
    """Put the command line's values into a configuration."""
    for key in ("seed", "out", "data", "other", "results"):
        value = getattr(asked, key)
        if value is not None:
            if not hasattr(config, key):
                raise UsageError(f"--{key}: {asked.command} has no such option")
            setattr(config, key, value)


def record(path: Path, asked: argparse.Namespace) -> None:
    from lab import record

    config = load(RecordConfig, path)
    changed(config, asked)
    record.run(config, asked.fresh)


def embody(path: Path, asked: argparse.Namespace) -> None:
    from lab import embody

    config = load(EmbodyConfig, path)
    changed(config, asked)
    embody.run(config, asked.fresh)


def run(path: Path, asked: argparse.Namespace) -> None:
    from lab import run

    config = load(LabConfig, path)
    changed(config, asked)
    if config.method != asked.command:
        raise UsageError(f"{path}: a configuration of {config.method}, not of {asked.command}")
    run.run(run.module_of(config), path.stem, config, asked.fresh)


def in_words(folder: Path) -> None:
    """Print the shares of the situations in a recorded data set.

    Raises:
        UsageError: there is no such data set.
    """
    from lab.data import DataSet
    from lab.describe import shares

    for word, share in shares(DataSet.open(folder).training).items():
        print(f"{share:6.1%}  {word}")


def run_all(configs: Path = CONFIGS) -> None:
    """Every run of the table, in the order of its rows, a seed after the other.

    Args:
        configs: folder of the configurations, those of the data sets included.
    """
    from lab import embody, record, rows, run

    for name in rows.names():
        path = configs / f"{name}.yaml"
        for seed in rows.SEEDS:
            config = load(LabConfig, path)
            config.seed = seed
            trained = config.out / f"{name}-{seed}.safetensors"
            if config.method.startswith("peer") and not trained.exists():
                print(f"{name}, seed {seed}: not trained yet, see lab/peers", flush=True)
                continue
            data = configs / f"{config.data.name}.yaml"
            if config.method == "bodies":
                several = load(EmbodyConfig, data)
                for source in (several.source, *several.own.values()):
                    record.run(load(RecordConfig, configs / f"{source.name}.yaml"))
                embody.run(several)
            else:
                record.run(load(RecordConfig, data))
            if config.other:
                record.run(load(RecordConfig, configs / f"{config.other.name}.yaml"))
            run.run(run.module_of(config), name, config)


if __name__ == "__main__":
    exit_with("python -m lab", main)
