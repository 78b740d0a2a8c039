"""The one loop that every method runs in: gradient steps on recorded data, or while playing.

What a run's figures depend on are its configuration, seed and data. The figure of all rows is the
*score*: the contest's rewards of whole episodes from the starts of the data's acts, actions
sampled, an episode cut short after `lab.arena.PATIENCE` timesteps without new ground.
"""

from __future__ import annotations

import importlib
import time
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from agent import bundle
from lab.arena import Arena, Outcome, choose, scores
from lab.body import HOME
from lab.config import LabConfig
from lab.data import Data, DataSet
from lab.method import (
    Adapts,
    Commands,
    MeasuresOther,
    Method,
    OwnBodies,
    OwnModels,
    Scalars,
    Shape,
)
from pretrain.data.acts import Known, acts_of_levels
from pretrain.loop import Loop
from pretrain.stage import CHECKPOINT, Stage, seed_of
from retro_common.config import to_dict, validate
from retro_common.errors import UsageError
from retro_common.files import write_json
from retro_common.provenance import provenance

PLACES = ("out", "results", "data", "other", "bundle", "seed")
"""keys that are no settings: no figure depends on a place, and the seed stands beside"""
AGENT = "bundle"
"""folder of the agent that a method with networks of its own has made, in its run's"""
LOG_EVERY = 20
"""timesteps of all worlds between two entries in the log"""
RECENT = 200
"""episodes whose mean reward the log shows"""


def module_of(config: LabConfig) -> ModuleType:
    return importlib.import_module(f"lab.methods.{config.method.replace('-', '_')}")


def settings_of(module: ModuleType, config: LabConfig) -> dict[str, Any]:
    """All that a run's figures depend on beside seed, data and bundle.

    Raises:
        UsageError: a setting of the method is wrong.
    """
    settings = {key: value for key, value in to_dict(config).items() if key not in PLACES}
    own = validate(module.Config, config.settings, "settings")
    return {**settings, "settings": to_dict(own)}


