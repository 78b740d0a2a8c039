"""M's training step and its parts, in turns with the bare LSTM."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from agent.models.vision import Vision
from benchmarks.timing import count_flops, median_ratio, seconds
from pretrain.config import PretrainConfig
from pretrain.data.latents import Lanes, Sequences, encode_shards
from pretrain.data.shards import ShardSet
from pretrain.stages import memory


def measure_memory(
    config: PretrainConfig, shards: ShardSet, folder: Path, rounds: int, device: torch.device
) -> tuple[list[list], dict]:
    """Time the step `rounds` times.

    Args:
        shards: some rollouts, whose latents of an untrained V are cached in `folder`.

    Returns:
        Rows of a table, and the figures.
    """
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
