"""The scene stage: `agent.models.scene.Scene` learns the simulator's labels of frames.

The teacher plays the acts of the run's track natively, from their starts and from along their
movies, with random actions in between, so that much is seen that good play does not show. Frames
and labels are made as they are needed. The emulator's frames are the same, pixel by pixel.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from agent.models.precision import computes_in_bfloat16
from agent.models.scene import BLOCK, CELL, CELLS, THINGS, Maps, Scene, turns
from agent.models.vision import to_input
from pangolin_dash.simulator import OWN_STATE, ZONE, Shown, Worlds
from pretrain.config import PretrainConfig
from pretrain.data import acts
from pretrain.data.starts import Starts
from pretrain.loop import Loop, cosine
from pretrain.stage import Seeds, Stage, choose_device, seed_of
from pretrain.teacher import Teacher
from retro_common.errors import UsageError

STEPS, BATCH = 5000, 64
"""gradient steps, and frames in one, each of a world of its own"""
RATE = 2e-3
"""Adam's step size; it falls to a tenth along a cosine"""
WARMUP = 100
"""steps over which it rises from 0"""
APART = 4
"""timesteps between two gradient steps, so that frames differ"""
TIMESTEPS = STEPS * BATCH * APART
"""timesteps that are played in all"""
PATIENCE = 100
"""timesteps without new ground after which an episode ends"""
NOISE, LONGEST = 0.1, 15
"""probability per timestep that random actions begin, and the timesteps that they last at most"""
WEIGHTS = {"blocks": 10.0, "things": 0.1, "offsets": 0.3, "grid": 10.0, "own": 1.0, "zone": 0.1}
"""of the losses"""
NEAR, FLOOR = 0.2, 0.02
"""weights of a thing's absence: next to a thing, and, everywhere, where it is told already"""


def stage(config: PretrainConfig) -> Stage:
    path = config.controller.teacher
    if path is None:
        raise UsageError("scene: it learns from the simulator: name a controller.teacher")
    settings = {
        "levels": config.levels,
        "generated_acts": config.teacher.generated,
        "teacher": Teacher.sha256(path),
        "scene": {"steps": STEPS, "batch": BATCH, "learning_rate": RATE},
        "seed": config.seed,
    }
    return Stage("scene", config.out / "scene", settings)


def load(config: PretrainConfig) -> Scene:
    """The trained network.

    Raises:
        UsageError: it is not trained yet.
    """
    network = Scene()
    stage(config).load_trained(network)
    return network