class Run:
    """A method with the data, the worlds and the folder that it is run with."""

    def __init__(self, module: ModuleType, name: str, config: LabConfig, fresh: bool):
        """
        Raises:
            UsageError: a setting is wrong, the data set is missing, or the folder holds another
                run.
        """
        self.name, self.config, self.origin = name, config, provenance()
        self.began = time.process_time()
        self.settings = settings_of(module, config)
        self.own: Any = validate(module.Config, config.settings, "settings")
        self.data = DataSet.open(config.data)
        self.other = DataSet.open(config.other) if config.other else None
        self.models, manifest = bundle.load(config.bundle)
        self.known = acts_of_levels(",".join(self.data.levels))
        training = self.data.training
        sizes = training.features.shape[1], training.memory.shape[1], len(self.known)
        weights = {key: weight.sha256 for key, weight in manifest.weights.items()}
        depends = {"data": self.data.sha256, "weights": weights, "seed": config.seed}
        if self.other:
            depends["other"] = self.other.sha256
        folder = config.out / f"{name}-{config.seed}"
        self.work = Stage(name, folder, {**self.settings, **depends}).open(fresh)
        torch.manual_seed(seed_of(config.seed, 0))
        self.method: Method = module.build(self.own, Shape(*sizes, self.models.config, self.models))
        if config.start:
            self._start()
        self.curve: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}
        self.carried: dict[str, Any] = {"curve": self.curve, "facts": self.facts}

    def _start(self) -> None:
        """Take over those parts of another run's checkpoint, or the bundle's C and M, that this
        method has. The agent of a run that has made one takes the place of the bundle's."""
        model, folder = self.parts(), self.config.out / f"{self.config.start}-{self.config.seed}"
        if (folder / AGENT).exists():
            self.models, _ = bundle.load(folder / AGENT)
        if self.config.start == "bundle" or (folder / AGENT).exists():
            for name, own in (("heads", self.models.controller), ("memory", self.models.memory)):
                if name in model:
                    self.work.load_into(model[name], own.state_dict())
            return
        path = folder / CHECKPOINT
        if not path.exists():
            raise UsageError(f"start: {path} is missing: run that configuration first")
        other = torch.load(path, weights_only=True)["model"]
        known = {key: other.get(key, mine) for key, mine in model.state_dict().items()}
        self.work.load_into(model, known)

    def parts(self) -> nn.ModuleDict:
        return nn.ModuleDict(self.method.parts())

    def loop(self, total: int, optimizer: torch.optim.Optimizer, stride: int = 1) -> Loop:
        """A loop that carries this run on; see `pretrain.loop.Loop`."""
        loop = Loop(
            self.work,
            total,
            stride=stride,
            unit="timesteps" if self.config.online else "steps",
            carried=self.carried,
            model=self.parts(),
            optimizer=optimizer,
        )
        self.curve, self.facts = self.carried["curve"], self.carried["facts"]
        if (self.config.start or 0 in self.config.curve) and not loop.first:
            self.look(0)
        return loop

    def look_after(self, before: int, after: int, total: int) -> None:
        """Look, if one of the curve's numbers or the end lies behind `before`, up to `after`."""
        if any(before < each <= after for each in (*self.config.curve, total)):
            self.look(after)

    def look(self, step: int) -> None:
        """Add an entry to the curve: the method's measures and its score."""
        config, entry = self.config, {"step": step}
        if len(self.data.held_back):
            entry |= rounded(self.method.measure(self.data.held_back, self.rng()))
        if config.episodes:
            entry |= self.score(self.known, self.data)
        self.curve.append(entry)

    def rng(self) -> np.random.Generator:
        """The draws of a measure, every time the same."""
        return np.random.default_rng([self.config.seed, 2])

    def score(self, known: list[Known], data: DataSet | None) -> dict[str, Any]:
        """`score`, the mean over the acts, and `acts`, each act's mean reward; with bodies of its
        own the means over these, and `bodies`, each body's score.

        Args:
            data: of these acts, for a method that adapts to their rewards.

        Raises:
            UsageError: such a method has no data of these acts.
        """
        config, method, models = self.config, self.method, self.models
        if isinstance(method, Adapts):
            if data is None or data.levels != [each.name for each in known]:
                raise UsageError("other: the method adapts, and needs a data set of held_out")
            method.adapt(data.training)
        if isinstance(method, OwnModels):
            models = method.models(models)
        bodies = method.bodies if isinstance(method, OwnBodies) else [HOME]
        plays = (models, known, method.policy, config.episodes, seed_of(config.seed, 3))
        found = {body: scores(*plays, body=body).mean(axis=1) for body in bodies}
        # Another game has points of its own, and counts where it is all that was played.
        counted = [each for body, each in found.items() if not body.level] or list(found.values())
        acts = [round(float(x), 1) for x in np.mean(counted, axis=0)]
        entry: dict[str, Any] = {"score": round(float(np.mean(counted)), 1), "acts": acts}
        if isinstance(method, OwnBodies):
            means = {body.name: round(float(each.mean()), 1) for body, each in found.items()}
            entry["bodies"] = means
        return entry

    def finish(self) -> None:
        """Write the figures, and mark the run as done."""
        config = self.config
        if config.held_out:
            self.facts["held_out"] = self.score(acts_of_levels(config.held_out), self.other)
        if self.other:
            # What is held back where something is; all of what nothing is trained on.
            data = self.other.held_back if len(self.other.held_back) else self.other.training
            special = isinstance(self.method, MeasuresOther)
            measure = self.method.measure_other if special else self.method.measure
            self.facts["other"] = {
                "sha256": self.other.sha256,
                **rounded(measure(data, self.rng())),
            }
        figures = {
            "name": self.name,
            "seed": config.seed,
            "settings": self.settings,
            "data": {"sha256": self.data.sha256, "mean": round(self.data.training.mean(), 1)},
            "curve": self.curve,
            # Of the last process, if the run was stopped in between.
            "processor_seconds": round(time.process_time() - self.began),
            **self.facts,
        }
        if isinstance(self.method, OwnModels):
            bundle.save(self.method.models(self.models), self.work.folder / AGENT, self.origin)
        config.results.mkdir(parents=True, exist_ok=True)
        path = config.results / f"{self.name}-{config.seed}.json"
        write_json(path, {**figures, **self.origin})
        self.work.finish(**figures)
        print(f"{self.name}, seed {config.seed}: {self.curve[-1]}", flush=True)


def rounded(scalars: Scalars) -> dict[str, float]:
    return {key: round(float(value), 5) for key, value in scalars.items()}


