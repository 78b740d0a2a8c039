"""Recorded and growing data as arrays, and the samplers that the methods share."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pretrain.data.shards import Shard, ShardSet, open_arrays
from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_json_object

INDEX = "data.json"
PLAYER_CENTRE = 12
"""pixels of the game's screen from the player's feet up to its sprite's centre, where V finds it"""


@dataclass
class Seen:
    """What N timesteps show."""

    features: torch.Tensor
    """float32 (N, F), what C sees: z and h, and what else the bundle's C reads"""
    acts: torch.Tensor
    """int64 (N,), numbers of the levels"""
    memory: torch.Tensor | None = None
    """what a player who reads the game's memory knows, (N, O), for critics that may"""
    frames: np.ndarray | None = None
    """uint8 (N, 64, 64, 3)"""
    bodies: torch.Tensor | None = None
    """int64 (N,), numbers of the bodies, see `lab.body`"""
    earned: np.ndarray | None = None
    """the contest's rewards of the episode before it, float64 (N,); of worlds that are played"""
    cells: torch.Tensor | None = None
    """(N, H), the state of M's cells beside h; of worlds that are played"""

    def of(self, rows: np.ndarray) -> Seen:
        """What some of the N timesteps show: indices (B,)."""
        known = {name: each for name, each in vars(self).items() if each is not None}
        return Seen(**{name: each[rows] for name, each in known.items()})


@dataclass
class Batch:
    """Timesteps of a gradient step, B of them; `following` is n timesteps later."""

    seen: Seen
    actions: torch.Tensor
    """int64 (B,)"""
    rewards: torch.Tensor
    """discounted sum of the shaped rewards in between, (B,)"""
    discounts: torch.Tensor
    """factor on the value of what follows, (B,): gamma^n, 0 behind an episode's end"""
    following: Seen
    following_actions: torch.Tensor
    """the actions taken then, int64 (B,)"""
    rows: np.ndarray
    """indices of the timesteps in the data, int64 (B,)"""


@dataclass
class Sequences:
    """B sequences of T timesteps, each within an episode, and what is seen after the last one."""

    features: torch.Tensor
    """float32 (B, T + 1, F), see `Seen`"""
    actions: torch.Tensor
    """int64 (B, T)"""


