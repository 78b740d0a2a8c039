"""The teacher stage: train a policy that reads the game's memory, by PPO in the native game logic.

The reward is not the contest's: only new ground pays, half of it along x and half along the act's
route, where it has one, and the time bonus at the level's end. Going back to a lever then costs
nothing, and pays where the route goes there. From where it gets nowhere it also imitates the movie.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from agent.config import PPOConfig
from agent.learning.ppo import PPO, Rollout
from agent.models.actor import Decision
from pangolin_dash.simulator import FINISHED, Worlds
from pretrain.config import PretrainConfig
from pretrain.data import acts as data
from pretrain.data.starts import EVERY, Starts
from pretrain.demonstrations import Demonstrations
from pretrain.loop import Loop
from pretrain.stage import Seeds, Stage, seed_of
from pretrain.teacher import GAMMA, Teacher, features_of, training_rewards
from retro_common.config import to_dict
from retro_common.provenance import provenance

FILE = "teacher.safetensors"
LENGTH = 128
"""timesteps of each world in a rollout"""
MINIBATCH = 2048
PATIENCE = 300
"""timesteps without new ground after which an episode ends"""
TRAINING = PPOConfig(
    epochs=2, learning_rate=5e-4, gamma=GAMMA, gae_lambda=0.95, clip=0.2, entropy=0.005
)
"""the entropy's weight is that of the first timesteps; it falls linearly to a tenth"""
TRY_EVERY = 10_000_000
"""timesteps after which all places along the routes are tried again. There are so many that
episodes which happen to begin there say too little of most"""
RECENT = 400
"""episodes in the means that are shown"""


def stage(config: PretrainConfig) -> Stage:
    settings = {
        "actions": list(config.agent.actions),
        "levels": config.levels,
        "teacher": to_dict(config.teacher),
        "seed": config.seed,
    }
    return Stage("teacher", config.out / "teacher", settings)


def known_acts(config: PretrainConfig) -> list[data.Known]:
    """The acts of this run's track: those of its level set, then generated ones."""
    folder = config.out / "teacher" / data.MOVIES
    return data.known_acts(config.levels, config.teacher.generated, folder)


