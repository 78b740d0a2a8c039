"""Record a data set: `python -m lab record --config FILE`.

Every episode begins at an act's start and is played by one behaviour, with sticky actions:

- `controller`: the bundle's C, actions sampled;
- `noisy`: the same, but in bursts of a few timesteps at random; how often, each episode draws;
- `random`, `hold-right`: see `pretrain.data.behaviours`;
- `firing`: moves as random play does, and presses B in half of the timesteps.

Pangolin Dash is played natively; a body of another game plays on the emulator, without C.

A part is a rollout shard for each world (`pretrain.data.shards`) and beside it a file of what the
laboratory learns from: the features z and h, the observation of the game's memory (for critics that
may see it) and the shaped rewards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import torch

from agent import bundle
from agent.models.actor import Models
from lab.arena import Arena
from lab.body import BODIES, HOME
from lab.config import RecordConfig
from lab.data import INDEX, digest
from pangolin_dash.compile import host
from pretrain.data import acts
from pretrain.data.behaviours import Behaviour, HoldRight, PersistentRandom
from pretrain.data.shards import ShardWriter, save_arrays
from pretrain.meter import Meter, StopRequest
from pretrain.stage import Stage, Stopped, seed_of
from retro_common.config import to_dict
from retro_common.errors import UsageError
from retro_common.files import write_json
from retro_contest import levels

BEHAVIOURS = ("controller", "noisy", "random", "hold-right", "firing")
SCRIPTED = BEHAVIOURS[2:]
"""those that need no C"""
MOST_NOISE, BURST = 0.2, 4
"""highest chance per timestep that a burst of random actions begins, and its mean length"""
VARIABLES = tuple(sorted(host.VARIABLES.names))


class Firing:
    """Random play that presses B in half of the timesteps, with whatever else it presses."""

    def __init__(self, actions: Sequence[str], rng: np.random.Generator):
        firing = {name: f"{name} B".strip() for name in actions}
        self._pairs = [
            (actions.index(name), actions.index(with_b))
            for name, with_b in firing.items()
            if with_b in actions
        ]
        self._moves, self._rng = PersistentRandom(len(self._pairs), rng), rng

    def act(self, frame: np.ndarray, reward: float) -> int:
        return self._pairs[self._moves.act(frame, reward)][int(self._rng.integers(2))]


class Players:
    """A behaviour for each world; another one in each episode."""

    def __init__(self, config: RecordConfig, actions: Sequence[str], worlds: int, seed: int):
        """
        Raises:
            UsageError: there is no such behaviour, an action for it is missing, or C does not know
                the body's game.
        """
        unknown = set(config.behaviours) - set(BEHAVIOURS)
        weights = np.array([config.behaviours.get(name, 0.0) for name in BEHAVIOURS])
        if unknown or not weights.sum():
            raise UsageError(f"behaviours: choose from {', '.join(BEHAVIOURS)}, with a weight > 0")
        if not {"RIGHT", "RIGHT B"} <= set(actions):
            raise UsageError("behaviours: hold-right needs the actions 'RIGHT' and 'RIGHT B'")
        if BODIES[config.body].level and weights[: -len(SCRIPTED)].any():
            known = ", ".join(SCRIPTED)
            raise UsageError(f"behaviours: C does not know the body's game; choose from {known}")
        self.shares, self.actions = weights / weights.sum(), list(actions)
        self.rng = np.random.default_rng(seed)
        self.names = np.zeros(worlds, np.uint8)
        """the behaviour of each world, its place in `BEHAVIOURS`"""
        self._scripts: list[Behaviour] = [self._begin(w) for w in range(worlds)]
        self._noise, self._burst = self.rng.uniform(0, MOST_NOISE, worlds), np.zeros(worlds, int)

    def _begin(self, world: int) -> Behaviour:
        name = self.rng.choice(len(BEHAVIOURS), p=self.shares)
        self.names[world] = name
        if BEHAVIOURS[name] == "hold-right":
            walk, jump = self.actions.index("RIGHT"), self.actions.index("RIGHT B")
            return HoldRight(walk, jump, self.rng)
        if BEHAVIOURS[name] == "firing":
            return Firing(self.actions, self.rng)
        return PersistentRandom(len(self.actions), self.rng)

    def act(self, chosen: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Actions (N,), given those that C has chosen."""
        actions = chosen.copy()
        for world, name in enumerate(self.names):
            scripted = BEHAVIOURS[name] in SCRIPTED
            if BEHAVIOURS[name] == "noisy":
                if not self._burst[world] and self.rng.random() < self._noise[world]:
                    self._burst[world] = self.rng.geometric(1 / BURST)
                scripted = self._burst[world] > 0
                self._burst[world] -= scripted
            if scripted:
                actions[world] = self._scripts[world].act(frames[world], 0.0)
        return actions

    def after_step(self, ended: np.ndarray) -> None:
        """Draw the next behaviour where an episode ended."""
        for world in np.flatnonzero(ended):
            self._scripts[world] = self._begin(world)
            self._noise[world], self._burst[world] = self.rng.uniform(0, MOST_NOISE), 0


