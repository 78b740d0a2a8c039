"""The one loop that every method runs in: gradient steps on recorded data, then while playing.

What a run's figures depend on are its configuration, seed and data. The figure of all rows is the
*score*: the contest's rewards of whole episodes from the starts of the data's acts, actions
sampled, an episode cut short after `lab.arena.PATIENCE` timesteps without new ground.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from agent import bundle
from agent.models.actor import Models
from lab.arena import Arena, choose, scores
from lab.config import LabConfig
from lab.data import Data, DataSet
from lab.method import Method, Shape
from pretrain.data import acts
from pretrain.loop import Loop
from pretrain.stage import CHECKPOINT, Stage, seed_of
from retro_common.config import to_dict, validate
from retro_common.errors import UsageError
from retro_common.files import write_json
from retro_common.provenance import provenance

NOT_SETTINGS = ("out", "results", "data", "bundle")
"""keys that name places, on which no figure depends"""


class Run:
    """A method with the data, the worlds and the folder that it is run with."""

    def __init__(self, module: ModuleType, name: str, config: LabConfig, fresh: bool):
        """
        Raises:
            UsageError: a setting is wrong, the data set is missing, or the folder holds another
                run.
        """
        self.name, self.config, self.origin = name, config, provenance()
        self.settings: Any = validate(module.Config, config.method, "method")
        self.data = DataSet.open(config.data)
        self.models, manifest = bundle.load(config.bundle)
        self.known = acts.acts_of_levels(",".join(self.data.levels))
        training = self.data.training
        self.shape = Shape(
            training.features.shape[1],
            training.observations.shape[1],
            len(self.known),
            self.models.config,
        )
        settings = {k: v for k, v in to_dict(config).items() if k not in NOT_SETTINGS}
        settings["method"] = to_dict(self.settings)
        settings["data"] = self.data.sha256
        settings["weights"] = {key: weight.sha256 for key, weight in manifest.weights.items()}
        self.work = Stage(name, config.out / f"{name}-{config.seed}", settings).open(fresh)
        torch.manual_seed(seed_of(config.seed, 0))
        self.method: Method = module.build(self.settings, self.shape)
        if config.start:
            self._start(config.out / f"{config.start}-{config.seed}" / CHECKPOINT)
        self.carried: dict[str, Any] = {"curve": []}

    def _start(self, path: Path) -> None:
        """Take over those parts of another run's checkpoint that this method has."""
        if not path.exists():
            raise UsageError(f"start: {path} is missing: run that configuration first")
        other, model = torch.load(path, weights_only=True)["model"], self.parts()
        self.work.load_into(model, {key: other[key] for key in model.state_dict() if key in other})

    def parts(self) -> nn.ModuleDict:
        return nn.ModuleDict(self.method.parts())

    def look(self, step: int) -> None:
        """Add an entry to the curve: the method's measures and its score."""
        config = self.config
        rng = np.random.default_rng([config.seed, 2])
        entry: dict[str, Any] = {"step": step}
        if len(self.data.held_back):
            measures = self.method.measure(self.data.held_back, rng)
            entry |= {key: round(float(value), 5) for key, value in measures.items()}
        if config.episodes:
            entry |= score(self.models, self.known, self.method, config)
        self.carried["curve"].append(entry)

    def finish(self, **facts: Any) -> None:
        """Write the figures, and mark the run as done."""
        returns, numbers = self.data.training.episodes()
        known = [float(returns[numbers == act].mean()) for act in range(len(self.known))]
        curve = self.carried["curve"]
        figures = {
            "name": self.name,
            "seed": self.config.seed,
            "data": {"sha256": self.data.sha256, "mean": round(float(np.mean(known)), 1)},
            "curve": curve,
            # Of the last process, if the run was stopped in between.
            "processor_seconds": round(time.process_time()),
            **facts,
        }
        if str(self.config.results) not in ("", "."):
            path = self.config.results / f"{self.name}-{self.config.seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {**figures, **self.origin})
        self.work.finish(**figures)
        print(f"{self.name}: {curve[-1] if curve else facts}")


