"""Routes to follow while C trains: each act's best episodes, of the teacher and of C itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from agent.models.following import MAX_LENGTH, Route
from pangolin_dash.levels.generator import Act
from pangolin_dash.simulator import Worlds
from pretrain.teacher import Teacher

KEPT = 4
"""routes that are kept of an act"""
PATIENCE = 300
"""timesteps without new ground after which a teacher's episode ends"""


class RoutePool:
    """The best routes of each act."""

    def __init__(self, acts: int):
        self.routes: list[list[Route]] = [[] for _ in range(acts)]

    def add(self, act: int, route: Route) -> None:
        """Keep a route, if it is among the best `KEPT` of its act."""
        if len(route.actions):
            ranked = sorted([*self.routes[act], route], key=lambda each: -each.earned[-1])
            self.routes[act] = ranked[:KEPT]

    def draw(self, act: int, rng: np.random.Generator) -> Route | None:
        """One of the act's routes; None where there is none."""
        routes = self.routes[act]
        return routes[rng.integers(len(routes))] if routes else None

    def play(self, teacher: Teacher, acts: Sequence[Act], episodes: int, seed: int) -> None:
        """Add the teacher's episodes, so many of each act, from its start, with sticky actions."""
        generator = torch.Generator().manual_seed(seed)
        worlds = Worlds(acts, len(acts), seed=seed, patience=PATIENCE)
        for _ in range(episodes):
            for act in range(len(acts)):
                worlds.load(act, act)
            record = Record(len(acts))
            while not (worlds.state["over"] > 0).all():
                log_probs, _ = teacher.label(worlds.observe())
                chances = torch.from_numpy(log_probs).exp()
                actions = torch.multinomial(chances, 1, generator=generator).squeeze(1).numpy()
                running = worlds.state["over"] == 0
                worlds.step(teacher.pads[actions], restart=False)
                record.add(actions, worlds.rewards, running)
            for act in range(len(acts)):
                self.add(act, record.route(act))


class Record:
    """Actions and rewards of the present episode of each of N worlds."""

    def __init__(self, worlds: int):
        self._actions = np.zeros((worlds, MAX_LENGTH), np.int16)
        self._rewards = np.zeros((worlds, MAX_LENGTH), np.float32)
        self._length = np.zeros(worlds, np.int64)

    def add(self, actions: np.ndarray, rewards: np.ndarray, running: np.ndarray) -> None:
        """Add a timestep of the worlds that are running, bool (N,); the other rows are ignored."""
        rows = np.flatnonzero(running & (self._length < MAX_LENGTH))
        self._actions[rows, self._length[rows]] = actions[rows]
        self._rewards[rows, self._length[rows]] = rewards[rows]
        self._length[rows] += 1

    def route(self, world: int) -> Route:
        """The route of a world's episode, of at least one timestep; the record begins anew."""
        length, self._length[world] = self._length[world], 0
        return Route.of(self._actions[world, :length], self._rewards[world, :length])
