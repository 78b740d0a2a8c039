"""The report: do V and M hold the information that the controller needs, on held-out levels too?

New rollouts of training and held-out levels are recorded, with a seed of their own. Probes and
baselines are fitted on one half of the training levels' rollouts and evaluated on the other half,
and on the held-out levels.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rich.console
import rich.table
import torch

from agent import bundle
from agent.models.actor import Actor, Models
from agent.models.memory import Memory
from agent.models.vision import kl_per_unit, to_input
from analysis import measure
from analysis.episodes import (
    CONTEXT,
    HORIZONS,
    EncodedEpisodes,
    chunks,
    hidden_before,
    imagine,
    rollout_starts,
    run_through,
    transitions,
)
from analysis.pictures import draw_pictures
from pretrain.config import PretrainConfig
from pretrain.data.recorder import ShardJob
from pretrain.data.shards import Shard
from pretrain.stage import Seeds, seed_of
from pretrain.stages.collect import record_all
from retro_common.config import to_dict
from retro_common.errors import UsageError
from retro_common.files import write_atomically
from retro_common.provenance import git_commit, provenance
from retro_contest.levels import find

ACTIVE_VARIANCE = 0.01
"""a unit is active if the variance of its mean over frames is above this (arXiv 1509.00519)"""


@dataclass
class Readers:
    """Probes and baselines, fitted on rollouts of training levels."""

    screen: measure.LinearProbe
    state: measure.LinearProbe
    state_untrained: measure.LinearProbe
    ground: measure.LinearProbe
    linear: measure.LinearProbe
    linear_std: np.ndarray
    same_std: np.ndarray

    @classmethod
    def fit(cls, data: EncodedEpisodes, untrained: Memory) -> Readers:
        actions = untrained.actions
        state = np.concatenate([data.mean, data.before], axis=1)
        now, following = transitions(data)
        inputs = np.concatenate([data.z[now], np.eye(actions)[data.actions[now]]], axis=1)
        linear = measure.LinearProbe(inputs, data.z[following])
        return cls(
            screen=measure.LinearProbe(data.mean, data.screen),
            state=measure.LinearProbe(state, data.speed),
            state_untrained=measure.LinearProbe(state_with(untrained, data), data.speed),
            ground=measure.LinearProbe(state, data.ground[:, None]),
            linear=linear,
            linear_std=(data.z[following] - linear(inputs)).std(axis=0) + 1e-6,
            same_std=(data.z[following] - data.z[now]).std(axis=0) + 1e-6,
        )


def state_with(untrained: Memory, data: EncodedEpisodes) -> np.ndarray:
    """[z, h] with another M's h, (N, Z + H)."""
    return np.concatenate([data.mean, hidden_before(untrained, data)], axis=1)


@torch.inference_mode()
def judge(
    models: Models, data: EncodedEpisodes, readers: Readers, untrained: Memory
) -> dict[str, Any]:
    """All figures of some rollouts."""
    figures: dict[str, Any] = {"timesteps": len(data.mean)}
    figures |= judge_vision(models, data, readers)
    figures |= judge_prediction(models, data, readers, untrained)
    figures |= judge_open_loop(models, data, readers)
    figures["run_time_error"] = run_time_error(models, data)
    return figures


