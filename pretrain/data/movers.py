"""Frames in which the player sprite can be located without labels.

If one direction is held for two timesteps, and a single small thing changes from frame to frame,
that thing is the player: its place is the mean of the pixels that differ both from the previous and
from the next frame. This holds in about one frame of 40 (on Pangolin Dash 99% of these are right),
and `pretrain.stages.find_player` continues from there. The idea is contingency awareness
(arXiv 1811.01483), where a network has to predict actions from frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.models.frames import SIZE
from pretrain.data.shards import Shard, ShardSet

CHANGED = 12
"""least difference in a colour, of 255, of a pixel that has changed"""
PIXELS = (8, 90)
"""fewest and most pixels that change twice"""
TWICE = (3.0, 4.0)
"""highest standard deviation in pixels of their columns and rows; frames are squeezed in x"""
ONCE = (6.0, 7.0)
"""the same of all pixels that change: the player before and after, and nothing else"""
DIRECTIONS = ("LEFT", "RIGHT")
CHUNK = 512


@dataclass
class Movers:
    """Frames of some shards in which only the player moved."""

    shards: np.ndarray
    """the number of each frame's shard, (N,)"""
    rows: np.ndarray
    """the frame's timestep in its shard, (N,)"""
    places: np.ndarray
    """the player's x and y, float32 (N, 2), between -1 and 1, the frame's edges"""

    def __len__(self) -> int:
        return len(self.rows)


def find_movers(shards: ShardSet, indices: Sequence[int], actions: Sequence[str]) -> Movers:
    """Look through these shards.

    Args:
        actions: the buttons of each action, with blanks between them.
    """
    held = [
        np.flatnonzero([direction in buttons.split() for buttons in actions])
        for direction in DIRECTIONS
    ]
    found = []
    for index in indices:
        rows, places = movers_of(shards.shards[index], held)
        found.append((np.full(len(rows), index), rows, places))
    return Movers(*(np.concatenate(column) for column in zip(*found, strict=True)))


def movers_of(shard: Shard, held: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Timesteps of a shard in which a mover is seen, (N,), and its places, (N, 2).

    Args:
        held: for each direction the actions that hold it.
    """
    rows, places = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.float32)]
    for first in range(0, len(shard) - 2, CHUNK):
        last = min(first + CHUNK, len(shard) - 2)
        seen, where = find_in_frames(shard.frames(first, last + 2))
        here = np.arange(first + 1, last + 1)
        kept = [np.isin(shard.actions, direction) for direction in held]
        seen &= np.any([keeps[here - 1] & keeps[here] for keeps in kept], axis=0)
        seen &= ~(shard.starts[here] | shard.starts[here + 1])  # three frames of one episode
        rows.append(here[seen])
        places.append(where[seen])
    return np.concatenate(rows), np.concatenate(places)


def find_in_frames(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Movers in consecutive frames, uint8 (T, 64, 64, 3).

    Returns:
        For each frame but the first and the last, whether there is one, bool (T - 2,), and its
        place, float32 (T - 2, 2).
    """
    difference = np.maximum(frames[1:], frames[:-1]) - np.minimum(frames[1:], frames[:-1])
    changed = difference.max(axis=3) > CHANGED
    _, spread = centre_and_spread(changed)
    alone = (spread <= np.multiply(ONCE, 2 / SIZE)).all(axis=1)
    twice = changed[:-1] & changed[1:]
    count = twice.sum(axis=(1, 2))
    places, spread = centre_and_spread(twice)
    compact = (spread <= np.multiply(TWICE, 2 / SIZE)).all(axis=1)
    least, most = PIXELS
    found = alone[:-1] & alone[1:] & compact & (count >= least) & (count <= most)
    return found, places


def centre_and_spread(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of x and y of the pixels of bool (N, 64, 64): each (N, 2)."""
    axis = (np.arange(SIZE, dtype=np.float32) + 0.5) * (2 / SIZE) - 1
    count = np.maximum(masks.sum(axis=(1, 2)), 1)[:, None]
    shares = [masks.sum(axis=rows_or_columns) / count for rows_or_columns in (1, 2)]
    mean = np.stack([share @ axis for share in shares], axis=1)
    squares = np.stack([share @ axis**2 for share in shares], axis=1)
    return mean.astype(np.float32), np.sqrt(np.maximum(squares - mean**2, 0))
