"""How fast do V and M learn, and as well per frame as the published V?

    python -m benchmarks.world_model [--quick] [--shards FOLDER] [--config FILE] [--json FILE]

V (`pretrain vision`: our network, loss, batch and optimizer, as configured) learns in turns with a
reference loop: the network of World Models (arXiv 1803.10122, appendix A.1), float32, batch 32,
Adam with its defaults, sum of squares plus KL. Both see the same number of frames of the same
shards, so that their errors on frames held back can be compared frame for frame.

M's training step on cached latents is compared with ``nn.LSTM`` of the same sizes, forward and
backward, and with that and the layers of the mixture head: the products it cannot do without.

Frames are recorded anew on Pangolin Dash, unless a folder of shards is given.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import tyro

import retro_contest.levels
from agent.models.precision import computes_in_bfloat16
from benchmarks.command import run
from benchmarks.memory_step import measure_memory
from benchmarks.report import report
from benchmarks.timing import count_flops, measure_ceiling, median_ratio, seconds
from benchmarks.vision_loops import OurLoop, ReferenceLoop
from pretrain.config import PretrainConfig
from pretrain.data.shards import ShardSet
from pretrain.stage import choose_device
from pretrain.stages import collect
from pretrain.stages.vision import validate
from retro_common.config import load
from retro_common.errors import UsageError

TURN = 1024
"""frames that one of the two V's learns from before it is the other's turn"""
CHECKPOINTS = 8
"""comparisons of the errors of both V's"""
VALIDATION_FRAMES = 1024
MEMORY_SHARDS = 4


def start_loops(
    config: PretrainConfig, frames: int, device: torch.device
) -> dict[str, ReferenceLoop | OurLoop]:
    """Both loops, untrained."""
    torch.manual_seed(config.seed)
    return {
        "reference": ReferenceLoop(config, frames, device),
        "ours": OurLoop(config, frames, device),
    }