@dataclass
class Course:
    """Worlds in training, and the means over their last episodes."""

    worlds: Worlds
    starts: Starts
    shipped: int
    """how many of the acts are those of the level set: the first ones"""
    pads: np.ndarray
    """what the movies press at the places of `starts`, pad bits uint8 (P,)"""

    @classmethod
    def open(cls, config: PretrainConfig, known: list[data.Known], seed: int) -> Course:
        traces = data.traces(known)
        worlds = Worlds(
            [each.act for each in known],
            config.teacher.worlds,
            routes=[trace and trace.route for trace in traces],
            seed=seed,
            patience=PATIENCE,
            on_screen=True,
        )
        along = [trace and trace.states for trace in traces]
        starts = Starts(worlds, along, np.random.default_rng(seed))
        pads = np.concatenate([np.empty(0, np.uint8), *(each.pads for each in traces if each)])
        return cls(worlds, starts, len(data.acts_of_levels(config.levels)), pads)

    def __post_init__(self) -> None:
        # (finished, score) of whole episodes, by group.
        self.episodes: dict[str, deque[tuple[bool, float]]] = {}

    def step(self, pads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Play a timestep; returns training rewards float32 (N,) and ends bool (N,)."""
        worlds, starts = self.worlds, self.starts
        worlds.step(pads)
        rewards = training_rewards(worlds)
        for world in np.flatnonzero((worlds.over > 0) & starts.whole):
            group = "levels" if starts.act[world] < self.shipped else "generated"
            recent = self.episodes.setdefault(group, deque(maxlen=RECENT))
            recent.append((bool(worlds.over[world] == FINISHED), float(worlds.scores[world])))
        ended = worlds.over > 0
        starts.after_step()
        return rewards, ended

    def means(self) -> dict[str, float]:
        """Finish share and score of each group's last whole episodes."""
        means = {}
        for group, recent in sorted(self.episodes.items()):
            finished, scores = zip(*recent, strict=True)
            means[f"finished/{group}"] = float(np.mean(finished))
            means[f"score/{group}"] = float(np.mean(scores))
        return means


@torch.inference_mode()
def play(course: Course, teacher: Teacher, rollout: Rollout, generator: torch.Generator) -> None:
    """Fill a rollout: sampled actions, in all worlds."""
    for t in range(LENGTH):
        if t % EVERY == 0:
            course.starts.look()
        observations = rollout.z[t]
        course.worlds.observe(observations.numpy())
        features = features_of(observations)
        log_probs, values = teacher(features)
        actions = torch.multinomial(log_probs.exp(), 1, generator=generator)
        decision = Decision(actions.squeeze(1), log_probs.gather(1, actions).squeeze(1), values)
        rewards, ended = course.step(teacher.pads[decision.actions.numpy()])
        rollout.store(t, features, np.empty(0), decision, rewards, ended)
    last = features_of(torch.from_numpy(course.worlds.observe()))
    rollout.last_values = teacher(last)[1].clone()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train the teacher, going on from the last checkpoint, and write its file.

    Raises:
        UsageError: a level is no act of Pangolin Dash, or gcc is not installed.
        Stopped: asked to stop; the checkpoint is written.
        Diverged: a gradient is not finite; the last good checkpoint is untouched.
    """
    work = stage(config).open(fresh)
    path = work.folder / FILE
    if work.finished and path.exists():
        print(f"teacher: already done ({path})")
        return
    settings = config.teacher
    known = known_acts(config)
    torch.manual_seed(seed_of(config.seed, Seeds.TEACHER))
    torch.set_num_threads(1)
    size = Worlds([known[0].act], 1, on_screen=True).observation_size
    teacher = Teacher(size, config.agent.actions)
    stride = LENGTH * settings.worlds
    training = PPOConfig(**{**vars(TRAINING), "minibatches": max(1, stride // MINIBATCH)})
    ppo = PPO(teacher, training, seed_of(config.seed, Seeds.TEACHER, 1), torch.device("cpu"))
    rollout = Rollout(LENGTH, settings.worlds, size, 0)
    with Loop(
        work,
        settings.timesteps,
        stride=stride,
        unit="timesteps",
        model=teacher,
        optimizer=ppo.optimizer,
    ) as loop:
        seed = seed_of(config.seed, Seeds.TEACHER, 2, loop.first)
        course = Course.open(config, known, seed)
        acts = [each.act for each in known]
        shown = Demonstrations(acts, course.starts.places, course.pads, teacher)
        generator = torch.Generator().manual_seed(seed)
        rng = np.random.default_rng(seed)
        for before in loop:
            if before == loop.first or before % TRY_EVERY < stride:
                course.starts.failures[:] = shown.try_all(teacher, generator)
            timesteps = before + stride
            progress = min(1.0, timesteps / settings.timesteps)
            training.entropy = TRAINING.entropy * (1 - 0.9 * progress)
            play(course, teacher, rollout, generator)
            metrics = ppo.update(rollout, progress)
            metrics |= shown.learn(teacher, ppo.optimizer, course.starts.failures, rng)
            means = course.means()
            scalars = {f"losses/{name}": value for name, value in metrics.items()}
            scalars["charts/timesteps_per_second"] = loop.meter.rate()
            shares = [
                f"{name.removeprefix('finished/')} {value:.0%}"
                for name, value in means.items()
                if name.startswith("finished")
            ]
            note = f"finished: {', '.join(shares)}; entropy {metrics['entropy']:.2f}"
            loop.log({**scalars, **means}, note, timesteps)
    teacher.save(path, origin(config, loop.done))
    work.finish(timesteps=loop.done, **means_or_nothing(course), teacher=str(path))
    print(f"teacher: {path}")


def means_or_nothing(course: Course) -> dict[str, Any]:
    """The means for the record: none where no episode has ended."""
    return {name.replace("/", "_"): value for name, value in course.means().items()}


def origin(config: PretrainConfig, timesteps: int) -> dict[str, Any]:
    """Where the teacher came from; a generated seed stands for its 18 acts."""
    return {
        **provenance(),
        "seed": config.seed,
        "level_set": config.levels,
        "generated_seeds": data.training_seeds(config.teacher.generated),
        "timesteps": timesteps,
        "teacher": to_dict(config.teacher),
    }
