"""The game's logic compiled for this machine: thousands of times faster than the emulator.

The same C files as in the ROM (player, terrain, objects, camera, level), and for frames those that
draw (draw, video) with a model of the video chip (screen).

- `Simulator` plays one act frame by frame: the search for a route runs here;
  `pangolin_dash.check` then replays every result on the real ROM in the emulator.
- `Worlds` steps many acts at once by the contest's rules, in one call of C: to learn in.

A world is about 17 KB of memory, 19 KB with frames, and a copy of it is a save-state.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pangolin_dash.acts import START_CLOCKS
from pangolin_dash.compile import host
from pangolin_dash.levels.generator import Act

# Pad bits, as in pangolin_dash/src/types.h.
UP, DOWN, LEFT, RIGHT, B = 1, 2, 4, 8, 16
BITS = {"UP": UP, "DOWN": DOWN, "LEFT": LEFT, "RIGHT": RIGHT, "B": B}
"""pad bits by the emulator's names of the buttons"""

RUNNING, DIED, FINISHED, TIME_OVER, NO_NEW_GROUND = range(5)
"""how an episode ended, as in pangolin_dash/src/host.h"""

FULL, SMALL = (224, 320, 3), (64, 64, 3)
"""shapes of a frame: the whole one, and shrunk as agents see it"""

MOST_THINGS = 40
"""things that `Worlds.scene` tells of a frame"""
OWN_STATE, ZONE = slice(2, 26), slice(30, 36)
"""where in an observation the player's own state and the zone, as a one-hot vector, lie"""


class Shown(NamedTuple):
    """What frames show, one row per world."""

    blocks: np.ndarray
    """classes of the blocks at the middles of the shrunk frame's pixels, uint8 (N, 64, 64), as in
    `agent.models.scene.BLOCKS`: nothing, solid, slope, one-way, liquid, breakable, door, special,
    mirrored special"""
    things: np.ndarray
    """type, x and y in pixels of the whole frame, int16 (N, MOST_THINGS, 3): 0 the player (the
    middle of its feet), 1 to 9 objects as in pangolin_dash/src/world.h (the middle of their
    bottom), 10 rings (their middle); -1 after the last one"""
    cameras: np.ndarray
    """where the frame's left and upper edges cut a block, pixels uint8 (N, 2)"""


def buttons(pad: int) -> tuple[str, ...]:
    """Names of the buttons in pad bits: `RIGHT | B` -> `("RIGHT", "B")`."""
    return tuple(name for name, bit in BITS.items() if pad & bit)


def pad_of(names: Iterable[str]) -> int:
    """Pad bits of named buttons: `("RIGHT", "B")` -> `RIGHT | B`.

    Raises:
        KeyError: the simulator has no such button.
    """
    return sum(BITS[name] for name in set(names))


