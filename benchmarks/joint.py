"""Does training V and M together help V and M? The small preset, before and after its joint stage.

V and M are trained alone; then the joint stage trains both together. Reported, on shards that
nothing was trained on: V's reconstruction, M's NLL of the next latent, and how well the action is
predicted from two latents (by a head that only the joint stage has).

    python -m benchmarks.joint [--seeds N] [--json FILE]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.command import run
from benchmarks.report import report
from pretrain.config import PretrainConfig
from retro_common.config import load
from retro_common.files import read_json

STAGES = ("collect", "find_player", "vision", "memory", "joint")
FIGURES = {
    "psnr": "V: PSNR of the reconstruction, dB",
    "nll": "M: NLL of the next latent, nats per unit",
    "inverse_accuracy": "accuracy of the inverse dynamics",
}


@dataclass
class Config:
    config: Path = Path("configs/joint.yaml")
    """the preset with the joint stage"""
    seeds: int = 3
    """pretrainings"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


def trained(config: Path, folder: Path, seed: int) -> dict[str, dict[str, float | None]]:
    """Run the stages into a folder; the figures `apart`, before the joint stage, and `joint`."""
    for stage in STAGES:
        words = ("pretrain", stage, "--config", config, "--out", folder, "--seed", seed)
        code = subprocess.run([sys.executable, "-m", *map(str, words)]).returncode
        if code:
            sys.exit(code)
    vision, memory, joint = (read_json(folder / name / "done.json") for name in STAGES[2:])
    return {
        "apart": {
            "psnr": vision["validation_psnr"],
            "nll": memory["validation_nll"],
            "inverse_accuracy": None,
        },
        "joint": {key: joint[f"validation_{key}"] for key in FIGURES},
    }


def cell(values: Sequence[float | None]) -> str:
    """Mean of a figure, and its value in each pretraining."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = f"{statistics.fmean(known):.2f}"
    return mean if len(known) == 1 else f"{mean} ({', '.join(f'{v:.2f}' for v in known)})"


def rows(pretrainings: Sequence[dict[str, dict[str, float | None]]]) -> list[list[str]]:
    """The table: one row for each figure."""
    table = [["on shards that nothing was trained on", "trained apart", "trained together"]]
    for key, label in FIGURES.items():
        both = ([figures[kind][key] for figures in pretrainings] for kind in ("apart", "joint"))
        table.append([label, *map(cell, both)])
    return table


def main() -> None:
    args = tyro.cli(Config, prog="python -m benchmarks.joint", description=__doc__)
    preset = load(PretrainConfig, args.config)
    found = [trained(args.config, preset.out / f"seed-{n}", n) for n in range(args.seeds)]
    steps = preset.joint.steps
    title = f"V and M trained apart, and {steps} joint steps more; {args.seeds} pretrainings"
    report(title, rows(found), {"joint_steps": steps, "pretrainings": found}, args.json)


if __name__ == "__main__":
    run(main)