class Data:
    """Timesteps in a fixed order: a timestep's successor is `stride` further on.

    Attributes:
        features, memory: float16 (N, F) and (N, O), see `Seen`.
        actions: int64 (N,).
        rewards, shaped: float32 (N,), the contest's and those that are learnt from.
        ends: bool (N,), nothing follows.
        cuts: bool (N,), what follows is not known.
        acts, bodies: int64 (N,).
        places: float32 (N, 2), x and y of the player's centre in pixels of the game's screen, by
            the game's memory; not known while playing, nor in another game.
        frames: gives the frames (B, 64, 64, 3) of indices (B,); None if they are not kept.
        count: how many timesteps are known, from the front.
    """

    def __init__(self, size: int, features: int, memory: int, *, stride: int = 1):
        self.features = np.zeros((size, features), np.float16)
        self.memory = np.zeros((size, memory), np.float16)
        self.actions, self.acts, self.bodies = np.zeros((3, size), np.int64)
        self.rewards, self.shaped = np.zeros((2, size), np.float32)
        self.ends, self.cuts = np.zeros((2, size), bool)
        self.places = np.full((size, 2), np.nan, np.float32)
        self.frames: Callable[[np.ndarray], np.ndarray] | None = None
        self.count, self.stride, self._at = 0, stride, 0
        self._left: np.ndarray | None = None
        self._earned: np.ndarray | None = None

    def __len__(self) -> int:
        return self.count

    def add(self, **row: np.ndarray) -> None:
        """Add a timestep of `stride` worlds, over the oldest one if the data is full.

        Args:
            row: every array's new values, (`stride`, ...).
        """
        size, stride = len(self.actions), self.stride
        if size % stride:
            raise ValueError(f"{size} timesteps are not a multiple of {stride} worlds")
        here = slice(self._at, self._at + stride)
        for name, values in row.items():
            getattr(self, name)[here] = values
        # Until the next timestep comes, what follows is not known.
        before = slice((self._at - stride) % size, (self._at - stride) % size + stride)
        if self.count:
            self.cuts[before] = self._last_cuts
        self._last_cuts = self.cuts[here].copy()
        self.cuts[here] = True
        self.count = max(self.count, self._at + stride)
        self._at = (self._at + stride) % size
        self._left = self._earned = None

    def left(self) -> np.ndarray:
        """How many timesteps are known behind each one within its episode, int64 (N,)."""
        if self._left is None:
            last = self._in_order(self.ends | self.cuts)
            order = np.arange(len(last))[:, None]
            stops = np.where(last, order, len(last) - 1)
            stops = np.minimum.accumulate(stops[::-1], axis=0)[::-1]
            self._left = np.roll(stops - order, self._oldest, axis=0).ravel()
        return self._left

    def earned(self) -> np.ndarray:
        """The contest's rewards of each one's episode before it, (N,): how far the player has come.

        Of an episode whose beginning is no longer known, those that are.
        """
        if self._earned is None:
            last, rewards = self._in_order(self.ends | self.cuts), self._in_order(self.rewards)
            before = np.cumsum(rewards, axis=0, dtype=np.float64) - rewards
            order = np.arange(len(last))[:, None]
            begins = np.where(np.roll(last, 1, axis=0), order, 0)
            begins[0] = 0
            begins = np.maximum.accumulate(begins, axis=0)
            found = before - np.take_along_axis(before, begins, axis=0)
            self._earned = np.roll(found, self._oldest, axis=0).ravel()
        return self._earned

    @property
    def _oldest(self) -> int:
        """Row of the oldest timestep, of what is known in rows of `stride`."""
        return self._at // self.stride if self.count == len(self.actions) else 0

    def _in_order(self, array: np.ndarray) -> np.ndarray:
        """What is known of an array (N,) in rows of `stride`, the oldest first."""
        return np.roll(array[: self.count].reshape(-1, self.stride), -self._oldest, axis=0)

    def ahead(self, rows: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Indices (B,) of what came so many timesteps (B,) after these; see `left`."""
        return (rows + gaps * self.stride) % len(self.actions)

    def of_acts(self, count: int) -> list[np.ndarray]:
        """Indices of each act's first timesteps, `count` of them or what there is."""
        return [np.flatnonzero(self.acts == act)[:count] for act in range(self.acts.max() + 1)]

    def followed(self, timesteps: int) -> np.ndarray:
        """Indices of the timesteps that so many more of the same episode are known behind."""
        return np.flatnonzero(self.left() >= timesteps)

    def returns(self) -> np.ndarray:
        """The contest's reward of the whole episode that each timestep belongs to, (N,).

        For recorded data, where timesteps follow each other. An episode that the recording did not
        see the end of counts as it is.
        """
        last = self.ends | self.cuts
        number = np.cumsum(np.concatenate([[False], last[:-1]]))
        return np.bincount(number, self.rewards)[number]

    def mean(self) -> float:
        """The contest's mean reward of an episode: mean over the acts of each act's mean."""
        last = self.ends | self.cuts
        returns, acts = self.returns()[last], self.acts[last]
        return float(np.mean([returns[acts == act].mean() for act in np.unique(acts)]))

    def best(self, share: float) -> np.ndarray:
        """Indices of the timesteps of the best episodes: of each act, those that hold this share
        of its timesteps."""
        returns, chosen = self.returns(), []
        for act in np.unique(self.acts):
            rows = np.flatnonzero(self.acts == act)
            order = np.argsort(-returns[rows], kind="stable")
            chosen.append(rows[order[: max(1, round(share * len(rows)))]])
        return np.concatenate(chosen)

    def batch(
        self,
        rng: np.random.Generator,
        size: int,
        *,
        rows: np.ndarray | None = None,
        n: int = 1,
        gamma: float = 0.99,
        sees: Collection[str] = (),
    ) -> Batch:
        """Timesteps drawn at random, and what came n timesteps later.

        Where an episode was cut within these n, or the data ends, what follows is the last
        timestep that is known; a timestep with nothing known behind it is not drawn.

        Args:
            rows: indices to draw from; all by default.
            n: timesteps whose rewards are summed up (n-step returns).
            gamma: discount for a timestep.
            sees: fields of `Seen` that are wanted beside the features: `memory`, `frames`.
        """
        first = self._draw(rng, size, rows)
        at, rewards, discounts = first.copy(), np.zeros(size, np.float32), np.ones(size, np.float32)
        for _ in range(n):
            moves = (discounts > 0) & ~self.cuts[at]
            rewards[moves] += discounts[moves] * self.shaped[at[moves]]
            discounts[moves] *= gamma
            discounts[moves & self.ends[at]] = 0
            at[moves] = (at[moves] + self.stride) % len(self.actions)
        ends = discounts == 0
        at[ends] = first[ends]  # of no consequence; the row behind may be of another episode
        return Batch(
            seen=self.seen(first, sees),
            actions=torch.from_numpy(self.actions[first]),
            rewards=torch.from_numpy(rewards),
            discounts=torch.from_numpy(discounts),
            following=self.seen(at, sees),
            following_actions=torch.from_numpy(self.actions[at]),
            rows=first,
        )

    def sequences(self, rng: np.random.Generator, count: int, length: int) -> Sequences:
        """Sequences of recorded data, drawn at random.

        Raises:
            UsageError: no episode is as long.
        """
        whole = self.followed(length)
        if not len(whole):
            raise UsageError(f"the data set holds no sequence of {length} timesteps")
        rows = rng.choice(whole, count)[:, None] + np.arange(length + 1)
        return Sequences(_tensor(self.features[rows]), torch.from_numpy(self.actions[rows[:, :-1]]))

    def _draw(self, rng: np.random.Generator, size: int, rows: np.ndarray | None) -> np.ndarray:
        """Indices (size,) of timesteps behind which something is known."""
        known = np.empty(0, np.int64)
        while len(known) < size:
            drawn = rng.integers(self.count if rows is None else len(rows), size=2 * size)
            drawn = drawn if rows is None else rows[drawn]
            known = np.concatenate([known, drawn[~self.cuts[drawn]]])
        return known[:size]

    def seen(self, rows: np.ndarray, sees: Collection[str] = ()) -> Seen:
        """What these timesteps show."""
        seen = Seen(_tensor(self.features[rows]), torch.from_numpy(self.acts[rows]))
        seen.bodies = torch.from_numpy(self.bodies[rows])
        if "memory" in sees:
            seen.memory = _tensor(self.memory[rows])
        if "frames" in sees:
            assert self.frames is not None, "frames are not kept while playing"
            seen.frames = self.frames(rows)
        return seen


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))