def run(module: ModuleType, name: str, config: LabConfig, fresh: bool = False) -> None:
    """Run a method, going on from its last checkpoint, and write its figures.

    Args:
        module: has the method's `Config` and `build`; and `drive`, if the method has a way of its
            own to take its steps.
        name: the run's, by which its figures are known.

    Raises:
        UsageError: see `Run`.
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    torch.set_num_threads(1)
    job = Run(module, name, config, fresh)
    if job.work.finished:
        print(f"{name}, seed {config.seed}: already done ({job.work.folder})")
        return
    getattr(module, "drive", play if config.online else learn)(job)
    job.finish()


def adam(job: Run) -> torch.optim.Optimizer:
    weights = [weight for weight in job.parts().parameters() if weight.requires_grad]
    return torch.optim.Adam(weights, lr=job.config.learning_rate, fused=True)


def descend(
    job: Run, loop: Loop, optimizer: torch.optim.Optimizer, data: Data, step: int
) -> dict[str, Any]:
    """One gradient step; every step draws from generators of its own."""
    config, method = job.config, job.method
    torch.manual_seed(seed_of(config.seed, 6, step))
    batch = method.draw(data, np.random.default_rng([config.seed, 1, step]), config.batch)
    loss, scalars = method.loss(batch)
    loop.descend(loss, optimizer, config.learning_rate)
    method.after_step(step)
    return {"loss": loss.detach(), **scalars}


def learn(job: Run) -> None:
    """Take gradient steps on the recorded data."""
    optimizer, total = adam(job), job.config.steps
    with job.loop(total, optimizer) as loop:
        job.facts.setdefault("fitting_seconds", 0.0)
        for step in loop:
            began = time.process_time()
            scalars = descend(job, loop, optimizer, job.data.training, step)
            spent = job.facts["fitting_seconds"] + time.process_time() - began
            job.facts["fitting_seconds"] = round(spent, 3)
            if loop.logs:
                loop.log(scalars, f"loss {float(scalars['loss']):.3f}")
            job.look_after(step, step + 1, total)


class Earned:
    """The contest's rewards of the episodes that were played while learning.

    Attributes:
        facts: `played`, mean over the acts of their episodes' mean reward, and what it is made of.
    """

    def __init__(self, facts: dict[str, Any], acts: np.ndarray):
        self.facts, self.acts = facts, acts
        count = int(acts.max()) + 1
        facts.setdefault("played_episodes", [0] * count)
        facts.setdefault("played_rewards", [0.0] * count)
        self._recent: list[float] = []

    def add(self, outcome: Outcome, totals: np.ndarray) -> None:
        """Count the episodes that ended: `totals` (N,) are the rewards of each world's episode."""
        for world in np.flatnonzero(outcome.ends | outcome.cuts):
            self.facts["played_episodes"][self.acts[world]] += 1
            self.facts["played_rewards"][self.acts[world]] += float(totals[world])
            self._recent = [*self._recent, float(totals[world])][-RECENT:]
        episodes, rewards = self.facts["played_episodes"], self.facts["played_rewards"]
        means = [total / number for total, number in zip(rewards, episodes, strict=True) if number]
        if means:
            self.facts["played"] = round(float(np.mean(means)), 1)

    @property
    def recent(self) -> float:
        """Mean reward of the last episodes."""
        return float(np.mean(self._recent)) if self._recent else 0.0


def play(job: Run) -> None:
    """Play with the method's policy, and learn from what was played.

    What was played is no part of a checkpoint: a run that goes on begins with an empty store.
    """
    online, config, shape = job.config.online, job.config, job.data.training
    assert online is not None
    worlds, total, optimizer = online.worlds, online.timesteps, adam(job)
    with job.loop(total, optimizer, worlds) as loop:
        seed = seed_of(config.seed, 4, loop.first)
        arena = Arena(job.models, job.known, worlds, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        sizes = shape.features.shape[1], shape.memory.shape[1]
        store = Data(online.capacity // worlds * worlds, *sizes, stride=worlds)
        earned, owed, scalars = Earned(job.facts, arena.acts), 0.0, {}
        rng, begins = np.random.default_rng([config.seed, 7, loop.first]), np.ones(worlds, bool)
        commands = job.method if isinstance(job.method, Commands) else None
        if commands:
            commands.begin(shape, store, worlds, job.facts)
        for before in loop:
            seen, memory = arena.seen, arena.worlds.observe()
            if commands:
                commands.command(seen, begins, before / total, rng)
            with torch.no_grad():
                actions = choose(job.method.policy(seen), generator)
            outcome = arena.step(actions)
            features = seen.features.numpy()
            row = {"features": features, "memory": memory, "actions": actions, "acts": arena.acts}
            store.add(**row, **vars(outcome))
            earned.add(outcome, seen.earned + outcome.rewards)
            begins = outcome.ends | outcome.cuts
            if before >= online.warm_up:
                owed += worlds / online.every
                for step in range(int(owed)):
                    scalars = descend(job, loop, optimizer, store, before + step)
                owed -= int(owed)
            if before // worlds % LOG_EVERY == 0:
                loop.log({"score": earned.recent, **scalars}, f"score {earned.recent:.0f}")
            job.look_after(before, before + worlds, total)