class Player:
    """Plays worlds, and labels what their frames show."""

    def __init__(self, config: PretrainConfig, teacher: Teacher, worlds: int, seed: int):
        assert config.controller.teacher is not None
        folder = config.controller.teacher.parent / acts.MOVIES
        known = acts.known_acts(config.levels, config.teacher.generated, folder)
        traces = acts.traces(known)
        self.worlds = Worlds(
            [each.act for each in known],
            worlds,
            routes=[trace and trace.route for trace in traces],
            seed=seed_of(seed, 0),
            patience=PATIENCE,
            frames=True,
            on_screen=True,
        )
        teacher.check(self.worlds)
        self.teacher = teacher
        self.rng = np.random.default_rng(seed_of(seed, 1))
        self.starts = Starts(self.worlds, [trace and trace.states for trace in traces], self.rng)
        self.generator = torch.Generator().manual_seed(seed_of(seed, 2))
        self.noisy = np.zeros(worlds, np.int64)
        self.action = np.zeros(worlds, np.int64)

    def play(self, timesteps: int) -> None:
        """Go on for so many timesteps."""
        rng, count, choices = self.rng, self.worlds.count, len(self.teacher.pads)
        self.starts.look()
        for _ in range(timesteps):
            log_probs, _ = self.teacher.label(self.worlds.observe())
            drawn = torch.multinomial(
                torch.from_numpy(log_probs).exp(), 1, generator=self.generator
            )
            begins = (self.noisy == 0) & (rng.random(count) < NOISE)
            self.action = np.where(begins, rng.integers(choices, size=count), self.action)
            self.noisy = np.where(begins, rng.integers(1, LONGEST + 1, size=count), self.noisy)
            taken = np.where(self.noisy > 0, self.action, drawn.squeeze(1).numpy())
            self.noisy = np.maximum(self.noisy - 1, 0)
            self.worlds.step(self.teacher.pads[taken])
            self.starts.after_step()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train the network, going on from the last checkpoint.

    Raises:
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
        UsageError: the run names no teacher.
    """
    work = stage(config).open(fresh)
    if work.finished:
        print(f"scene: already done ({work.folder})")
        return
    device = choose_device(config.device)
    assert config.controller.teacher is not None
    teacher = Teacher.load(config.controller.teacher)
    torch.manual_seed(seed_of(config.seed, Seeds.SCENE))
    model = Scene().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    bfloat16 = computes_in_bfloat16("auto", device)
    with Loop(work, STEPS, track=config.track, model=model, optimizer=optimizer) as loop:
        seed = seed_of(config.seed, Seeds.SCENE, 1, loop.first)
        player = Player(config, teacher, BATCH, seed)
        for step in loop:
            player.play(APART)
            shown, observed = player.worlds.scene(), player.worlds.observe()
            frames = to_input(player.worlds.draw_small(), device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                maps = model(frames)
            losses, scalars = scene_losses(model, maps, shown, observed)
            loss = sum(WEIGHTS[name] * value for name, value in losses.items())
            rate = RATE * min(1.0, (step + 1) / WARMUP) * cosine(step, STEPS)
            loop.descend(loss, optimizer, rate)
            if loop.logs:
                parts = {f"losses/scene_{name}": value for name, value in losses.items()}
                values = {f"scene/{name}": value for name, value in scalars.items()}
                note = f"blocks {scalars['blocks_right']:.3f}, camera {scalars['camera']:.1f} px"
                loop.log({"losses/scene": loss, **parts, **values}, note)
    result = {name: round(float(value), 4) for name, value in scalars.items()}
    work.finish(bfloat16=bfloat16, **result)
    print(f"scene: of the last frames {result['blocks_right']:.1%} of the blocks are right")


def scene_losses(
    model: Scene, maps: Maps, shown: Shown, observed: np.ndarray
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The losses of a batch, and figures to log.

    Args:
        maps: of the frames.
        shown: the frames' labels.
        observed: what `Worlds.observe` says, (B, O).

    Returns:
        The losses by their names in `WEIGHTS`; and `blocks_right`, the share of places whose class
        of blocks is right, and `camera`, the mean error of the grid's place in pixels.
    """
    device = maps.blocks.device
    blocks = torch.from_numpy(shown.blocks).long().to(device)
    logits = F.pixel_shuffle(maps.blocks.float(), 2)
    heat, world, cell, offsets = heat_of(torch.from_numpy(shown.things).float().to(device))
    predicted = maps.things.float()
    near = F.max_pool2d(heat, 3, 1, 1)
    weight = torch.where(near > 0, NEAR, 1.0) * predicted.detach().sigmoid().square() + FLOOR
    weight = torch.where(heat > 0, 1.0, weight)
    entropy = F.binary_cross_entropy_with_logits(predicted, heat, weight, reduction="sum")
    moved = maps.offsets.float().permute(0, 2, 3, 1).flatten(1, 2)[world, cell]
    cameras = torch.from_numpy(shown.cameras).float().to(device)
    own = torch.from_numpy(observed[:, OWN_STATE]).to(device)
    players = heat[:, 0].flatten(1).max(dim=1)
    there = players.values > 0
    told = model.state_at(maps, players.indices)
    zones = torch.from_numpy(observed[:, ZONE]).argmax(dim=1).to(device)
    losses = {
        "blocks": F.cross_entropy(logits, blocks),
        "things": entropy / len(heat),
        "offsets": F.l1_loss(moved, offsets),
        "grid": F.mse_loss(maps.waves.float(), waves_of(cameras)),
        "own": ((told - own).square().mean(dim=1) * there).mean(),
        "zone": F.cross_entropy(maps.zone.float(), zones),
    }
    with torch.no_grad():
        wrong = (model.camera(maps.waves) - cameras + BLOCK / 2) % BLOCK - BLOCK / 2
        scalars = {
            "blocks_right": (logits.argmax(dim=1) == blocks).float().mean(),
            "camera": wrong.abs().mean(),
            "zones_right": (maps.zone.argmax(dim=1) == zones).float().mean(),
        }
    return losses, scalars


def heat_of(things: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Where things (B, N, 3) as in `Shown` stand.

    Returns:
        1 in the cells of each type (B, T, 32, 32); and of each thing in the frame its number in
        the batch, its cell, and its x and y from the cell's middle in cells (M, 2).
    """
    heat = things.new_zeros(len(things), THINGS, CELLS, CELLS)
    world, number = (things[..., 0] >= 0).nonzero(as_tuple=True)
    found = things[world, number]
    at = found[:, 1:] / found.new_tensor(CELL)
    cells = at.long().clamp(0, CELLS - 1)
    heat[world, found[:, 0].long(), cells[:, 1], cells[:, 0]] = 1
    return heat, world, cells[:, 1] * CELLS + cells[:, 0], at - cells - 0.5


def waves_of(cameras: torch.Tensor) -> torch.Tensor:
    """The cosines and sines of all cells' places within their blocks, (B, 4, 32, 32), for cameras
    (B, 2) in pixels."""
    angles = (2 * math.pi / BLOCK) * cameras[..., None, None]
    cos, sin = turns().to(cameras.device)
    turned_cos = angles.cos() * cos - angles.sin() * sin
    turned_sin = angles.sin() * cos + angles.cos() * sin
    return torch.cat([turned_cos, turned_sin], dim=1)
