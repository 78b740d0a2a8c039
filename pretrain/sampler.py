"""Sampling for PPO: two groups of environments in turn, so that emulators and networks overlap.

While one group's emulators play a timestep in their processes, the networks look at the frames of
the other group. With one group the emulators would stand still whenever the networks compute, and
the networks whenever the emulators do.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from agent.actions import action_table
from agent.config import LevelMemoryConfig
from agent.learning.level_memory import Novelty
from agent.learning.ppo import Rollout
from agent.learning.rewards import RewardShaper
from agent.models.actor import Models, Player
from agent.models.frames import ShrinkFrames
from pretrain.critic import Knowledge, PrivilegedCritic
from pretrain.stage import seed_of
from retro_contest.emulator.vector import Episode, VectorEnv
from retro_contest.levels import Level

GROUPS = 2


class Group:
    """Some of the environments, M's state in each of them, and their columns of the rollout.

    Args:
        env: the environments.
        player: plays them.
        shaper: makes C's rewards of theirs.
        buttons: button arrays of the actions, (A, 12).
        columns: which columns of rollout and knowledge belong to them.
        level_numbers: of each level of `env`, its number in the run.
        novelty: of each level of the run its counts, or nothing: no bonus.
        critic: gives the values in C's place, or None.
    """

    def __init__(
        self,
        env: VectorEnv,
        player: Player,
        shaper: RewardShaper,
        buttons: np.ndarray,
        columns: slice,
        level_numbers: np.ndarray,
        novelty: Sequence[Novelty],
        critic: PrivilegedCritic | None,
    ):
        self.env, self.player, self.shaper, self.buttons = env, player, shaper, buttons
        self.columns, self.level_numbers = columns, level_numbers
        self.novelty, self.critic = novelty, critic
        self.waited = 0.0
        """seconds spent waiting for emulators"""

    def reset(self) -> None:
        """Begin an episode in every environment."""
        self.frames, self.info = self.env.reset()
        self.features = self.player.observe(self.frames)

    def decide(self, t: int, rollout: Rollout, knowledge: Knowledge | None) -> None:
        """Choose actions for timestep t and let the emulators start on it."""
        self.decision = self.player.act(self.features)
        if self.critic is not None:
            self._know(t, knowledge)
            values = self.critic.values(self.features, *knowledge.row(t))
            self.decision = self.decision._replace(values=values)
        self.env.step_async(self.buttons[self.decision.actions.cpu().numpy()])

    def finish(self, t: int, rollout: Rollout) -> list[Episode]:
        """Wait for timestep t, keep it, and look at the frames that follow.

        Returns:
            The episodes that ended.
        """
        began = time.perf_counter()
        following, rewards, terminated, truncated, info = self.env.step_wait()
        self.waited += time.perf_counter() - began
        ended = terminated | truncated
        shaped = self.shaper(rewards, ended, truncated)
        rollout.store(t, self.features, self.frames, self.decision, shaped, ended)
        self.player.remember(self.features, self.decision.actions, ended)
        self.frames, self.info = following, info
        self.features = self.player.observe(following)
        if self.novelty:
            rollout.rewards[t] += torch.from_numpy(self._bonus(ended))
        return info["episodes"]

    def value(self, knowledge: Knowledge | None) -> torch.Tensor:
        """Values (N,) of the frames after the rollout's last timestep."""
        if self.critic is None:
            return self.player.act(self.features).values.cpu()
        row = Knowledge.empty(1, *knowledge.variables.shape[1:])
        self._know(0, row)
        return self.critic.values(self.features, *row.row(0)).cpu()

    def _know(self, t: int, knowledge: Knowledge) -> None:
        knowledge.variables[t] = torch.from_numpy(self.info["variables"])
        knowledge.levels[t] = torch.from_numpy(self.level_numbers[self.info["level"]])

    def _bonus(self, ended: np.ndarray) -> np.ndarray:
        """What the frames just seen earn for their novelty; none if they begin an episode."""
        bonus = np.zeros(len(ended), np.float32)
        latents, levels = self.features.z.cpu().numpy(), self.level_numbers[self.info["level"]]
        for n in np.flatnonzero(~ended):
            counts = self.novelty[levels[n]]
            bonus[n] = counts.bonus(latents[n], self.frames[n], self.shaper.earned[n])
        return bonus