def measure_vision(
    config: PretrainConfig, shards: ShardSet, frames: int, device: torch.device
) -> tuple[list[list], list[list], dict]:
    """Train both V's on `frames` frames each; rows of speed, rows of quality, and the figures."""
    loops = start_loops(config, frames, device)
    rng = np.random.default_rng(config.seed)
    held_back = shards.sample_frames(shards.validation, VALIDATION_FRAMES, rng)
    flops = {
        name: count_flops(lambda loop=loop: loop.step(held_back[: loop.batch]))
        for name, loop in loops.items()
    }
    loops = start_loops(config, frames, device)  # afresh: counting trained them

    turn = max(TURN, loops["ours"].batch)
    turns = max(2, frames // turn)
    seen = dict.fromkeys(loops, 0)
    wall: dict[str, list[float]] = {name: [] for name in loops}
    processor: dict[str, list[float]] = {name: [] for name in loops}
    reading: list[float] = []
    curve: list[dict[str, float]] = []
    checkpoints = {round(turns * (i + 1) / CHECKPOINTS) for i in range(CHECKPOINTS)}
    for number in range(1, turns + 1):
        for name in list(loops)[:: 1 if number % 2 else -1]:  # to and fro: drifts cancel out
            loop, spent, busy, began = loops[name], 0.0, 0.0, seen[name]
            while seen[name] < number * turn:
                start = time.perf_counter()
                batch = shards.sample_frames(shards.training, loop.batch, rng)
                if name == "ours":
                    reading.append((time.perf_counter() - start) / loop.batch)
                cpu = time.process_time()
                spent += seconds(lambda loop=loop, batch=batch: loop.step(batch), device)
                busy += time.process_time() - cpu
                seen[name] += loop.batch
            wall[name].append(spent / (seen[name] - began))
            processor[name].append(busy / (seen[name] - began))
        if number in checkpoints:
            point = {"frames": number * turn}
            for name, loop in loops.items():
                point[f"psnr_{name}"] = validate(loop.model, held_back)
                point[f"mse_{name}"] = 10 ** (-point[f"psnr_{name}"] / 10)
            curve.append(point)

    per_frame = {name: statistics.median(times) for name, times in wall.items()}
    parameters = {n: sum(p.numel() for p in loop.model.parameters()) for n, loop in loops.items()}
    speed_rows, figures = [], {}
    for name, loop in loops.items():
        gflops = flops[name] / loop.batch / per_frame[name] / 1e9
        figures |= {
            f"vision_{name}_frames_per_second": round(1 / per_frame[name], 1),
            f"vision_{name}_mflop_per_frame": round(flops[name] / loop.batch / 1e6, 1),
            f"vision_{name}_gflops": round(gflops, 1),
            f"vision_{name}_parameters": parameters[name],
        }
        label = "the published network, batch 32" if name == "reference" else "pretrain vision"
        speed_rows.append([f"V, {label}: frames/s", f"{1 / per_frame[name]:.0f}"])
        speed_rows.append([f"V, {label}: GFLOP/s", f"{gflops:.0f}"])
    figures |= {
        "ratio_vision_to_reference": median_ratio(wall["reference"], wall["ours"]),
        # What other programs on the machine disturb least; on a GPU it says nothing.
        "ratio_vision_to_reference_in_cpu_seconds": median_ratio(
            processor["reference"], processor["ours"]
        ),
        "vision_reading_share": round(statistics.median(reading) / per_frame["ours"], 4),
        "vision_batch": loops["ours"].batch,
        "vision_bfloat16": loops["ours"].bfloat16,
        "vision_quality": [{k: round(v, 6) for k, v in point.items()} for point in curve],
    }
    last = curve[-1]
    figures["ratio_mse_to_reference"] = round(last["mse_ours"] / last["mse_reference"], 3)
    speed_rows.append(["V: speed against the published", figures["ratio_vision_to_reference"]])
    speed_rows.append(["V: reading frames, share of a step", figures["vision_reading_share"]])
    quality_rows = [
        [
            f"{point['frames']:,}",
            f"{point['psnr_reference']:.2f}",
            f"{point['psnr_ours']:.2f}",
            f"{point['mse_ours'] / point['mse_reference']:.2f}",
        ]
        for point in curve
    ]
    return speed_rows, quality_rows, figures


@contextmanager
def recorded(config: PretrainConfig, per_level: int) -> Iterator[Path]:
    """A folder of shards, recorded now: two of each training level."""
    with tempfile.TemporaryDirectory() as folder:
        levels = len(retro_contest.levels.find(config.levels))
        settings = dataclasses.replace(
            config.collect, timesteps=2 * levels * per_level, shard=per_level, workers=2
        )
        there = dataclasses.replace(config, out=Path(folder), collect=settings)
        collect.run(there)
        yield collect.shard_folder(there)


@dataclasses.dataclass
class Options:
    """Speed and quality of V's and M's training."""

    quick: bool = False
    """a minute or two, with more noise"""
    config: Path = Path("configs/pangolin.yaml")
    """preset whose V and M are measured"""
    shards: Path | None = None
    """folder of rollout shards; without it, frames are recorded on the preset's levels"""
    frames: int | None = None
    """frames that each V learns from"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


def main() -> None:
    options = tyro.cli(Options, prog="python -m benchmarks.world_model", description=__doc__)
    config = load(PretrainConfig, options.config)
    device = choose_device(config.device)
    frames = options.frames or (4 * TURN if options.quick else 40 * TURN)
    rounds = 5 if options.quick else 30
    if options.shards is None:
        with recorded(config, 64 if options.quick else 512) as folder:
            measure(config, folder, frames, rounds, device, options.quick, options.json)
    else:
        measure(config, options.shards, frames, rounds, device, options.quick, options.json)


def measure(
    config: PretrainConfig,
    folder: Path,
    frames: int,
    rounds: int,
    device: torch.device,
    quick: bool,
    to: Path | None = None,
) -> dict:
    """Measure all on the shards of `folder`, and report.

    Args:
        to: a file for the figures.

    Raises:
        UsageError: the folder has fewer than two shards.
    """
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    if len(names) < 2:
        raise UsageError(f"{folder}: not a folder of shards: it has {len(names)}")
    ceiling = {"float32": measure_ceiling(rounds, device, torch.float32)}
    if computes_in_bfloat16("auto", device):
        ceiling["bfloat16"] = measure_ceiling(rounds, device, torch.bfloat16)
    speed, quality, figures = measure_vision(config, ShardSet(folder, names), frames, device)
    with tempfile.TemporaryDirectory() as latents:
        some = ShardSet(folder, names[:MEMORY_SHARDS])
        memory_rows, more = measure_memory(config, some, Path(latents), rounds, device)
    figures = {
        "quick": quick,
        "threads": torch.get_num_threads(),
        "device": device.type,
        **figures,
        **more,
        **{f"ceiling_{name}_gflops": round(value, 1) for name, value in ceiling.items()},
    }
    speed += memory_rows
    speed += [[f"this machine, {name}: GFLOP/s", round(value)] for name, value in ceiling.items()]
    for name in ("vision_reference", "vision_ours", "memory"):
        low = name == "vision_ours" and figures["vision_bfloat16"]
        highest = ceiling["bfloat16" if low and "bfloat16" in ceiling else "float32"]
        figures[f"{name}_share_of_ceiling"] = round(figures[f"{name}_gflops"] / highest, 3)
    header = ["frames seen", "published, PSNR", "ours, PSNR", "squared error, ours / published"]
    report("V on frames held back", [header, *quality], {"vision": figures["vision_quality"]})
    report("Training V and M", [["", ""], *speed], figures, to)
    return figures


if __name__ == "__main__":
    run(main)
