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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import retro_contest.levels
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Vision
from benchmarks.command import run
from benchmarks.report import report
from benchmarks.vision_loops import OurLoop, ReferenceLoop
from pretrain.config import PretrainConfig
from pretrain.data.latents import Lanes, Sequences, encode_shards
from pretrain.data.shards import ShardSet
from pretrain.stage import choose_device
from pretrain.stages import collect, memory
from pretrain.stages.vision import validate
from retro_common.config import load
from retro_common.errors import UsageError

TURN = 1024
"""frames that one of the two V's learns from before it is the other's turn"""
CHECKPOINTS = 8
"""how often the errors of both V's are compared"""
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


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of `work`, the device's part included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def median_ratio(slow: list[float], fast: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 3)


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


def measure_memory(
    config: PretrainConfig, shards: ShardSet, folder: Path, rounds: int, device: torch.device
) -> tuple[list[list], dict]:
    """Time M's training step and its parts, in turns with the bare LSTM."""
    settings = config.memory
    torch.manual_seed(config.seed)
    latents = encode_shards(Vision(config.agent.vision), shards, folder, device)
    everywhere = range(len(shards.shards))
    lanes = Lanes(shards, everywhere, latents, settings.batch, settings.sequence, config.seed)
    plan = lanes.plan(0)
    model = memory.build(config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    generator = torch.Generator(device).manual_seed(config.seed)

    inputs = config.agent.vision.latent + len(config.agent.actions)
    hidden = config.agent.memory.hidden
    lstm = nn.LSTM(inputs, hidden, batch_first=True).to(device)
    timesteps = settings.batch * settings.sequence
    sizes = (settings.batch, settings.sequence)
    lstm_input = torch.randn(*sizes, inputs, device=device)
    states = torch.randn(timesteps, hidden, device=device, requires_grad=True)
    seen = torch.randn(timesteps, config.agent.vision.latent, device=device)
    lstm_gradient = torch.ones(*sizes, hidden, device=device)
    head_gradient = torch.ones_like(model.mixture(states, seen))
    # The whole batch is of use in the first steps of an epoch; later, lanes run out.
    batch = lanes.batch(plan[0]).to(device)
    state = model.initial_state(settings.batch)

    def train(batch: Sequences) -> None:
        loss, _, _ = memory.sequence_loss(model, batch, state, config, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()

    def bare_lstm() -> None:
        lstm.zero_grad(set_to_none=True)
        lstm(lstm_input)[0].backward(lstm_gradient)

    def head_layers() -> None:
        model.mixture.zero_grad(set_to_none=True)
        model.mixture(states, seen).backward(head_gradient)

    def update() -> None:
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()

    works: dict[str, Callable[[], object]] = {
        "reading": lambda: lanes.batch(plan[0]),
        "step": lambda: train(batch),
        "lstm": bare_lstm,
        "head": head_layers,
        "update": update,
    }
    spent: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 2):
        for name, work in works.items():
            taken = seconds(work, device)
            if number >= 2:  # the first rounds warm up
                spent[name].append(taken)
    middle = {name: statistics.median(times) for name, times in spent.items()}
    products = [a + b for a, b in zip(spent["lstm"], spent["head"], strict=True)]
    # An LSTM is one product per timestep; forward, gradient of the inputs, gradient of the weights.
    lstm_flops = 3 * 2 * timesteps * (inputs + hidden) * 4 * hidden
    head_flops = count_flops(head_layers)
    rest = middle["step"] - middle["lstm"] - middle["head"] - middle["update"]
    figures = {
        "ratio_memory_to_lstm": median_ratio(spent["step"], spent["lstm"]),
        "ratio_memory_to_lstm_and_head": median_ratio(spent["step"], products),
        "ratio_memory_flops_to_lstm": round(1 + head_flops / lstm_flops, 3),
        "memory_timesteps_per_second": round(timesteps / middle["step"]),
        "memory_gflops": round((lstm_flops + head_flops) / middle["step"] / 1e9, 1),
        "memory_reading_share": round(middle["reading"] / middle["step"], 4),
        "memory_rest_ms": round(1e3 * rest, 2),
        **{f"memory_{name}_ms": round(1e3 * value, 2) for name, value in middle.items()},
    }
    rows = [
        ["M, training step, ms", figures["memory_step_ms"]],
        ["M: its LSTM alone, ms", figures["memory_lstm_ms"]],
        ["M: the mixture head's layers, ms", figures["memory_head_ms"]],
        ["M: clipping and Adam, ms", figures["memory_update_ms"]],
        ["M: sampling latents, densities, the other heads (the rest), ms", f"{1e3 * rest:.2f}"],
        ["M: step against its LSTM alone", figures["ratio_memory_to_lstm"]],
        ["M: step against LSTM and the head's layers", figures["ratio_memory_to_lstm_and_head"]],
        ["M: reading latents, share of a step", figures["memory_reading_share"]],
        ["M: GFLOP/s", figures["memory_gflops"]],
    ]
    return rows, figures


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of some work: its products, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@torch.inference_mode()
def measure_ceiling(rounds: int, device: torch.device, precision: torch.dtype) -> float:
    """GFLOP/s of the best of two large products, of matrices and 3x3 convolution."""
    size = 2048 if device.type == "cpu" else 8192
    kind = {"device": device, "dtype": precision}
    a, b = torch.randn(2, size, size, **kind)
    images = torch.randn(32, 64, 32, 32, **kind).to(memory_format=torch.channels_last)
    kernel = torch.randn(64, 64, 3, 3, **kind).to(memory_format=torch.channels_last)
    products = 2 * size**3 / min(seconds(lambda: a @ b, device) for _ in range(rounds))
    convolutions = (
        2
        * 32
        * 32**2
        * 64
        * 64
        * 9
        / min(seconds(lambda: F.conv2d(images, kernel, padding=1), device) for _ in range(rounds))
    )
    return max(products, convolutions) / 1e9


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
