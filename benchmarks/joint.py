"""Does training V and M together help? The small preset, with and without its joint stage.

Both agents of a seed share rollouts, V and M up to the joint stage; then one of them trains V and M
together, and each trains a C of its own. Reported: the figures of `python -m analysis report` on
held-out levels, and the mean reward of the last training episodes of C.

    python -m benchmarks.joint [--seeds N] [--json FILE]
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.command import run
from benchmarks.report import report
from pretrain.config import PretrainConfig
from retro_common.config import load
from retro_common.files import read_json

FIGURES = {
    "psnr": "V: PSNR of the reconstruction, dB",
    "psnr_player": "V: PSNR within 16 px of the player, dB",
    "probe_screen_x_r2": "z: probe of the player's x, R²",
    "probe_screen_y_r2": "z: probe of the player's y, R²",
    "probe_speed_x_r2": "[z, h]: probe of the player's x speed, R²",
    "probe_speed_y_r2": "[z, h]: probe of the player's y speed, R²",
    "reward_corr": "M: correlation with the reward",
    "end_auc": "M: end of the episode, AUC",
    "player_px_5": "player's place 5 timesteps ahead, mean error in px",
    "training_reward": "C: mean reward of the last training episodes",
}


@dataclass
class Config:
    config: Path = Path("configs/joint.yaml")
    """the preset with the joint stage"""
    seeds: int = 3
    """pretrainings of each kind"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


def command(*words: str | Path) -> None:
    """Run a command of the kit; end this one if it fails."""
    code = subprocess.run([sys.executable, "-m", *map(str, words)]).returncode
    if code:
        sys.exit(code)


def pretrained(config: Path, folder: Path, *options: str) -> dict[str, float]:
    """Run all stages into a folder and measure the bundle; finished stages are not repeated."""
    command("pretrain", "all", "--config", config, "--out", folder, *options)
    measured = folder / "report" / "world-model.json"
    if not measured.exists():
        bundle = ("--bundle", folder / "bundle", "--to", measured.parent)
        command("analysis", "report", "--config", config, *bundle)
    held_out = read_json(measured)["heldout"]
    held_out["player_px_5"] = held_out["rollout_player_px"]["5"]
    held_out["training_reward"] = read_json(folder / "controller" / "done.json")["mean_reward"]
    return {key: held_out[key] for key in FIGURES}


def cell(runs: list[dict[str, float]], key: str) -> str:
    """Mean of a figure, and its value in each run."""
    values = [figures[key] for figures in runs]
    digits = 0 if key == "training_reward" else 2
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"{statistics.fmean(values):.{digits}f} ({each})"


def main() -> None:
    args = tyro.cli(Config, prog="python -m benchmarks.joint", description=__doc__)
    preset = load(PretrainConfig, args.config)
    found: dict[str, list[dict[str, float]]] = {"apart": [], "joint": []}
    for seed in range(args.seeds):
        apart, together = (preset.out / f"{kind}-{seed}" for kind in found)
        options = ("--seed", str(seed))
        found["apart"].append(pretrained(args.config, apart, *options, "--joint.steps", "0"))
        if not together.exists():
            new = shutil.ignore_patterns("controller", "bundle", "report")
            shutil.copytree(apart, together, ignore=new)
        found["joint"].append(pretrained(args.config, together, *options))
    rows = [("held-out levels, mean (each seed)", *found)]
    rows += [(label, *(cell(found[kind], key) for kind in found)) for key, label in FIGURES.items()]
    steps = preset.joint.steps
    title = f"V and M trained apart, and {steps} joint steps more; {args.seeds} seeds"
    report(title, rows, {"seeds": args.seeds, "joint_steps": steps, **found}, args.json)


if __name__ == "__main__":
    run(main)