def judge_vision(models: Models, data: EncodedEpisodes, readers: Readers) -> dict[str, Any]:
    squared, near, near_count = 0.0, 0.0, 0
    for rows in chunks(np.arange(len(data.mean)), 512):
        inputs = to_input(data.frames[rows])
        drawn = models.vision.decode(torch.from_numpy(data.mean[rows]))
        error = (drawn - inputs).square().mean(dim=1).numpy()
        mask = measure.player_mask(data.screen[rows])
        squared += error.mean(axis=(1, 2)).sum()
        near += error[mask].sum()
        near_count += int(mask.sum())
    kl = kl_per_unit(torch.from_numpy(data.mean), torch.from_numpy(data.logvar)).mean(dim=0)
    screen = readers.screen(data.mean)
    state = np.concatenate([data.mean, data.before], axis=1)
    speed = readers.state(state)
    return {
        "psnr": measure.psnr(squared / len(data.mean)),
        "psnr_player": measure.psnr(near / max(near_count, 1)),
        "latent_units": data.mean.shape[1],
        "active_units": int((data.mean.var(axis=0) > ACTIVE_VARIANCE).sum()),
        "kl_per_unit": float(kl.mean()),
        "kl_by_unit": [round(value, 4) for value in kl.tolist()],
        "probe_screen_x_r2": measure.r_squared(data.screen[:, 0], screen[:, 0]),
        "probe_screen_y_r2": measure.r_squared(data.screen[:, 1], screen[:, 1]),
        "probe_screen_error_px": float(np.abs(data.screen - screen).mean()),
        "probe_speed_x_r2": measure.r_squared(data.speed[:, 0], speed[:, 0]),
        "probe_speed_y_r2": measure.r_squared(data.speed[:, 1], speed[:, 1]),
        "probe_on_ground_auc": measure.auc(data.ground > 0.5, readers.ground(state)[:, 0]),
    }


def judge_prediction(
    models: Models, data: EncodedEpisodes, readers: Readers, untrained: Memory
) -> dict[str, Any]:
    now, following = transitions(data)
    inputs = np.concatenate([data.z[now], np.eye(models.memory.actions)[data.actions[now]]], axis=1)
    prediction = models.memory.predict(torch.from_numpy(data.after), torch.from_numpy(data.mean))
    speed = readers.state_untrained(state_with(untrained, data))
    return {
        "nll": next_latent_nll(models.memory, data),
        "nll_same": measure.gaussian_nll(data.z[following], data.z[now], readers.same_std),
        "nll_linear": measure.gaussian_nll(
            data.z[following], readers.linear(inputs), readers.linear_std
        ),
        "nll_untrained": next_latent_nll(untrained, data),
        "probe_speed_x_r2_untrained": measure.r_squared(data.speed[:, 0], speed[:, 0]),
        "probe_speed_y_r2_untrained": measure.r_squared(data.speed[:, 1], speed[:, 1]),
        "reward_corr": measure.correlation(data.rewards, prediction.reward.numpy()),
        "end_auc": measure.auc(data.ends, prediction.end_logit.numpy()),
        "ends": int(data.ends.sum()),
    }


def next_latent_nll(memory: Memory, data: EncodedEpisodes) -> float:
    """Nats per latent unit of the sampled next latent, given the sampled latents so far."""
    total, count = 0.0, 0
    for first in np.unique(data.starts):
        rows = np.flatnonzero(data.starts == first)
        if len(rows) < 2:
            continue
        z = torch.from_numpy(data.z[rows])
        actions = torch.from_numpy(data.actions[rows])
        hidden, _ = memory(z.unsqueeze(0), actions.unsqueeze(0), memory.initial_state(1))
        prediction = memory.predict(hidden[0, :-1], z[:-1])
        total -= prediction.log_prob(z[1:]).mean(dim=1).sum().item()
        count += len(rows) - 1
    return total / max(count, 1)


def judge_open_loop(models: Models, data: EncodedEpisodes, readers: Readers) -> dict[str, Any]:
    """See CONTEXT frames, then imagine HORIZONS[-1] timesteps with the actions that were taken."""
    first = rollout_starts(data)
    dreamt = imagine(models.memory, data, first)
    last = first + CONTEXT - 1
    frozen = to_input(data.frames[last])
    figures: dict[str, Any] = {
        key: {} for key in ("rollout_psnr", "freeze_psnr", "rollout_player_px", "freeze_player_px")
    }
    for ahead in HORIZONS:
        truth, screen = to_input(data.frames[last + ahead]), data.screen[last + ahead]
        z, at = dreamt[ahead - 1], str(ahead)
        drawn = models.vision.decode(z)
        figures["rollout_psnr"][at] = measure.psnr((drawn - truth).square().mean().item())
        figures["freeze_psnr"][at] = measure.psnr((frozen - truth).square().mean().item())
        for key, latents in (("rollout", z.numpy()), ("freeze", data.mean[last])):
            error = np.abs(readers.screen(latents) - screen).mean()
            figures[f"{key}_player_px"][at] = float(error)
    return {**figures, "rollouts": len(first)}


