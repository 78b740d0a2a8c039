"""``python -m lab METHOD --config FILE``: run a system of the field on the recorded data."""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
from pathlib import Path

from lab.config import LabConfig, RecordConfig
from pretrain.stage import Diverged, Stopped
from retro_common.config import load
from retro_common.errors import UsageError
from retro_common.text import clean

# Threads should sleep, not spin, while they wait for each other; see `pretrain.__main__`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

METHODS = {
    "clone": "behaviour cloning, the baseline; of all episodes, or of the best ones",
    "values": "IQL, ILQL, CQL, Scaled Q-learning, DR3: values from recorded data",
    "qr-sac": "QR-SAC with an asymmetric critic, while playing",
    "ppo": "PPO, the baseline that plays; from scratch, or from what another method learnt",
    "peer": "what a public implementation has learnt (lab/peers/train.py), played as ours are",
}
"""modules of `lab`, by their names in the command"""
USAGE = """
The laboratory: python -m lab METHOD --config FILE [--seed N] [--out DIR] [--data DIR] [--fresh]

{methods}

and the commands
  record       play and record the data set: python -m lab record --config configs/lab/data.yaml
  table        rebuild the table from the committed results

Each goes on where it was stopped when the same command is run again; --fresh throws its old work
away first. Progress is logged for TensorBoard under the run's folder.
""".format(methods="\n".join(f"  {name:<12} {text}" for name, text in METHODS.items())).strip()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lab", description=USAGE, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--fresh", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.command == "table":
        importlib.import_module("lab.table").run()
        return 0
    if asked.command not in ("record", *METHODS):
        raise UsageError(f"no method '{asked.command}': there are {', '.join(METHODS)}")
    if asked.config is None:
        raise UsageError("--config FILE is missing; configs/lab has some")
    kind = RecordConfig if asked.command == "record" else LabConfig
    config = load(kind, asked.config)
    for key in ("seed", "out", "data", "results"):
        value = getattr(asked, key)
        if value is not None:
            if not hasattr(config, key):
                raise UsageError(f"--{key}: {asked.command} has no such option")
            setattr(config, key, value)
    if asked.command == "record":
        importlib.import_module("lab.record").run(config, asked.fresh)
    else:
        method = importlib.import_module(f"lab.{asked.command.replace('-', '_')}")
        run = getattr(method, "run", None)
        if run is None:
            run = functools.partial(importlib.import_module("lab.run").run, method)
        run(asked.config.stem, config, asked.fresh)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UsageError as error:
        print(f"python -m lab: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(1)
    except (Diverged, OSError) as error:
        print(f"python -m lab: {clean(error)}", file=sys.stderr)
        sys.exit(1)
