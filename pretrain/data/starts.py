"""Where the teacher's episodes begin: at an act's start, along its route, or before an own death.

Starts within an act show all of it from the beginning, and the hard places often: a place is chosen
the more often the more of its episodes got nowhere (after prioritized level replay, arXiv
2010.03934). A state of the archive was reached by the policy itself, with the rings and the speed
that it has there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pangolin_dash.simulator import DIED, FINISHED, NO_NEW_GROUND, Worlds, view

SHARE = 0.5
"""share of the episodes that begin within an act"""
FAR = 500.0
"""points that an episode must earn, or finish, to have got away from its place"""
RATE = 0.2
"""weight of the last episode in a place's share of failures"""
LEAST = 0.1
"""added to that share, so that no place is forgotten"""
ARCHIVE = 1024
"""states before the last deaths and times without new ground"""
EVERY = 8
"""timesteps between two looks at where the worlds are"""
LOOKS = 6
"""looks that are kept: an archived state is about 2 to 6 of them old"""


class Starts:
    """Chooses the starts of the worlds' episodes.

    Attributes:
        act: int64 (N,), the act that each world plays.
        whole: bool (N,), whether its episode began at the act's start.
        places: the beginnings of episodes at the places along the routes, in the acts' order, uint8
            (P, bytes).
        failures: float64 (P,), of each place along the routes, in the acts' order: the share of its
            recent episodes that got nowhere.
    """

    def __init__(
        self,
        worlds: Worlds,
        along: Sequence[np.ndarray | None],
        rng: np.random.Generator,
    ) -> None:
        """Give every world an act and an episode.

        Args:
            worlds: they have routes where `along` has states.
            along: for each act save-states where episodes can begin, uint8 (T, bytes), or None.
        """
        self.worlds, self.rng = worlds, rng
        self._first = np.empty((len(along), worlds.slots.shape[1]), np.uint8)
        places, acts = [], []
        for act, states in enumerate(along):
            worlds.load(0, act)
            self._first[act] = worlds.slots[0]
            if states is None:
                continue
            for state in states:
                worlds.restore(0, state)
                worlds.begin(0)
                places.append(worlds.slots[0].copy())
                acts.append(act)
        self.places, self._place_acts = np.array(places), np.array(acts, np.int64)
        self.failures = np.full(len(places), 0.5)
        self._archive = np.empty((ARCHIVE, worlds.slots.shape[1]), np.uint8)
        self._archive_acts = np.zeros(ARCHIVE, np.int64)
        self._archived = 0
        self._looks = np.zeros((LOOKS, *worlds.slots.shape), np.uint8)
        self._ages: list[int] = []  # timesteps since each look, the latest first
        self._latest = 0
        self.act = np.zeros(worlds.count, np.int64)
        self.whole = np.zeros(worlds.count, bool)
        self._place = np.full(worlds.count, -1)
        self._next = [(0, False, -1)] * worlds.count
        for world in range(worlds.count):
            self._choose(world)
            worlds.restore(world, worlds.starts[world])
            self._begun(world)

    def _choose(self, world: int) -> None:
        """The start of the world's next episode."""
        rng, whole, place = self.rng, False, -1
        pick = rng.random()
        if pick < SHARE / 2 and self._archived:
            at = rng.integers(min(self._archived, ARCHIVE))
            act, state = self._archive_acts[at], self._archive[at]
        elif pick < SHARE and len(self.places):
            chances = (self.failures + LEAST).cumsum()
            place = int(np.searchsorted(chances, rng.random() * chances[-1], side="right"))
            act, state = self._place_acts[place], self.places[place]
        else:
            whole = True
            act = rng.integers(len(self._first))
            state = self._first[act]
        self.worlds.starts[world] = state
        header = view(self.worlds.starts[world : world + 1])
        for name in ("score", "length", "idle", "still", "held", "over"):
            header[name] = 0
        # C begins to add up rewards there, and so knows of no ground further ahead.
        header["furthest"] = header["variables"]["progress"]
        header["fresh"] = 1
        self._next[world] = (int(act), whole, place)

    def _begun(self, world: int) -> None:
        """The world is at its start: choose the next one."""
        self.act[world], self.whole[world], self._place[world] = self._next[world]
        self._choose(world)

    def look(self) -> None:
        """Remember where the worlds are; to be called every `EVERY` timesteps."""
        self._latest = (self._latest - 1) % LOOKS
        self._looks[self._latest] = self.worlds.slots
        self._ages = [0, *self._ages[: LOOKS - 1]]

    def _seen(self, world: int) -> list[np.ndarray]:
        """The looks at this world's episode, the latest first."""
        length = self.worlds.lengths[world]
        return [
            self._looks[(self._latest + i) % LOOKS, world]
            for i, age in enumerate(self._ages)
            if age < length
        ]

    def after_step(self) -> None:
        """Archive what led to failures, and choose anew for the worlds that began again.

        `act` and `whole` then belong to the new episodes.
        """
        over = self.worlds.over
        self._ages = [age + 1 for age in self._ages]
        for world in np.flatnonzero(over):
            seen = self._seen(world)
            if over[world] in (DIED, NO_NEW_GROUND) and len(seen) > 2:
                at = self._archived % ARCHIVE
                self._archive[at] = seen[self.rng.integers(2, len(seen))]
                self._archive_acts[at] = self.act[world]
                self._archived += 1
            if (place := self._place[world]) >= 0:
                away = over[world] == FINISHED or self.worlds.scores[world] >= FAR
                self.failures[place] += RATE * (1 - away - self.failures[place])
            self._begun(world)