class Sampler(contextlib.ExitStack):
    """All environments of the run; a context manager that ends their processes.

    Args:
        models: what plays, on `device`.
        levels: played for the same number of timesteps each.
        envs: environments, over all groups.
        variables: RAM variables that `critic` reads.
        critic: gives the values in C's place, or None.
        novelty: scale of the bonus for what was seen seldom; 0 for none.
        timesteps_per_level: what has been played before, by the name of the level.
        wrap: makes a training environment of the contest's, in its process; shrinks the frames.
    """

    def __init__(
        self,
        models: Models,
        levels: Sequence[Level],
        envs: int,
        *,
        seed: int,
        device: torch.device,
        draw_all: bool = False,
        variables: Sequence[str] = (),
        critic: PrivilegedCritic | None = None,
        novelty: float = 0.0,
        timesteps_per_level: dict[str, int] | None = None,
        wrap: Callable = ShrinkFrames,
    ):
        super().__init__()
        self.levels, self.waited = list(levels), 0.0
        config = models.config
        counts = self._novelty(models, novelty, seed) if novelty else ()
        groups = min(GROUPS, envs)
        bounds = np.linspace(0, envs, groups + 1).astype(int)
        self.groups: list[Group] = []
        for g in range(groups):
            # A group plays the levels in an order of its own, so that a short run sees them all.
            first = g * len(self.levels) // groups
            order = np.roll(np.arange(len(self.levels)), -first)
            size = int(bounds[g + 1] - bounds[g])
            env = self.enter_context(
                VectorEnv(
                    [self.levels[i] for i in order],
                    size,
                    seed=seed_of(seed, g),
                    wrap=wrap,
                    draw_all=draw_all,
                    variables=variables,
                )
            )
            if timesteps_per_level:
                played = [timesteps_per_level.get(level.name, 0) for level in env.levels]
                env.timesteps_per_level[:] = np.array(played) // groups
            self.groups.append(
                Group(
                    env,
                    Player(models, size, seed=seed_of(seed, g, 1), device=device),
                    RewardShaper(config.reward, size),
                    action_table(config.actions),
                    slice(int(bounds[g]), int(bounds[g + 1])),
                    order,
                    counts,
                    critic,
                )
            )
        for group in self.groups:
            group.reset()

    def _novelty(self, models: Models, scale: float, seed: int) -> list[Novelty]:
        level = models.config.online.level
        sees_latents = models.config.controller.features != ("pixels",)
        config = LevelMemoryConfig(
            novelty=scale,
            novelty_of=level.novelty_of if sees_latents else "frame",
            novelty_bits=level.novelty_bits,
            novelty_bin=level.novelty_bin,
        )
        return [Novelty(config, models.config.vision.latent, seed) for _ in self.levels]

    def timesteps_per_level(self) -> dict[str, int]:
        """Timesteps played on each level, by its name."""
        totals = dict.fromkeys((level.name for level in self.levels), 0)
        for group in self.groups:
            for level, played in zip(group.env.levels, group.env.timesteps_per_level, strict=True):
                totals[level.name] += int(played)
        return totals

    def play(
        self, rollout: Rollout, knowledge: Knowledge | None = None
    ) -> list[tuple[int, Episode]]:
        """Fill the rollout, and what the critic knew along with it.

        Returns:
            The episodes that ended, each with the number of its level in the run.
        """
        parts = [rollout.part(group.columns) for group in self.groups]
        known = [knowledge and knowledge.part(group.columns) for group in self.groups]
        together = list(zip(self.groups, parts, known, strict=True))
        finished: list[tuple[int, Episode]] = []
        for group, part, knows in together:
            group.decide(0, part, knows)
        length = len(rollout.rewards)
        for t in range(length):
            for group, part, knows in together:
                for episode in group.finish(t, part):
                    finished.append((int(group.level_numbers[episode.level]), episode))
                if t + 1 < length:
                    group.decide(t + 1, part, knows)
                else:
                    part.last_values[:] = group.value(knows)
        self.waited = sum(group.waited for group in self.groups)
        return finished
