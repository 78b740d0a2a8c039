"""The report's pictures: reconstructions, open-loop predictions, and training curves."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agent.models.actor import Models
from analysis.episodes import CONTEXT, HORIZONS, EncodedEpisodes, imagine, rollout_starts

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

PICTURED_LEVELS = 5
SCREEN_SHAPE = 224 / 320
"""height of the game's screen in widths; V sees it squeezed into a square"""
ERROR_SCALE = 0.5
"""mean absolute error of a pixel that is drawn in the brightest colour"""
TRAIN, HELDOUT, NOTHING = "tab:blue", "tab:orange", "tab:gray"
SMOOTHING = 0.9
"""of noisy training curves: an exponential mean with this weight on the past"""


@torch.inference_mode()
def draw_pictures(
    models: Models, data: EncodedEpisodes, result: dict[str, Any], run: Path, to: Path
) -> list[Path]:
    """Write the report's PNGs into the folder `to`, of held-out rollouts and of the figures."""
    first = rollout_starts(data)
    # Of each level, the stretch in which the picture changes most: standing still is no test.
    ends = [data.frames[first + CONTEXT - 1 + ahead].astype(np.float32) for ahead in (0, 5, 15)]
    change = sum(np.abs(b - a).mean(axis=(1, 2, 3)) for a, b in pairwise(ends))
    liveliest = [
        max(np.flatnonzero(data.level[first] == level), key=lambda row: change[row])
        for level in dict.fromkeys(data.level[first])
    ]
    chosen = first[liveliest][:PICTURED_LEVELS]
    last = chosen + CONTEXT - 1

    def drawn(latents: torch.Tensor) -> np.ndarray:
        return models.vision.decode(latents).permute(0, 2, 3, 1).numpy()

    seen = np.concatenate([last, last + HORIZONS[-1]])
    seen = seen[np.argsort(np.tile(np.arange(len(last)), 2), kind="stable")]
    ahead = [0, *HORIZONS]
    dreamt = [torch.from_numpy(data.mean[last]), *imagine(models.memory, data, chosen)]
    titles = [str(level) for level in data.level[chosen]]
    figures = {
        "reconstructions": draw_reconstructions(
            data.frames[seen] / 255.0,
            drawn(torch.from_numpy(data.mean[seen])),
            [str(level) for level in data.level[seen]],
            models.vision.places(torch.from_numpy(data.mean[seen])),
        ),
        "rollouts": draw_rollouts(
            np.stack([data.frames[last + steps] / 255.0 for steps in ahead], axis=1),
            np.stack([drawn(dreamt[steps]) for steps in ahead], axis=1),
            ahead,
            titles,
            [models.vision.places(dreamt[steps]) for steps in ahead],
        ),
        "horizons": draw_horizons(result),
        "latents": draw_latents(result),
        "training": draw_training(run, result),
    }
    paths = []
    for name, figure in figures.items():
        if figure is not None:
            paths.append(to / f"world-model-{name}.png")
            save(figure, paths[-1])
    return paths


def draw_reconstructions(
    frames: np.ndarray, drawn: np.ndarray, titles: list[str], places: torch.Tensor | None = None
) -> Figure:
    """Frames, V's drawings of them and the errors, one column each.

    Args:
        frames, drawn: (N, 64, 64, 3), values in 0..1.
        titles: N texts, above the columns.
        places: (N, 2), where V finds the thing that is played: it gets a ring.
    """
    error = np.abs(drawn - frames).mean(axis=-1)
    figure, axes = plt.subplots(
        3, len(frames), figsize=(1.7 * len(frames) + 0.5, 4.3), dpi=110, squeeze=False
    )
    for column, title in enumerate(titles):
        axes[0, column].set_title(title, fontsize=7)
        for row, picture in enumerate((frames[column], drawn[column], error[column])):
            show(axes[row, column], picture)
        if places is not None:
            ring(axes[0, column], places[column])
    for row, label in enumerate(("game", "V", "error")):
        axes[row, 0].set_ylabel(label, fontsize=9)
    figure.tight_layout()
    return figure


def draw_rollouts(
    truth: np.ndarray,
    dreamt: np.ndarray,
    ahead: list[int],
    titles: list[str],
    places: list[torch.Tensor | None],
) -> Figure:
    """Strips of open-loop rollouts: the game above what M dreamt, at some horizons.

    Args:
        truth, dreamt: (R, len(ahead), 64, 64, 3), values in 0..1.
        ahead: timesteps after the last frame that M saw; 0 is that frame.
        titles: R texts.
        places: for each horizon (R, 2), where M expects the thing that is played: it gets a ring;
            or None.
    """
    size = (1.7 * len(ahead) + 0.5, 2.5 * len(truth) + 0.5)
    figure = plt.figure(figsize=size, dpi=110, layout="constrained")
    strips = np.atleast_1d(figure.subfigures(len(truth), 1))
    for number, (strip, title) in enumerate(zip(strips, titles, strict=True)):
        strip.suptitle(title, fontsize=9)
        axes = strip.subplots(2, len(ahead), squeeze=False)
        for column, steps in enumerate(ahead):
            show(axes[0, column], truth[number, column])
            show(axes[1, column], dreamt[number, column])
            if places[column] is not None:
                ring(axes[1, column], places[column][number])
            label = "last frame seen" if steps == 0 else f"{steps} ahead"
            axes[0, column].set_title(label, fontsize=7)
        axes[0, 0].set_ylabel("game", fontsize=8)
        axes[1, 0].set_ylabel("dream", fontsize=8)
    return figure


