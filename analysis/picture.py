"""A picture of what V sees and what M expects: frames, reconstructions, predictions, errors."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import torch

from agent.models.actor import Models
from agent.models.vision import to_input
from pretrain.config import PretrainConfig
from pretrain.data.shards import Shard, ShardSet
from pretrain.stages import collect

matplotlib.use("agg")
import matplotlib.pyplot as plt

COLUMNS = 8
CONTEXT = 24
"""timesteps that M sees before the first column"""
ROWS = ("game", "V: reconstruction", "M: prediction one timestep ahead", "error of the prediction")


@torch.inference_mode()
def look_ahead(models: Models, frames: np.ndarray, actions: np.ndarray) -> tuple:
    """What V draws of each frame, and what M, having seen the frames before, expected of it.

    Args:
        frames: uint8 (T, 64, 64, 3), consecutive frames of one episode.
        actions: int64 (T,).

    Returns:
        Reconstructions (T, 64, 64, 3) and predictions (T - 1, 64, 64, 3) of frames 1 to T - 1, as
        floats in 0..1.
    """
    z, _ = models.vision.encode(to_input(frames))
    hidden, _ = models.memory(
        z.unsqueeze(0), torch.from_numpy(actions).unsqueeze(0), models.memory.initial_state(1)
    )
    expected = models.memory.predict(hidden[0], z).mean()
    drawn, predicted = models.vision.decode(z), models.vision.decode(expected[:-1])
    return (x.permute(0, 2, 3, 1).numpy() for x in (drawn, predicted))


def picture(config: PretrainConfig, models: Models, path: Path) -> None:
    """Write the picture of a stretch of held-back rollout, played with the run's bundle."""
    shards = ShardSet(collect.shard_folder(config), collect.shard_names(config))
    shard, first = liveliest_stretch([shards.shards[i] for i in shards.validation])
    last = first + CONTEXT + COLUMNS
    frames, actions = shard.frames(first, last), np.array(shard.actions[first:last])
    drawn, predicted = look_ahead(models, frames, actions)
    game = frames[-COLUMNS:] / 255.0
    predicted = predicted[-COLUMNS:]
    error = np.abs(predicted - game).mean(axis=-1)

    figure, axes = plt.subplots(4, COLUMNS, figsize=(COLUMNS * 1.6, 4 * 1.45), dpi=100)
    for column in range(COLUMNS):
        cells = (game[column], drawn[-COLUMNS:][column], predicted[column], error[column])
        for row, cell in enumerate(cells):
            axis = axes[row, column]
            # The Mega Drive's picture is 320 x 224; V sees it squeezed into a square.
            axis.imshow(cell, cmap="inferno", vmin=0, vmax=0.5 if row == 3 else 1, aspect=224 / 320)
            axis.set_xticks([])
            axis.set_yticks([])
            if column == 0:
                axis.set_title(ROWS[row], fontsize=9, loc="left")
    figure.suptitle(f"{shard.level}: {COLUMNS} timesteps in a row, not trained on", fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
    print(f"picture: {path}")


def liveliest_stretch(shards: list[Shard]) -> tuple[Shard, int]:
    """The stretch within one episode in which the picture changes most."""
    best, choice = -1.0, None
    need = CONTEXT + COLUMNS
    for shard in shards:
        for episode in shard.episodes(0):
            for first in range(episode.first, episode.last - need + 1, need):
                ends = shard.frames(first + CONTEXT, first + need).astype(np.float32)
                change = float(np.abs(np.diff(ends, axis=0)).mean())
                if change > best:
                    best, choice = change, (shard, first)
    if choice is None:
        raise ValueError(f"no episode among the held-back shards has {need} timesteps")
    return choice