class Worlds:
    """Worlds side by side, each in an act of its own, under the contest's rules.

    A timestep is 4 frames; in its first one the last timestep's pad is held with probability
    `sticky`. Variables, rewards and ends are those that the contest's environment shows for the
    same pads and the same draws. Each world draws from a generator of its own, splitmix64, seeded
    by `seed` and the world's number.

    With `frames`, worlds keep what their pictures need, and `draw` and `draw_small` show what the
    environment shows: after `step` the observation that the environment's `step` returns, or, where
    an episode ended and began again, that of its `reset`; after `load` that of `reset`.

    Attributes:
        slots: the worlds' memory, uint8 (N, bytes); a row is a save-state, see `restore`.
        starts: the save-states that worlds go back to when an episode ends, of the same shape. At
            first, and after `load`, the start of the world's act.
        state: view of `slots` by name (`pangolin_dash.compile.host.SLOT`): `length` and `score` of
            the episode, the RAM `variables` and more, each (N,).
        rewards, ground, along: float32 (N,), of the last timestep, in points: the contest's reward;
            new ground; new ground along the act's route, whose length is worth 9000, or as `ground`
            where there is none.
        over: uint8 (N,), how the episode ended with the last timestep; 0 if it goes on.
        scores, lengths: float64 and uint32 (N,), the episode's rewards and timesteps, up to and
            with the last timestep.
        repeated: uint8 (N,), whether the last pad was held for the first frame.
    """

    def __init__(
        self,
        acts: Sequence[Act],
        count: int,
        *,
        routes: Sequence[np.ndarray | None] | None = None,
        seed: int = 0,
        sticky: float = 0.25,
        time_limit: int = 4500,
        patience: int = 0,
        frames: bool = False,
        on_screen: bool = False,
    ) -> None:
        """
        Args:
            acts: the levels, by number; all worlds begin in the first one.
            count: N, how many worlds.
            routes: for each act a known route (`pangolin_dash.routes.trace`), or None.
            seed: of the sticky actions.
            sticky: probability of a repeated pad, 0 to 1.
            time_limit: timesteps of an episode; 0 for any number.
            patience: timesteps without new ground after which an episode ends; 0 for any number.
            frames: keep what `draw` and `draw_small` need.
            on_screen: observations tell only what a frame shows, or the player knows otherwise: for
                the teacher of somebody that sees frames.

        Raises:
            UsageError: gcc is not installed.
        """
        self.acts, self.count = list(acts), count
        self.routes = list(routes or [None] * len(self.acts))
        self._library = host.library(frames)
        self._tables = host.Tables(self.acts, self.routes)
        self._frames = frames
        # A row: the world, and with frames its view.
        view_at = -(-self._library.slot_size(self._tables.widest) // 64) * 64
        stride = view_at + (-(-self._library.view_size() // 64) * 64 if frames else 0)
        self._clocks = np.array([START_CLOCKS.get(act.name, 0) for act in self.acts], np.uint16)
        self.slots = np.zeros((count, stride), np.uint8)
        self.starts = np.zeros((count, stride), np.uint8)
        self.state = view(self.slots)
        self.rewards, self.ground, self.along = np.zeros((3, count), np.float32)
        self.scores, self.lengths = np.zeros(count), np.zeros(count, np.uint32)
        self.over, self.repeated = np.zeros((2, count), np.uint8)
        self._random = np.random.SeedSequence(seed).generate_state(count, np.uint64)
        arrays = {
            name: getattr(self, name).ctypes.data
            for name in ("slots", "starts", "rewards", "ground", "along", "scores", "lengths")
        }
        self._batch = host.Batch(
            levels=self._tables.levels,
            routes=self._tables.routes,
            stride=stride,
            random=self._random.ctypes.data,
            over=self.over.ctypes.data,
            repeated=self.repeated.ctypes.data,
            count=count,
            sticky=min(round(sticky * 2**32), 2**32 - 1),
            time_limit=time_limit,
            patience=patience,
            on_screen=on_screen,
            clocks=self._clocks.ctypes.data,
            view=view_at,
            **arrays,
        )
        self.observation_size: int = self._library.observation_size(on_screen)
        """numbers in an observation, O"""
        self.load(0, 0)
        self.slots[:] = self.starts[:] = self.slots[0]

    def load(self, world: int, act: int) -> None:
        """Start a world's episode at the beginning of an act, and make that its start."""
        self._library.slot_load(self._batch, world, act)
        self.starts[world] = self.slots[world]

    def restore(self, world: int, state: np.ndarray) -> None:
        """Continue a world, and its episode, from a save-state: a row of `slots` of these acts.

        With frames, the picture is the one that the save-state's world showed. A save-state of
        worlds without frames has none: the world is shown as it is now, a frame later than its
        variables; from the next timestep on its pictures are right, except that the terrain after a
        teleport, which the game draws in 12 frames, is there at once.
        """
        size = min(len(state), self.slots.shape[1])
        self.slots[world, :size] = state[:size]
        if size < self.slots.shape[1]:
            self._library.slot_redraw(self._batch, world)

    def begin(self, world: int) -> None:
        """Begin an episode where the world is: no timesteps, no rewards, no pad held."""
        self._library.slot_begin(self._batch, world)

    def hold(self, world: int, pad: int, frames: int) -> int:
        """Hold the pad in one world, outside of the contest's rules; see `Simulator.hold`."""
        return self._library.slot_hold(self._batch, world, pad, frames)

    def levers(self, world: int) -> int:
        """The number of levers that are pulled."""
        return self._library.slot_levers(self._batch, world)

    def step(
        self,
        pads: np.ndarray,
        *,
        repeats: np.ndarray | None = None,
        restart: bool = True,
        out: np.ndarray | None = None,
    ) -> None:
        """Play a timestep in every world; the attributes then hold what it brought.

        Args:
            pads: uint8 (N,), pad bits.
            repeats: uint8 (N,), whether the last pad is held for the first frame, in place of the
                draws. In an episode's first timestep nothing is held.
            restart: worlds whose episode ends go back to their start at once. Otherwise they stay
                as they are, and further timesteps do nothing but say so.
            out: where to write what `observe` returns then; faster than a call of its own.

        Raises:
            ValueError: an array's shape or type is wrong.
        """
        held = None if repeats is None else self._bytes(repeats)
        pressed = self._bytes(pads)
        self._library.batch_step(
            self._batch,
            pressed.ctypes.data,
            None if held is None else held.ctypes.data,
            restart,
            None if out is None else self._observations(out),
        )

    def _bytes(self, values: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray(values, np.uint8)
        if values.shape != (self.count,):
            raise ValueError(f"an array of shape {values.shape} should be ({self.count},)")
        return values

    def _observations(self, out: np.ndarray) -> int:
        """The address of an array for observations."""
        if out.shape != (self.count, self.observation_size) or out.dtype != np.float32:
            raise ValueError(f"{out.dtype} {out.shape} is no array for observations")
        if not out.flags.c_contiguous:
            raise ValueError("an array for observations must be contiguous")
        return out.ctypes.data

    def observe(self, out: np.ndarray | None = None) -> np.ndarray:
        """What a player who reads the memory knows of every world, float32 (N, O); with
        `on_screen`, of what is on the screen.

        Args:
            out: where to write it.
        """
        if out is None:
            out = np.empty((self.count, self.observation_size), np.float32)
        self._library.batch_observe(self._batch, self._observations(out))
        return out

    def scene(self) -> Shown:
        """What every world's frame shows."""
        count = self.count
        shown = Shown(
            np.empty((count, *SMALL[:2]), np.uint8),
            np.empty((count, MOST_THINGS, 3), np.int16),
            np.empty((count, 2), np.uint8),
        )
        blocks, things, cameras = (each.ctypes.data for each in shown)
        self._library.batch_scene(self._batch, blocks, things, MOST_THINGS, cameras)
        return shown

    def draw(self, out: np.ndarray | None = None) -> np.ndarray:
        """The frame of every world, uint8 RGB (N, 224, 320, 3).

        Args:
            out: where to write it.

        Raises:
            ValueError: the worlds keep no frames, or `out` is no array for them.
        """
        return self._draw("batch_draw", FULL, out)

    def draw_small(self, out: np.ndarray | None = None) -> np.ndarray:
        """The frame of every world shrunk to uint8 RGB (N, 64, 64, 3), each pixel its area's mean.

        The numbers are those of cv2's `INTER_AREA`.

        Args:
            out: where to write it.

        Raises:
            ValueError: the worlds keep no frames, or `out` is no array for them.
        """
        return self._draw("batch_draw_small", SMALL, out)

    def _draw(self, function: str, shape: tuple[int, ...], out: np.ndarray | None) -> np.ndarray:
        if not self._frames:
            raise ValueError("these worlds keep no frames: make them with frames=True")
        if out is None:
            out = np.empty((self.count, *shape), np.uint8)
        if out.shape != (self.count, *shape) or out.dtype != np.uint8:
            raise ValueError(f"{out.dtype} {out.shape} is no array for frames")
        if not out.flags.c_contiguous:
            raise ValueError("an array for frames must be contiguous")
        getattr(self._library, function)(self._batch, out.ctypes.data)
        return out


def view(slots: np.ndarray) -> np.ndarray:
    """Save-states, uint8 (N, bytes), by name: a view of type `pangolin_dash.compile.host.SLOT`."""
    return np.ndarray(len(slots), host.SLOT, slots, strides=slots.strides[:1])


class Variables(ctypes.Structure):
    """The game's RAM variables (`pangolin_dash.compile.ram.VARIABLES`)."""

    _fields_ = tuple(
        (name, np.ctypeslib.as_ctypes_type(host.VARIABLES[name])) for name in host.VARIABLES.names
    )


class Simulator:
    """The acts of one game, one of them loaded.

    `variables` shows the current frame. `save` and `restore` are save-states.
    """

    def __init__(self, acts: Sequence[Act]) -> None:
        self._worlds = Worlds(acts, 1)
        self._slot = memoryview(self._worlds.slots[0])
        at = host.SLOT.fields["variables"][1]
        self.variables = Variables.from_buffer(self._slot, at)

    def load(self, index: int) -> None:
        """Start act number `index`, as a reset of the emulator does (one frame passes)."""
        self._worlds.load(0, index)
        self.hold(0, 0)

    def hold(self, pad: int, frames: int) -> int:
        """Hold the pad; stops early at a lost life or the level's end. Returns frames played."""
        return self._worlds.hold(0, pad, frames)

    def save(self) -> bytes:
        """The state of the act."""
        return self._slot.tobytes()

    def restore(self, state: bytes) -> None:
        """Go back to a saved state of the same act."""
        self._slot[:] = state

    def levers(self) -> int:
        """The number of levers that are pulled."""
        return self._worlds.levers(0)

    @property
    def dead(self) -> bool:
        """Whether a life was lost."""
        return self.variables.lives < 3
