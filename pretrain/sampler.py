"""Sampling for PPO: groups of environments in turn, so that emulators and networks overlap.

While one group's emulators play a timestep in their processes, the networks process the frames of
another group. With a single group the emulators would idle whenever the networks compute, and vice
versa. Rollouts depend on the groups, and these on the number of environments alone.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from agent.actions import action_table
from agent.learning.ppo import Rollout
from agent.learning.rewards import RewardShaper
from agent.models.actor import Actor, Models
from agent.models.frames import ShrinkFrames
from pretrain.stage import seed_of
from retro_contest.emulator.vector import Episode, VectorEnv
from retro_contest.levels import Level

GROUPS = 2
"""groups at least"""
GROUP_ENVS = 8
"""environments of a group, where that makes more than `GROUPS` groups: smaller groups would take
more of the networks' time, fewer groups would occupy fewer nodes of a cluster"""


class Group:
    """Some of the environments, M's state in each of them, and their columns of the rollout."""

    def __init__(
        self,
        env: VectorEnv,
        actor: Actor,
        shaper: RewardShaper,
        buttons: np.ndarray,
        columns: slice,
        level_numbers: np.ndarray,
    ):
        """
        Args:
            shaper: turns the contest's rewards into C's.
            buttons: button arrays of the actions, (A, 12).
            columns: the environments' columns of the rollout.
            level_numbers: for each level of `env` its number in the run.
        """
        self.env, self.actor, self.shaper, self.buttons = env, actor, shaper, buttons
        self.columns, self.level_numbers = columns, level_numbers
        self.waited = 0.0
        """seconds spent waiting for emulators"""

    def reset(self) -> None:
        """Begin an episode in every environment."""
        self.frames, self.info = self.env.reset()
        self.features = self.actor.observe(self.frames)

    def decide(self) -> None:
        """Choose actions for the next timestep and let the emulators start on it."""
        self.decision = self.actor.act(self.features)
        self.env.step_async(self.buttons[self.decision.actions.cpu().numpy()])

    def finish(self, t: int, rollout: Rollout) -> list[Episode]:
        """Wait for timestep t, store it, and observe the next frames; returns ended episodes."""
        began = time.perf_counter()
        following, rewards, terminated, truncated, info = self.env.step_wait()
        self.waited += time.perf_counter() - began
        ended = terminated | truncated
        shaped = self.shaper(rewards, ended, truncated)
        rollout.store(t, self.features, self.frames, self.decision, shaped, ended)
        self.actor.remember(self.features, self.decision.actions, rewards, ended)
        self.frames, self.info = following, info
        self.features = self.actor.observe(following)
        return [episode for episode in info.get("episodes", ()) if episode is not None]

    def timesteps_per_level(self) -> dict[str, int]:
        """Timesteps played on each level, by its name."""
        played = self.env.timesteps_per_level.tolist()
        return {level.name: n for level, n in zip(self.env.levels, played, strict=True)}


def open_group(
    models: Models,
    levels: Sequence[Level],
    envs: int,
    number: int,
    *,
    seed: int,
    device: torch.device,
    draw_all: bool = False,
    timesteps_per_level: Mapping[str, int] | None = None,
) -> Group:
    """One group of a run; it depends on nothing but these values, and no group on another.

    Args:
        models: act in the environments; on `device`.
        levels: each is played for the same number of timesteps.
        envs: number of environments, over all groups.
        number: the group's, its place in `group_columns(envs)`.
        timesteps_per_level: timesteps that all groups played before, by the level's name.
    """
    # Each group plays the levels in its own order, so that a short run sees them all.
    all_columns = group_columns(envs)
    groups, columns = len(all_columns), all_columns[number]
    order = np.roll(np.arange(len(levels)), -(number * len(levels) // groups))
    size = columns.stop - columns.start
    env = VectorEnv(
        [levels[i] for i in order],
        size,
        seed=seed_of(seed, number),
        wrap=ShrinkFrames,
        draw_all=draw_all,
    )
    if timesteps_per_level:
        played = [timesteps_per_level.get(level.name, 0) for level in env.levels]
        env.timesteps_per_level[:] = np.array(played) // groups
    return Group(
        env,
        Actor(models, size, seed=seed_of(seed, number, 1), device=device),
        RewardShaper(models.config.reward, size),
        action_table(models.config.actions),
        columns,
        order,
    )


def group_columns(envs: int) -> list[slice]:
    """The columns of the rollout that each group of so many environments fills."""
    groups = min(envs, max(GROUPS, envs // GROUP_ENVS))
    bounds = np.linspace(0, envs, groups + 1).astype(int).tolist()
    return [slice(*pair) for pair in itertools.pairwise(bounds)]


def play_groups(groups: Sequence[tuple[Group, Rollout]]) -> list[tuple[int, int, float]]:
    """Let groups fill their parts of a rollout, one while the emulators of another play.

    Returns:
        Timestep, level number and contest reward of each episode that ended.
    """
    finished: list[tuple[int, int, float]] = []
    for group, _ in groups:
        group.decide()
    length = len(groups[0][1].rewards)
    for t in range(length):
        for group, part in groups:
            for episode in group.finish(t, part):
                finished.append((t, int(group.level_numbers[episode.level]), episode.reward))
            if t + 1 < length:
                group.decide()
            else:
                part.last_values[:] = group.actor.act(group.features).values.cpu()
    return finished


class Sampler(contextlib.ExitStack):
    """All environments of the run; a context manager that ends their processes."""

    def __init__(
        self,
        models: Models,
        levels: Sequence[Level],
        envs: int,
        *,
        seed: int,
        device: torch.device,
        draw_all: bool = False,
        timesteps_per_level: Mapping[str, int] | None = None,
    ):
        """Args: as those of `open_group`, for all groups."""
        super().__init__()
        self.levels, self.waited = list(levels), 0.0
        self.groups: list[Group] = []
        for number in range(len(group_columns(envs))):
            group = open_group(
                models,
                self.levels,
                envs,
                number,
                seed=seed,
                device=device,
                draw_all=draw_all,
                timesteps_per_level=timesteps_per_level,
            )
            self.enter_context(group.env)
            self.groups.append(group)
        for group in self.groups:
            group.reset()

    def timesteps_per_level(self) -> dict[str, int]:
        """Timesteps played on each level, by its name."""
        totals = dict.fromkeys((level.name for level in self.levels), 0)
        for group in self.groups:
            for name, played in group.timesteps_per_level().items():
                totals[name] += played
        return totals

    def play(self, rollout: Rollout) -> list[tuple[int, float]]:
        """Fill the rollout.

        Returns:
            Level number and contest reward of each episode that ended.
        """
        finished = play_groups([(group, rollout.part(group.columns)) for group in self.groups])
        self.waited = sum(group.waited for group in self.groups)
        return [(level, reward) for _, level, reward in finished]