def show(axis: Axes, picture: np.ndarray) -> None:
    """A frame in its shape on the screen, or an error (H, W) as a heat map."""
    highest = ERROR_SCALE if picture.ndim == 2 else 1
    axis.imshow(picture, cmap="inferno", vmin=0, vmax=highest, aspect=SCREEN_SHAPE)
    axis.set_xticks([])
    axis.set_yticks([])


def ring(axis: Axes, place: torch.Tensor) -> None:
    """A ring around a place (2,) between -1 and 1, on a shrunk frame that `show` has shown."""
    x, y = ((place + 1) * 32 - 0.5).tolist()
    for colour, width in (("black", 2.4), ("white", 1.2)):
        axis.scatter([x], [y], s=150, facecolors="none", edgecolors=colour, linewidths=width)
    axis.set_xlim(-0.5, 63.5)
    axis.set_ylim(63.5, -0.5)


def draw_horizons(result: dict[str, Any]) -> Figure:
    """Decoded PSNR and the player's position by horizon, against freezing the last frame."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), dpi=110)
    for kind, colour in (("train", TRAIN), ("heldout", HELDOUT)):
        for axis, measure in ((left, "psnr"), (right, "player_px")):
            for name, style in (("rollout", "-o"), ("freeze", "--x")):
                values = result[kind][f"{name}_{measure}"]
                label = f"{'M' if name == 'rollout' else 'last frame frozen'}, {kind}"
                horizons = [int(at) for at in values]
                axis.plot(horizons, list(values.values()), style, color=colour, label=label)
    left.set_ylabel("PSNR of the decoded frame, dB")
    right.set_ylabel("error of the player's position, px")
    for axis in (left, right):
        axis.set_xlabel("timesteps ahead")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    return figure


def draw_latents(result: dict[str, Any]) -> Figure:
    """KL of every latent unit, sorted; units at 0 say nothing."""
    figure, axis = plt.subplots(figsize=(7, 3.4), dpi=110)
    for kind, colour in (("train", TRAIN), ("heldout", HELDOUT)):
        kl = np.sort(result[kind]["kl_by_unit"])[::-1]
        active = result[kind]["active_units"]
        axis.plot(np.arange(1, len(kl) + 1), kl, color=colour, label=f"{kind}: {active} active")
    axis.set_xlabel("latent units, sorted")
    axis.set_ylabel("KL, nats")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    return figure


def draw_training(run: Path, result: dict[str, Any]) -> Figure | None:
    """V's PSNR by frames seen, M's NLL by timesteps seen; None where nothing was logged.

    A curve that still rises at its end asks for more steps; a gap between training and the levels
    held out, for more data; two flat curves side by side, for a larger network.
    """
    config = result["config"]
    vision = scalars(run / "vision" / "log", "vision")
    memory = scalars(run / "memory" / "log", "memory")
    if not vision and not memory:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), dpi=110)
    per_step = config["vision"]["batch"]
    if "mse" in vision:
        steps, mse = vision["mse"]
        decibels = -10 * np.log10(np.maximum(mse, 1e-10))
        label = "batches trained on (sampled z)"
        left.plot(steps * per_step, smooth(decibels), color=NOTHING, label=label)
    if "validation_psnr" in vision:
        steps, values = vision["validation_psnr"]
        label = "training levels, shards held back"
        left.plot((steps + 1) * per_step, values, "-o", ms=3, color=TRAIN, label=label)
    left.axhline(
        result["heldout"]["psnr"], color=HELDOUT, ls="--", label="held-out levels, at last"
    )
    left.set_xlabel("frames seen")
    left.set_ylabel("V: PSNR, dB")
    per_step = config["memory"]["batch"] * config["memory"]["sequence"]
    if "nll" in memory:
        steps, values = memory["nll"]
        right.plot(steps * per_step, smooth(values), color=NOTHING, label="batches trained on")
    if "validation_nll" in memory:
        steps, values = memory["validation_nll"]
        label = "training levels, shards held back"
        right.plot((steps + 1) * per_step, values, "-o", ms=3, color=TRAIN, label=label)
    for kind, colour in (("train", TRAIN), ("heldout", HELDOUT)):
        right.axhline(result[kind]["nll"], color=colour, ls="--", label=f"{kind} levels, at last")
    right.axhline(
        result["heldout"]["nll_linear"], color="k", ls=":", label="held out, linear model"
    )
    right.set_xlabel("timesteps seen")
    right.set_ylabel("M: NLL, nats per latent unit")
    for axis in (left, right):
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.tight_layout()
    return figure


def scalars(folder: Path, prefix: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The scalars ``prefix/name`` of a TensorBoard log: steps and values by name."""
    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        if tag.startswith(f"{prefix}/"):
            points = events.Scalars(tag)
            steps = np.array([point.step for point in points])
            values = np.array([point.value for point in points])
            curves[tag.removeprefix(f"{prefix}/")] = (steps, values)
    return curves


def smooth(values: np.ndarray) -> np.ndarray:
    """An exponential mean, right from the first value on."""
    result, mean, weight = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * float(value)
        weight = SMOOTHING * weight + 1 - SMOOTHING
        result[index] = mean / weight
    return result


def save(figure: Figure, path: Path) -> None:
    """Write a figure and let go of it."""
    figure.savefig(path)
    plt.close(figure)