def run_time_error(models: Models, data: EncodedEpisodes) -> float:
    """Largest difference between M stepped by the agent's code and M on the recorded sequence."""
    rows = np.flatnonzero(data.starts == np.bincount(data.starts).argmax())[:256]
    actor, worst = Actor(models, envs=1, seed=0), 0.0
    for row in rows:
        features = actor.observe(data.frames[row : row + 1])
        worst = max(worst, float(np.abs(features.h.numpy()[0] - data.before[row]).max()))
        action = torch.from_numpy(data.actions[row : row + 1])
        actor.remember(features, action, np.zeros(1), np.array([False]))
    return worst


def report(
    config: PretrainConfig, models: Models, manifest: bundle.Manifest, to: Path
) -> dict[str, Any]:
    """Record, measure, print a table, and write the JSON and Markdown into the folder `to`.

    Raises:
        UsageError: the agent has no V and M, or the configuration names no held-out levels.
    """
    if config.heldout is None:
        raise UsageError("report: the configuration has no `heldout`: which levels to measure on")
    missing = {"vision", "memory"} - models.parts().keys()
    if missing:
        raise UsageError(f"report: this agent has no {' and no '.join(sorted(missing))}")
    shard = min(config.collect.shard, config.report_timesteps)
    config = dataclasses.replace(config, collect=dataclasses.replace(config.collect, shard=shard))
    torch.manual_seed(seed_of(config.seed, Seeds.REPORT))
    untrained = Memory(models.config.memory, models.config.vision, models.memory.actions)
    rollouts = {}
    for index, (kind, text) in enumerate((("train", config.levels), ("heldout", config.heldout))):
        levels = find(text)
        per_level = max(1, round(config.report_timesteps / shard))
        jobs = [
            ShardJob(
                config.out / "report" / kind / f"{level.state}-{number}.safetensors",
                level,
                seed_of(config.seed, Seeds.REPORT, index, position, number),
            )
            for position, level in enumerate(levels)
            for number in range(per_level)
        ]
        record_all(jobs, config, {"commit": git_commit(), "kind": kind})
        shards = [Shard(job.path) for job in jobs]
        rollouts[kind] = run_through(models, shards, models.config.reward.scale)
    fitted, judged = rollouts["train"].half(0), rollouts["train"].half(1)
    readers = Readers.fit(fitted, untrained)
    result = {
        "train": judge(models, judged, readers, untrained),
        "heldout": judge(models, rollouts["heldout"], readers, untrained),
        "train_levels": config.levels,
        "heldout_levels": config.heldout,
        "bundle": {name: weight.sha256 for name, weight in manifest.weights.items()},
        "config": to_dict(config),
        "timesteps": {"pretraining": manifest.origin.get("pretraining_timesteps")},
        **provenance(),
    }
    to.mkdir(parents=True, exist_ok=True)
    write_atomically(to / "world-model.json", json.dumps(result, indent=1, default=str).encode())
    lines = table_rows(result)
    table = rich.table.Table(title="V and M, measured")
    for column in ("", "training levels", "held-out levels"):
        table.add_column(column, justify="left" if column == "" else "right")
    for row in lines:
        table.add_row(*row)
    rich.console.Console().print(table)
    pictures = draw_pictures(models, rollouts["heldout"], result, config.base or config.out, to)
    markdown = ["| | training levels | held-out levels |", "|---|---|---|"]
    markdown += [f"| {' | '.join(row)} |" for row in lines]
    markdown += ["", *(f"![{path.stem}]({path.name})" for path in pictures)]
    write_atomically(to / "world-model.md", "\n".join([*markdown, ""]).encode())
    return result


def table_rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """One row per figure; figures by horizon get a row per horizon."""
    rows = []
    for name, value in result["train"].items():
        other = result["heldout"][name]
        if isinstance(value, list):
            continue  # for the pictures
        pairs = [(name, value, other)]
        if isinstance(value, dict):
            pairs = [(f"{name}, {at} ahead", value[at], other[at]) for at in value]
        for label, *numbers in pairs:
            rows.append((label, *(f"{x:.3g}" if isinstance(x, float) else str(x) for x in numbers)))
    return rows