def score(
    models: Models, known: list[acts.Known], method: Method, config: LabConfig
) -> dict[str, Any]:
    """`score`, the mean over the acts, and `acts`, each act's mean reward."""
    found = scores(models, known, method.policy, config.episodes, seed_of(config.seed, 3))
    return {
        "score": round(float(found.mean()), 1),
        "acts": [round(float(act), 1) for act in found.mean(axis=1)],
    }


def run(module: ModuleType, name: str, config: LabConfig, fresh: bool = False) -> None:
    """Run a method, going on from its last checkpoint, and write its figures.

    Args:
        name: the run's, by which its figures are known.

    Raises:
        UsageError: see `Run`.
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    torch.set_num_threads(1)
    job = Run(module, name, config, fresh)
    if job.work.finished:
        print(f"{name}: already done ({job.work.folder})")
        return
    method, model = job.method, job.parts()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=config.learning_rate, fused=True)

    def learn(data: Data, step: int) -> dict[str, Any]:
        """One gradient step; every step draws from generators of its own."""
        torch.manual_seed(seed_of(config.seed, 6, step))
        batch = method.draw(data, np.random.default_rng([config.seed, 1, step]), config.batch)
        loss, scalars = method.loss(batch)
        loop.descend(loss, optimizer, config.learning_rate)
        method.after_step(step)
        return {"loss": loss.detach(), **scalars}

    online = config.online
    total, stride = (online.timesteps, online.worlds) if online else (config.steps, 1)
    with Loop(
        job.work,
        total,
        stride=stride,
        unit="timesteps" if online else "steps",
        carried=job.carried,
        model=model,
        optimizer=optimizer,
    ) as loop:
        if config.start and not loop.first:
            job.look(0)
        if online is None:
            for step in loop:
                scalars = learn(job.data.training, step)
                if loop.logs:
                    loop.log(scalars, f"loss {float(scalars['loss']):.3f}")
                if (config.curve and loop.every(config.curve)) or step + 1 == total:
                    job.look(step + 1)
        else:
            play(job, loop, learn)
    job.finish()


def play(job: Run, loop: Loop, learn: Any) -> None:
    """Play with the method's policy, and learn from what was played.

    What was played is no part of a checkpoint: a run that goes on begins with an empty store.
    """
    online = job.config.online
    assert online is not None
    seed = seed_of(job.config.seed, 4, loop.first)
    arena = Arena(job.models, job.known, online.worlds, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    capacity = online.capacity // online.worlds * online.worlds
    store = Data(capacity, job.shape.features, job.shape.observations, stride=online.worlds)
    recent: list[float] = []
    earned = np.zeros(online.worlds)
    owed, scalars = 0.0, {}
    for before in loop:
        row = {"features": arena.features.numpy(), "observations": arena.worlds.observe()}
        with torch.no_grad():
            actions = choose(job.method.policy(arena.features, arena.acts), generator)
        outcome = arena.step(actions)
        store.add(
            **row,
            actions=actions,
            acts=arena.acts,
            rewards=outcome.rewards,
            shaped=outcome.shaped,
            ends=outcome.ends,
            cuts=outcome.cuts,
        )
        earned += outcome.rewards
        over = outcome.ends | outcome.cuts
        recent = [*recent, *earned[over]][-200:]
        earned[over] = 0
        if before >= online.warm_up:
            owed += online.worlds / online.every
            for step in range(int(owed)):
                scalars = learn(store, before + step)
            owed -= int(owed)
        if loop.every(20 * online.worlds) or before % (20 * online.worlds) == 0:
            mean = float(np.mean(recent)) if recent else 0.0
            loop.log({"score": mean, **scalars}, f"score {mean:.0f}")
        timesteps = before + online.worlds
        curve = job.config.curve
        if (curve and timesteps // curve > before // curve) or timesteps >= loop.total:
            job.look(timesteps)