def stage(config: RecordConfig) -> Stage:
    settings = to_dict(config)
    del settings["out"], settings["bundle"]
    if config.body == HOME.name:
        del settings["body"]  # data sets of home are as old as bodies, and keep their bytes
    settings["weights"] = {
        name: weight.sha256 for name, weight in bundle.read_manifest(config.bundle).weights.items()
    }
    return Stage("record", config.out, settings)


def run(config: RecordConfig, fresh: bool = False) -> None:
    """Record the parts that are missing, and write the index.

    Raises:
        UsageError: a level is not of the body's game; gcc is not installed; the folder holds
            another data set.
        Stopped: asked to stop; whole parts stay.
    """
    work = stage(config).open(fresh)
    if work.finished:
        print(f"record: already done ({config.out})")
        return
    torch.set_num_threads(1)
    models, _ = bundle.load(config.bundle)
    level = BODIES[config.body].level
    known = acts.acts_of_levels(config.levels) if not level else []
    if level and [each.name for each in levels.find(config.levels)] != [level]:
        raise UsageError(f"levels: the body {config.body} plays {level} alone")
    played = [level] if level else [each.name for each in known]
    worlds = len(played) * config.worlds
    total = config.parts * worlds * config.timesteps
    with StopRequest() as stop, Meter("record", total, "timesteps") as meter:
        for part in range(config.parts):
            if not (config.out / "features" / name_of(part, worlds - 1)).exists():
                record(config, models, known, part, stop, meter)
            meter.update((part + 1) * worlds * config.timesteps)
    names = [name_of(part, w) for part in range(config.parts) for w in range(worlds)]
    index = {
        "levels": played,
        "actions": list(BODIES[config.body].combinations or models.config.actions),
        "training": names[: (config.parts - config.held_back) * worlds],
        "held_back": names[(config.parts - config.held_back) * worlds :],
        "sha256": digest(config.out, names),
    }
    write_json(config.out / INDEX, index)
    work.finish(timesteps=total, sha256=index["sha256"])
    print(f"record: {total:,} timesteps in {config.out}, sha256 {index['sha256']}")


def name_of(part: int, world: int) -> str:
    return f"{part:02}-{world:03}.safetensors"


def record(
    config: RecordConfig,
    models: Models,
    known: Sequence[acts.Known],
    part: int,
    stop: StopRequest,
    meter: Meter,
) -> None:
    """Play one part and write its files."""
    seed = seed_of(config.seed, part)
    body = BODIES[config.body]
    worlds = config.worlds * (1 if body.level else len(known))
    arena = Arena(models, known, worlds, seed=seed, body=body)
    players = Players(config, body.combinations or models.config.actions, worlds, seed_of(seed, 2))
    # Of another game no variables are kept: they are for measures that only this one has.
    names = () if body.level else VARIABLES
    writers = [ShardWriter(arena.levels[act], names) for act in arena.acts]
    columns: dict[str, list[np.ndarray]] = {}
    start = np.ones(worlds, bool)
    with contextlib.closing(arena):
        for t in range(config.timesteps):
            if stop.asked:
                raise Stopped
            meter.update((part * config.timesteps + t) * worlds)
            chosen = arena.actor.act(arena.features).actions.numpy()
            actions = players.act(chosen, arena.frames)
            before = {
                "features": arena.seen.features.numpy().astype(np.float16),
                "memory": arena.worlds.observe().astype(np.float16),
            }
            frames = arena.frames.copy()
            variables = {name: arena.worlds.state["variables"][name].copy() for name in names}
            outcome = arena.step(actions)
            after = {"shaped": outcome.shaped, "cuts": outcome.cuts}
            for name, value in {**before, **after}.items():
                columns.setdefault(name, []).append(value)
            ended = outcome.ends | outcome.cuts
            for world, writer in enumerate(writers):
                values = {name: variables[name][world] for name in names}
                reward, action = float(outcome.rewards[world]), int(actions[world])
                over = bool(ended[world])
                writer.add(frames[world], action, reward, bool(start[world]), over, values)
            players.after_step(ended)
            start = ended
    for folder in ("shards", "features"):
        (config.out / folder).mkdir(exist_ok=True)
    for world, writer in enumerate(writers):
        name = name_of(part, world)
        writer.write(config.out / "shards" / name, {"run": stage(config).fingerprint, "seed": seed})
        arrays = {key: np.stack([row[world] for row in rows]) for key, rows in columns.items()}
        facts = {"act": int(arena.acts[world])} | ({"body": body.number} if body.number else {})
        save_arrays(config.out / "features" / name, arrays, facts)
