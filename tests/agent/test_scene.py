"""What C is told of a frame, against what the simulator says of the same world."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agent.models import scene
from agent.models.scene import Maps, Scene
from pangolin_dash.acts import Options, make_acts
from pangolin_dash.simulator import RIGHT, ZONE, B, Shown, Worlds
from pretrain.stages.scene import heat_of, waves_of

COLUMNS = scene.COLUMNS[1] - scene.COLUMNS[0]
ROWS = scene.ROWS[1] - scene.ROWS[0]
OWN, TILES, EXTRAS, PROFILE, EDGES = 36, 260, 98, 60, 5
"""numbers in the simulator's observations, in their order"""


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    """Worlds in the middle of their episodes, all acts of the shipped game."""
    acts = list(make_acts(Options()))
    worlds = Worlds(acts, 8 * len(acts), seed=1, frames=True, on_screen=True)
    for world in range(worlds.count):
        worlds.load(world, world // 8)
    rng = np.random.default_rng(0)
    for _ in range(150):
        pads = np.where(rng.random(worlds.count) < 0.3, RIGHT | B, RIGHT).astype(np.uint8)
        worlds.step(pads)
    for _ in range(30):  # at rest: the frame is one behind the world
        worlds.step(np.zeros(worlds.count, np.uint8))
    return worlds


def told(shown: Shown, observed: np.ndarray) -> Maps:
    """The maps of a network that is always right, and sure."""
    count = len(shown.blocks)
    blocks = F.one_hot(torch.from_numpy(shown.blocks).long(), len(scene.BLOCKS))
    blocks = F.pixel_unshuffle(20.0 * blocks.permute(0, 3, 1, 2), 2)
    heat, world, cell, moved = heat_of(torch.from_numpy(shown.things).float())
    offsets = torch.zeros(count, scene.CELLS**2, 2)
    offsets[world, cell] = moved
    offsets = offsets.transpose(1, 2).unflatten(2, (scene.CELLS, scene.CELLS))
    waves = waves_of(torch.from_numpy(shown.cameras).float())
    zone = 20.0 * torch.from_numpy(observed[:, ZONE])
    hidden = torch.zeros(count, scene.CHANNELS, scene.CELLS, scene.CELLS)
    return Maps(blocks, 20 * heat - 10, offsets, waves, hidden, zone)


def parts(numbers: torch.Tensor) -> dict[str, torch.Tensor]:
    """What C is told, by name."""
    sizes = {
        "place": 2,
        "inside": 2,
        "sure": 1,
        "own": scene.OWN,
        "zone": scene.ZONES,
        "hard": ROWS * COLUMNS,
        "extra": ROWS * COLUMNS,
        "depth": COLUMNS,
        "none": COLUMNS,
        "things": 3 * sum(scene.SLOTS),
    }
    return dict(zip(sizes, numbers.split(list(sizes.values()), dim=1), strict=True))


def test_exact_maps_tell_what_the_simulator_tells(worlds: Worlds) -> None:
    observed, shown = worlds.observe(), worlds.scene()
    there = shown.things[:, 0, 0] == 0  # the others are above or below the screen
    assert there.mean() > 0.9
    found = parts(Scene().read(told(shown, observed)))
    exact = torch.from_numpy(observed)

    torch.testing.assert_close(
        320 * found["place"][there, 0], 320 * exact[there, 26], atol=0.01, rtol=0
    )
    tiles = exact[:, OWN : OWN + TILES].unflatten(1, (20, 13)).transpose(1, 2)
    hard = found["hard"].unflatten(1, (ROWS, COLUMNS))[:, : tiles.shape[1]]
    # A block's middle lies between two of the places; liquids differ by zone in the simulator.
    alike = ((hard - tiles).abs() < 0.01) | ((hard < -0.9) & (tiles < -0.3))
    assert alike[there].float().mean() > 0.99
    at = OWN + TILES + EXTRAS
    profile = exact[:, at : at + PROFILE].unflatten(1, (30, 2))
    shift = -6 - scene.COLUMNS[0]  # the simulator's first column
    depth, none = (found[name][:, shift:] for name in ("depth", "none"))
    profile = profile[:, : depth.shape[1]]
    assert (none == profile[..., 1])[there].float().mean() > 0.97
    floors = (profile[..., 1] == 0) & (none == 0) & torch.from_numpy(there)[:, None]
    assert ((depth - profile[..., 0]).abs() < 0.02)[floors].float().mean() > 0.97
    check_things(found["things"][there], exact[there, at + PROFILE + EDGES :])


def check_things(found: torch.Tensor, exact: torch.Tensor) -> None:
    """Of each type the nearest ones, as far as both see them."""
    more = (0, 2, 2, 0, 3, 6, 8, 4, 1, 6, 0)  # further numbers in the simulator's slots
    close: list[torch.Tensor] = []
    for slots, rest in zip(scene.SLOTS, more, strict=True):
        for slot in range(slots):
            ours, theirs = found[:, :3], exact[:, :3]
            found, exact = found[:, 3:], exact[:, 3 + rest :]
            if slot:
                continue
            both = (ours[:, 0] == 1) & (theirs[:, 0] == 1)
            if both.any():
                error = (ours - theirs)[both].abs().max(dim=1).values
                close.append(error < 0.02)
    assert found.shape[1] == 0 and exact.shape[1] == 0
    # One that lies half beyond the screen only the simulator tells of.
    assert len(torch.cat(close)) > 50 and torch.cat(close).float().mean() > 0.9