@dataclass
class DataSet:
    """A recorded data set."""

    training: Data
    held_back: Data
    levels: list[str]
    sha256: str

    @classmethod
    def open(cls, folder: Path) -> DataSet:
        """Read a data set; the checksums of its files are checked.

        Raises:
            UsageError: it is missing, damaged, or not finished.
        """
        try:
            index = read_json_object(folder / INDEX)
            names = (index["training"], index["held_back"])
            training, held_back = (_read(folder, each) for each in names)
            return cls(training, held_back, index["levels"], index["sha256"])
        except UnreadableFile as error:
            raise UsageError(
                f"{folder}: no data set: python -m lab record --config configs/lab/data.yaml"
                f" records one ({error.why})"
            ) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{folder / INDEX}: damaged: {error}") from None


def _read(folder: Path, names: list[str]) -> Data:
    """The timesteps of these shards, one behind the other, with what stands beside them."""
    shards = ShardSet(folder / "shards", names)
    files = [open_arrays(folder / "features" / name) for name in names]
    sizes = [files[0][0][name].shape[1] if files else 0 for name in ("features", "memory")]
    data = Data(sum(map(len, shards.shards)), *sizes)
    for (arrays, facts), shard in zip(files, shards.shards, strict=True):
        rows = slice(data.count, data.count + len(shard))
        for name in ("features", "shaped", "cuts"):
            getattr(data, name)[rows] = arrays[name]
        if arrays["memory"].size:  # not of another game's
            data.memory[rows] = arrays["memory"]
        data.actions[rows], data.rewards[rows] = shard.actions, shard.rewards
        data.ends[rows] = shard.ends & ~arrays["cuts"]
        data.acts[rows], data.bodies[rows] = facts["act"], facts.get("body", 0)
        data.places[rows] = _places(shard)
        data.cuts[rows.stop - 1] |= not data.ends[rows.stop - 1]  # the recording stops here
        data.count = rows.stop
    data.frames = functools.partial(shards.frames_at, range(len(names)))
    return data


def _places(shard: Shard) -> np.ndarray:
    """The player's places on the screen, (T, 2); see `Data.places`. NaN in another game."""
    if "screen_x" not in shard.variable_names:
        return np.full((len(shard), 2), np.nan, np.float32)
    known = dict(zip(shard.variable_names, shard.variables.T, strict=True))
    x, y = (known[axis] - known[f"screen_{axis}"] for axis in "xy")
    return np.stack([x, y - PLAYER_CENTRE], axis=1)


def digest(folder: Path, names: list[str]) -> str:
    """The SHA-256 of the SHA-256s of these shards and of what stands beside them."""
    files = [folder / part / name for name in names for part in ("shards", "features")]
    each = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256(json.dumps(each).encode()).hexdigest()
